"""Promises: `kill -9` of any process of the pipeline, at any moment, changes no row, no count of refused events and no
dead letter; the job runs again within 30 s of a kill of the TaskManager."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rtea import manifest
from rtea.config import Config
from rtea.job import cluster
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

RECOVERY_SECONDS = 30


def kill_taskmanager(config: Config, job_id: str) -> float:
    """Kill it; returns the seconds until every task of the job runs again."""
    before_ms = load.started_ms(config, job_id)
    pipeline.kill(config, "taskmanager")
    return load.wait_until(lambda: load.runs_since(config, job_id, before_ms), 60, "the job runs again")


def test_a_taskmanager_killed_three_times_at_random_moments(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    moments = load.chaos(1)
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            recoveries = []
            for _ in range(3):
                load.wait_s(moments.uniform(0.0, 4.0))
                recoveries.append(kill_taskmanager(drilled, job_id))
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)
    print(f"recovered within {[round(seconds, 1) for seconds in recoveries]} s", file=sys.stderr)
    assert max(recoveries) < RECOVERY_SECONDS


def test_a_taskmanager_killed_again_while_the_job_recovers(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            first = pipeline.kill(drilled, "taskmanager")
            load.wait_until(lambda: not load.is_running(drilled, job_id), 30, "the job notices")
            pipeline.wait_for_another(drilled, "taskmanager", first)
            kill_taskmanager(drilled, job_id)
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)


@pytest.mark.quick
def test_a_killed_jobmanager(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            pid = pipeline.kill(drilled, "jobmanager")
            pipeline.wait_for_another(drilled, "jobmanager", pid)
            took_s = load.wait_until(lambda: load.is_running(drilled, job_id), 60, "the job runs again")
            print(f"recovered {took_s:.1f} s after the JobManager was back", file=sys.stderr)
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def test_a_killed_zookeeper(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            pid = pipeline.kill(drilled, "zookeeper")
            pipeline.wait_for_another(drilled, "zookeeper", pid)
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)
        assert load.is_running(drilled, job_id)


@pytest.mark.quick
def test_a_killed_udf_worker(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    config = load.drill_config(drilled, python_mode="process")
    with pipeline.submitted(config) as job_id, pipeline.sinking(config):
        with load.loaded(config, tmp_path / "m.jsonl", SECONDS):
            before_ms = load.started_ms(config, job_id)
            worker = load.udf_workers(config)[-1]
            worker.send_signal(signal.SIGKILL)
            load.wait_until(lambda: load.runs_since(config, job_id, before_ms), 60, "the job runs again")
        load.assert_undisturbed(config, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def test_a_broker_killed_under_load(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            pid = pipeline.kill(drilled, "kafka")
            pipeline.wait_for_another(drilled, "kafka", pid)
        load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)


def test_a_generator_shard_killed_and_resumed(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    path = tmp_path / "m.jsonl"
    command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), "--no-progress", *load.arguments(SECONDS)]
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        with subprocess.Popen(command, env=load.environment(drilled)) as generator:
            pipeline.wait_for_rows(drilled)
            shards = [
                child for child in psutil.Process(generator.pid).children() if "spawn_main" in " ".join(child.cmdline())
            ]
            os.kill(shards[0].pid, signal.SIGKILL)
            assert generator.wait(60) != 0
        again = [*command[:3], "--manifest", str(path), "--no-progress", *load.options(), "--resume"]
        resumed = subprocess.run(again, env=load.environment(drilled))
        assert resumed.returncode == 0
        load.assert_undisturbed(drilled, manifest.read(path), undisturbed)


def test_a_sink_killed_at_random_moments(drilled: Config, tmp_path: Path, undisturbed: load.Rows) -> None:
    moments = load.chaos(2)
    command = [sys.executable, "-m", "rtea", "sink", "duckdb"]
    with pipeline.submitted(drilled):
        with pipeline.generating(drilled, tmp_path / "m.jsonl", *load.arguments(SECONDS)) as generator:
            while generator.poll() is None:
                with subprocess.Popen(command, env=load.environment(drilled)) as sink:
                    load.wait_s(moments.uniform(1.0, 8.0))
                    sink.kill()
            assert generator.wait() == 0
        with pipeline.sinking(drilled):
            load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)
    assert cluster.jobs(drilled)
