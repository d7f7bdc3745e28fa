"""Promises: a process that pauses for 30 s and then continues, as under a debugger or on a machine that swaps, changes
no row. Neither its own work nor the work of those that believed it dead counts twice."""

from pathlib import Path

import psutil
import pytest

from rtea import manifest
from rtea.config import Config
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

PAUSE_SECONDS = 30.0


@pytest.mark.parametrize("role", ["taskmanager", "jobmanager", "kafka", "zookeeper"])
def test_a_paused_process_of_the_stack(role: str, drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            load.pause([pipeline.pid_of(drilled, role)], PAUSE_SECONDS)
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def test_a_paused_udf_worker(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    config = load.drill_config(drilled, python_mode="process")
    with pipeline.submitted(config), pipeline.sinking(config):
        with load.loaded(config, tmp_path / "m.jsonl", SECONDS):
            load.pause([worker.pid for worker in load.udf_workers(config)], PAUSE_SECONDS)
        load.assert_undisturbed(config, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def test_a_paused_generator_shard(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS) as generator:
            shards = psutil.Process(generator.pid).children()
            load.pause([shards[-1].pid], PAUSE_SECONDS)
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)
