"""Promise: `rtea query` shows any data unchanged and complete, in formats that other programs read."""

import csv
import io
import json
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from rtea.cli import root
from rtea.cli.root import cli
from rtea.sinks.duckdb import DuckDbSink

ODD = ["[/sale]", "[red]x", "\x1b[2J\x07", "a\tb", 'say "hi", ok', "Größe ❤", "x" * 500, ""]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file whose name has the word `lock`, like DuckDB's error."""
    path = tmp_path / "clock lock.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE odd (number INT, text VARCHAR, moment TIMESTAMPTZ, paid DECIMAL(38, 4), raw BLOB)"
        )
        for number, text in enumerate(ODD):
            connection.execute(
                "INSERT INTO odd VALUES (?, ?, make_timestamptz(1500000), 1.25, ?)", [number, text, b"\x00\xff"]
            )
    return path


def query(path: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "rtea", "query", "--path", str(path), *arguments]
    return subprocess.run(command, capture_output=True, input=b"SELECT text FROM odd ORDER BY number")


def test_a_piped_table_shows_every_cell_whole_and_as_text(path: Path) -> None:
    ran = query(path, "SELECT text FROM odd ORDER BY number")
    assert (ran.returncode, ran.stderr) == (0, b"")
    shown = ran.stdout.decode()
    for text in ("[/sale]", "[red]x", "\\x1b[2J\\x07", 'say "hi", ok', "Größe ❤", "x" * 500):
        assert text in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_other_programs_read_every_value(path: Path) -> None:
    sql = "SELECT * FROM odd ORDER BY number"
    rows = json.loads(query(path, sql, "--format", "json").stdout, parse_float=Decimal)
    assert [row["text"] for row in rows] == ODD
    assert [json.loads(line) for line in query(path, sql, "--format", "ndjson").stdout.splitlines()] == json.loads(
        query(path, sql, "--format", "json").stdout
    )
    written = query(path, sql, "--format", "csv").stdout.decode()
    read = list(csv.DictReader(io.StringIO(written, newline="")))
    assert [row["text"] for row in read] == ODD
    for row in (rows[0], read[0]):
        assert Decimal(row["paid"]) == Decimal("1.25")
        assert row["raw"] == "AP8="
        at = datetime.fromisoformat(row["moment"].replace("Z", "+00:00"))
        assert at == datetime.fromtimestamp(1.5, timezone.utc)


def test_sql_comes_from_standard_input(path: Path) -> None:
    assert [json.loads(line)["text"] for line in query(path, "-", "--format", "ndjson").stdout.splitlines()] == ODD


def test_a_terminal_without_utf_8_gets_escapes(path: Path) -> None:
    command = [sys.executable, "-m", "rtea", "query", "--path", str(path), "SELECT text FROM odd"]
    ran = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii"})
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"Gr\\xf6\\xdfe \\u2764" in ran.stdout


def test_a_wrong_statement_is_not_taken_for_a_lock(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before_s = time.monotonic()
    assert root.run(cli, ["query", "--path", str(path), "SELECT nothing FROM nowhere"]) == 10
    assert root.run(cli, ["query", "--path", str(path.parent), "SELECT 1"]) == 10
    assert time.monotonic() - before_s < 30, "it waited for a lock that nobody holds"
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_query_waits_for_a_locked_file(path: Path) -> None:
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        threading.Timer(0.5, holder.stdin.close).start()
        assert DuckDbSink(path, "odd").select("SELECT count(*) FROM odd") == (["count_star()"], [(len(ODD),)])
