"""Promises: a full disk under the checkpoints, the broker's log or the table makes the part that needs it stop with a
clear line, or wait. Nothing is lost, duplicated or half written, and everything continues when there is room again."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path

import pytest

from rtea import manifest
from rtea.config import Config
from rtea.errors import DiskSpaceError
from rtea.job import cluster
from rtea.sinks.registry import make_sink
from rtea.stack import jars, local
from rtea.stack.layout import Layout
from tests.conftest import stack_config
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)


WRITE = """
import sys, threading
from pathlib import Path
from rtea.sinks import duckdb, result
from rtea.sinks.contract import Batch
row = result.Row("revenue", "toys", "USD", None, "1", None, None)
sink = duckdb.DuckDbSink(Path(sys.argv[1]), "ecommerce_metrics")
sink.open()
sink.write(Batch([result.WindowResult(result.VERSION, 60_000, 120_000, 1, 1, "", [row])], "b"), threading.Event())
assert len(sink.read(60_000, 60_001)) == 1
"""
"""Writes a window to a DuckDB file."""


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A file system of its own in a folder; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "rtea-drill", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _written(file: FileIO, block: bytes) -> bool:
    try:
        return file.write(block) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No room on the disk of a folder, for a block."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        # What does not fit is not written.
        while _written(file, bytes(65_536)):
            pass
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def own_stack(root: Path) -> Iterator[Config]:
    config = stack_config(root, sink__duckdb_path=root / "table" / "metrics.duckdb", stack__min_free_bytes=0)
    jars.fetch(config.jars, progress=False)
    with local.running(config):
        yield load.drill_config(config)


def test_a_full_disk_under_the_checkpoints_changes_no_row(tmp_path: Path, undisturbed: load.Rows) -> None:
    root = tmp_path / "stack"
    with ExitStack() as parts:
        disk = parts.enter_context(small_disk(Layout.of(root).checkpoints, 64))
        config = parts.enter_context(own_stack(root))
        job_id = parts.enter_context(pipeline.submitted(config))
        with pipeline.sinking(config):
            with load.loaded(config, tmp_path / "m.jsonl", SECONDS):
                with full(disk):
                    load.wait_until(
                        lambda: cluster.checkpoint_status(config, job_id).failed_checkpoints >= 2,
                        60,
                        "checkpoints fail",
                    )
                    before_ms = load.started_ms(config, job_id)
                    pipeline.kill(config, "taskmanager")
                    load.wait_until(lambda: load.runs_since(config, job_id, before_ms), 60, "the job runs again")
                done = cluster.checkpoint_status(config, job_id).completed_checkpoints
                load.wait_until(
                    lambda: cluster.checkpoint_status(config, job_id).completed_checkpoints > done, 60, "they succeed"
                )
            assert cluster.checkpoint_status(config, job_id).last_failure
            # State is small, so the JobManager may be the one that writes it.
            logs = Layout.of(root).logs.glob("flink--*")
            assert any("No space left on device" in log.read_text(errors="replace") for log in logs)
            load.assert_undisturbed(config, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def test_a_full_disk_under_the_broker_changes_no_row(tmp_path: Path, undisturbed: load.Rows) -> None:
    root = tmp_path / "stack"
    with ExitStack() as parts:
        disk = parts.enter_context(small_disk(Layout.of(root).kafka, 400))
        config = parts.enter_context(own_stack(root))
        parts.enter_context(pipeline.submitted(config))
        with pipeline.sinking(config):
            with load.loaded(config, tmp_path / "m.jsonl", SECONDS) as generator:
                with full(disk):
                    load.wait_until(lambda: state_of(config, "kafka") != "RUNNING", 90, "the broker stops")
                    assert "No space left on device" in (Layout.of(root).logs / "kafka.log").read_text(errors="replace")
                    assert generator.poll() is None
                assert local.up(config) is False
                assert state_of(config, "kafka") == "RUNNING"
            load.assert_undisturbed(config, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def state_of(config: Config, role: str) -> str:
    return next(process.state for process in local.status(config) if process.name == role)


def test_a_full_disk_under_the_table_is_one_line_and_nothing_is_half_written(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    with small_disk(tmp_path / "table", 32) as disk:
        path = disk / "metrics.duckdb"
        config = drilled.model_copy(update={"sink": drilled.sink.model_copy(update={"duckdb_path": path})})
        command = [sys.executable, "-m", "rtea", "sink", "duckdb"]
        with pipeline.submitted(config):
            with pipeline.generating(config, tmp_path / "m.jsonl", *load.arguments(SECONDS)) as generator:
                with pipeline.sinking(config):
                    pipeline.wait_for_rows(config)
                with full(disk):
                    sink = subprocess.run(command, env=load.environment(config), capture_output=True, text=True)
                    assert (sink.returncode, sink.stderr.count("\n")) == (7, 1)
                    assert "no room on the disk" in sink.stderr
                    stored = make_sink(config, "duckdb").read(0, 2**52)
                    assert stored
                assert generator.wait() == 0
            with pipeline.sinking(config):
                load.assert_undisturbed(config, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def test_a_read_only_table_is_one_line(drilled: Config, tmp_path: Path) -> None:
    with small_disk(tmp_path / "table", 32) as disk:
        path = disk / "metrics.duckdb"
        config = drilled.model_copy(update={"sink": drilled.sink.model_copy(update={"duckdb_path": path})})
        make_sink(config, "duckdb").open()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        command = [sys.executable, "-m", "rtea", "sink", "duckdb"]
        sink = subprocess.run(command, env=load.environment(config), capture_output=True, text=True, timeout=120)
        assert (sink.returncode, sink.stderr.count("\n")) == (10, 1)
        assert "ead-only" in sink.stderr
        assert make_sink(config, "duckdb").read(0, 2**52) == []


@pytest.mark.quick
def test_a_full_temporary_directory_is_replaced_or_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "tmp", 1) as temporary:
        arguments = ["--sink", "file", "--path", str(tmp_path / "events.ndjson"), "--procs", "2", "--no-progress"]
        arguments += ["--manifest", str(tmp_path / "manifest.jsonl")]
        generator = [sys.executable, "-m", "rtea_gen", *arguments]
        environment = os.environ | {"TMPDIR": str(temporary)}

        # Full at the start: the system's other directories are used.
        with full(temporary):
            subprocess.run([*generator, "--events", "1000"], env=environment, check=True)
            table = tmp_path / "metrics.duckdb"
            subprocess.run([sys.executable, "-c", WRITE, str(table)], env=environment, check=True)
        assert manifest.read(tmp_path / "manifest.jsonl").end.complete

        # Full on the way: windows of a second, each with its truth.
        many = ["--events", "2000000", "--rate", "20000", "--speed", "0", "--overwrite"]
        ran = subprocess.run(
            [*generator, *many], env=environment | {"RTEA_JOB__WINDOW_MS": "1000"}, capture_output=True, text=True
        )
        assert ran.returncode == DiskSpaceError.exit_code, ran.stderr
        assert ran.stderr.count("\n") == 1, ran.stderr
        assert str(temporary) in ran.stderr
        assert not manifest.read(tmp_path / "manifest.jsonl").end.complete
        assert list(temporary.iterdir()) == []
