"""Promises: while its table cannot be written for minutes, the sink waits, says so, and then catches up; the job does
not notice, and its memory does not grow."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rtea.config import Config
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

OUTAGE_SECONDS = 120.0
HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_table_locked_for_minutes(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    command = [sys.executable, "-m", "rtea", "sink", "duckdb"]
    with pipeline.submitted(drilled):
        with pipeline.sinking(drilled), load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            pass
        hold = [sys.executable, "-c", HOLD, str(drilled.sink.duckdb_path)]
        with subprocess.Popen(command, env=load.environment(drilled), stderr=subprocess.PIPE, text=True) as sink:
            with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
                assert holder.stdin
                assert holder.stdout
                load.wait_until(lambda: holder.stdout.readline() == "held\n", 60, "the file is held")
                later = ["--start", str(load.START_MS + SECONDS * 1000)]
                before_bytes = psutil.Process(sink.pid).memory_info().rss
                sent = pipeline.generated(drilled, tmp_path / "2.jsonl", *load.arguments(int(OUTAGE_SECONDS)), *later)
                assert sink.poll() is None, "it gave up"
                assert psutil.Process(sink.pid).memory_info().rss < before_bytes + 100_000_000
                holder.stdin.close()
            pipeline.assert_rows_match(drilled, sent, least_windows=20)
            sink.terminate()
            _, errors = sink.communicate(timeout=60)
        assert sink.returncode == 0
        assert "is locked by another process" in errors
        load.assert_undisturbed(drilled, load.read_manifest(tmp_path / "m.jsonl"), undisturbed)
