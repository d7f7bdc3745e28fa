"""Promises of the DuckDB sink besides the contract: it writes a large window within a second, continues to use tables
of earlier releases, and returns any text unchanged."""

import os
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from rtea.errors import SinkError
from rtea.sinks import result, table
from rtea.sinks.contract import Batch
from rtea.sinks.duckdb import DuckDbSink
from rtea.sinks.duckdb.loading import TYPES
from rtea.sinks.result import Row, WindowResult

NEVER = threading.Event()


def window(names: list[str], revision: int = 1) -> WindowResult:
    rows = [Row("revenue", name, "USD", None, "123456789012345", None, None) for name in names]
    return WindowResult(result.VERSION, 60_000, 120_000, 1, revision, "", rows)


@pytest.fixture
def sink(tmp_path: Path) -> DuckDbSink:
    sink = DuckDbSink(tmp_path / "metrics.duckdb", "ecommerce_metrics")
    sink.open()
    return sink


def test_a_window_of_40000_rows_is_replaced_within_a_second(sink: DuckDbSink) -> None:
    names = [f"category {n}" for n in range(40_003)]
    seconds = []
    for revision in range(1, 5):
        started_s = time.perf_counter()
        sink.write(Batch([window(names, revision)], "b"), NEVER)
        seconds.append(time.perf_counter() - started_s)
    assert min(seconds) < 1.0, seconds
    assert len(sink.read(60_000, 60_001)) == 40_003


def test_any_text_comes_back_unchanged(sink: DuckDbSink) -> None:
    names = ["", "'\"\\", "a\tb\r\nc", "\u2028\x00\x1f", "Größe ❤", "[/sale]", '{"a": 1}', "$1 ? %s"]
    sink.write(Batch([window(names)], "b"), NEVER)
    assert {row.dimension for row in sink.read(60_000, 60_001)} == set(names)


def test_no_pandas_is_imported_and_a_temporary_directory_may_have_any_name(tmp_path: Path) -> None:
    program = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from rtea.sinks.contract import Batch\n"
        "from rtea.sinks.duckdb import DuckDbSink\n"
        "from tests.unit.test_duckdb import window\n"
        "sys.modules.pop('pandas', None)\n"
        "sink = DuckDbSink(Path('metrics.duckdb'), 'ecommerce_metrics')\n"
        "sink.open()\n"
        "for revision in (1, 2):\n"
        "    sink.write(Batch([window(['a', 'b'], revision)], 'b'), threading.Event())\n"
        "print(len(sink.read(60_000, 60_001)), len(sink.select('SELECT * FROM ecommerce_metrics')[1]))\n"
        "print('pandas' in sys.modules)"
    )
    temporary = tmp_path / "a 'quoted' \"directory\" $1 ?" / "revision=3"
    temporary.mkdir(parents=True)
    root = Path(__file__).parents[2]
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(root)}
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.stdout.split() == ["2", "2", "False"], ran.stderr


def test_a_table_of_an_earlier_release_stays_in_use(tmp_path: Path) -> None:
    path = tmp_path / "metrics.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE ecommerce_metrics (window_start TIMESTAMPTZ NOT NULL, window_end TIMESTAMPTZ NOT NULL, "
            "metric VARCHAR NOT NULL, dimension VARCHAR NOT NULL, currency VARCHAR NOT NULL, event_count BIGINT, "
            "revenue DECIMAL(38, 2), unique_visitors BIGINT, visitors_sketch BLOB, revision BIGINT NOT NULL, "
            "updated_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (window_start, metric, dimension, currency))"
        )
        connection.execute(
            "INSERT INTO ecommerce_metrics VALUES (make_timestamptz(60000000), make_timestamptz(120000000), 'revenue', "
            "'gone', 'USD', NULL, 1.5, NULL, NULL, 99, now())"
        )
    sink = DuckDbSink(path, "ecommerce_metrics")
    found_before = [(row.generation, row.is_final) for row in sink.read(0, 10**9)]
    assert found_before == [(0, True)], "readable before a sink has opened it"
    assert sink.open() is False
    assert [(row.dimension, row.generation, row.revision) for row in sink.read(0, 10**9)] == [("gone", 0, 99)]
    sink.write(Batch([window(["books"])], "b"), NEVER)
    found = [(row.dimension, row.generation, row.revision, str(row.revenue)) for row in sink.read(0, 10**9)]
    assert found == [("books", 1, 1, "1234567890123.4500")]


@pytest.mark.parametrize(
    ("column", "kind"), [("revenue", "DOUBLE"), ("window_start", "TIMESTAMP"), ("dimension", "BLOB")]
)
def test_a_table_with_other_types_is_refused_and_stays_unchanged(tmp_path: Path, column: str, kind: str) -> None:
    path = tmp_path / "metrics.duckdb"
    kinds = {each.name: TYPES[each.kind] for each in table.COLUMNS} | {column: kind}
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE theirs ({', '.join(map(' '.join, kinds.items()))})")
    with pytest.raises(SinkError, match=f"column {column} is {kind}, expected .*: name another table with --table"):
        DuckDbSink(path, "theirs").open()
    with duckdb.connect(str(path)) as connection:
        found = dict(
            connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'theirs'"
            ).fetchall()
        )
    assert found == kinds


def test_amounts_keep_the_decimals_of_their_currency(sink: DuckDbSink) -> None:
    amounts = {"JPY": "1235", "USD": "1235", "KWD": "1235", "CLF": "-12345"}
    rows = [Row("revenue", "books", currency, None, minor, None, None) for currency, minor in amounts.items()]
    sink.write(Batch([WindowResult(2, 60_000, 120_000, 1, 1, "", rows)], "b"), NEVER)
    found = {row.currency: row.revenue for row in sink.read(60_000, 60_001)}
    assert found == {name: Decimal(text) for name, text in
                     (("JPY", "1235"), ("USD", "12.35"), ("KWD", "1.235"), ("CLF", "-1.2345"))}  # fmt: skip


def test_threads_of_one_process_read_and_write_in_turn(tmp_path: Path) -> None:
    """As in the demo, which verifies while its page does."""
    path = tmp_path / "metrics.duckdb"
    writer = DuckDbSink(path, "metrics")
    writer.open()
    errors: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                DuckDbSink(path, "metrics").read(0, 2**45)
                time.sleep(0.05)  # Without pauses, readers would leave no gap to the writer.
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for revision in range(1, 20):
        writer.write(Batch([window(["a"], revision)], "b"), NEVER)
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors, errors
