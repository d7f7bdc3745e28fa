"""Promises: while its table cannot be written for minutes, the sink waits, says so, and then catches up; the job does
not notice, and its memory does not grow."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rtea import manifest
from rtea.config import Config
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

OUTAGE_SECONDS = 120

HOLD = """
import duckdb, sys
while True:
    try:
        connection = duckdb.connect(sys.argv[1])
        break
    except duckdb.IOException:
        continue  # The sink has it at the moment.
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def sinking(config: Config, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`rtea sink duckdb` as a process; stopped with the block."""
    command = [sys.executable, "-m", "rtea", "sink", "duckdb", "--progress", "json"]
    with open(log, "wb") as errors:
        sink = subprocess.Popen(command, env=load.environment(config), stdout=subprocess.DEVNULL, stderr=errors)
    try:
        yield sink
    finally:
        sink.terminate()
        sink.wait(60)


def test_a_table_locked_for_minutes(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    with pipeline.submitted(drilled), sinking(drilled, tmp_path / "sink.log") as sink:
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            pass
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)
        hold = [sys.executable, "-c", HOLD, str(drilled.sink.duckdb_path)]
        with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdin
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            before_bytes = psutil.Process(sink.pid).memory_info().rss
            later = ["--start", str(load.START_MS + SECONDS * 1000)]
            sent = pipeline.generated(drilled, tmp_path / "2.jsonl", *load.arguments(OUTAGE_SECONDS), *later)
            assert sink.poll() is None, "it gave up"
            assert psutil.Process(sink.pid).memory_info().rss < before_bytes + 100_000_000
            holder.stdin.close()
        pipeline.assert_rows_match(drilled, sent, least_windows=20)
    assert sink.returncode == 0
    assert "is locked by another process" in (tmp_path / "sink.log").read_text()


@pytest.mark.quick
def test_a_sink_says_what_it_waits_for(drilled: Config, tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with sinking(drilled, first), sinking(drilled, second):
        # Whichever came second.
        load.wait_until(
            lambda: b"another sink writes to" in first.read_bytes() + second.read_bytes(), 60, "one stands by"
        )
        broker = psutil.Process(pipeline.pid_of(drilled, "kafka"))
        broker.suspend()
        try:
            for log in (first, second):
                load.wait_until(lambda log=log: b"no Kafka broker answers" in log.read_bytes(), 60, "it names Kafka")
        finally:
            broker.resume()
        for log in (first, second):
            load.wait_until(lambda log=log: b"Kafka answers again" in log.read_bytes(), 60, "it goes on")
