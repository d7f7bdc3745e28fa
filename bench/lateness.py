"""What a day of allowed lateness costs: state, checkpoints, corrections and recovery.

Phones keep events while they are offline, so 1 % of the events come up to a day late. The generator sends 50,000
events/s, and event time runs 60 times as fast as the clock: after 25 minutes, more than a day of windows is open for
corrections. Then the TaskManager is killed. At the end all rows are compared with the manifest.

    python -m bench.lateness

Promises: checkpoints hold less than 400 MiB and take less than 2 s; the job runs again within 60 s; all rows match.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import requests
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from bench import machine
from rtea import config as configuration
from rtea import manifest, topics, verify
from rtea.config import Config
from rtea.job import cluster, progress
from rtea.job import submit as job
from rtea.sinks.registry import make_sink
from rtea.stack import local, rest

DAY_MS = 86_400_000
RATE_HZ = 50_000
SPEED = 60
SAMPLE_SECONDS = 5
MOST_STATE_BYTES = 400 * 2**20
MOST_CHECKPOINT_MS = 2_000
MOST_RECOVERY_SECONDS = 60


class Sample(msgspec.Struct):
    """One look at the job."""

    state_bytes: int
    checkpoint_ms: int
    heap_bytes: int


@click.command
@click.option("--hours", default=25.0, show_default=True, type=click.FloatRange(min=1), help="Of event time.")
@click.option("--late-share", default=0.01, show_default=True, type=click.FloatRange(0, 1))
@click.option("--state-dir", default=Path(".rtea/lateness"), type=click.Path(path_type=Path))
def main(hours: float, late_share: float, state_dir: Path) -> None:
    """Run the measurement; exit code 1 if a promise is not kept."""
    config = configuration.load(
        flags={
            "stack.state_dir": state_dir,
            "sink.duckdb_path": state_dir / "metrics.duckdb",
            "job.allowed_lateness_ms": DAY_MS,
            "generator.speed": SPEED,
            "generator.rate": RATE_HZ // SPEED,
            "faults.disorder_share": late_share,
            "faults.disorder_ms": DAY_MS - 600_000,
        }
    )
    shutil.rmtree(state_dir, ignore_errors=True)
    environment = os.environ | configuration.as_environment(config)
    with local.running(config):
        job_id = job.submit(config)
        path = state_dir / "manifest.jsonl"
        command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), "--no-progress"]
        sink = subprocess.Popen(
            [sys.executable, "-m", "rtea", "sink", "duckdb"], env=environment, stdout=subprocess.DEVNULL
        )
        generator = subprocess.Popen([*command, "--duration", str(int(hours * 3600))], env=environment)
        try:
            samples = []
            while generator.poll() is None:
                time.sleep(SAMPLE_SECONDS)
                samples.append(_sample(config, job_id))
                print(samples[-1], flush=True)
            recovery_s = _recover(config, job_id)
            _wait_until_read(config, job_id)
            # A window of a day ago is corrected every 2.4 hours: the end of the job makes the last corrections come.
            rest.post(config, f"/jobs/{job_id}/stop", {"drain": True})
            windows = manifest.read(path).finished(config.job.watermark_delay_ms, config.kafka.partitions)
            report = verify.wait_for(windows, make_sink(config, "duckdb"), 600)
        finally:
            for process in (generator, sink):
                process.terminate()
                process.wait(60)
    print(machine.describe())
    kept = _promises(samples, recovery_s, report)
    for promise, is_kept in kept.items():
        print(f"{promise}: {'kept' if is_kept else 'NOT KEPT'}")
    sys.exit(0 if all(kept.values()) else 1)


def _get(config: Config, path: str) -> Any:
    return requests.get(f"{rest.address(config)}{path}", timeout=10).json()


def _sample(config: Config, job_id: str) -> Sample:
    latest = _get(config, f"/jobs/{job_id}/checkpoints")["latest"]["completed"] or {}
    (manager, *_) = _get(config, "/taskmanagers")["taskmanagers"]
    (heap,) = _get(config, f"/taskmanagers/{manager['id']}/metrics?get=Status.JVM.Memory.Heap.Used")
    return Sample(latest.get("state_size", 0), latest.get("end_to_end_duration", 0), int(heap["value"]))


def _recover(config: Config, job_id: str) -> float:
    """Kill the TaskManager; seconds until every task runs again."""

    def runs_again() -> bool:
        try:
            details = cluster.describe(config, job_id)
        except Exception:  # The JobManager answers again in a moment.
            return False
        states = [(vertex["status"], vertex["start-time"] / 1_000) for vertex in details["vertices"]]
        return all(status == "RUNNING" and started_s > killed_s for status, started_s in states)

    (pid,) = [process.pid for process in local.status(config) if process.name == "taskmanager"]
    killed_s = time.time()
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    Retrying(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(300), wait=wait_fixed(0.2))(runs_again)
    return time.time() - killed_s


def _wait_until_read(config: Config, job_id: str) -> None:
    """Wait until the restarted job has read again what came after its checkpoint: a drain would leave it unread. Its
    figures are those of the time before until it has made checkpoints of its own.
    """
    before = cluster.checkpoint_status(config, job_id).completed_checkpoints

    def has_read_all() -> bool:
        if cluster.checkpoint_status(config, job_id).completed_checkpoints < before + 2:
            return False
        ends = topics.end_offsets(config.kafka, config.kafka.events_topic)
        try:
            reached = progress.of_job(config, job_id).partitions
        except progress.NoFiguresError:  # It shows them in a moment.
            return False
        return all((reached[number].next_offset or 0) >= end for number, end in ends.items())

    Retrying(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(300), wait=wait_fixed(0.5))(
        has_read_all
    )


def _promises(samples: list[Sample], recovery_s: float, report: verify.Report) -> dict[str, bool]:
    state_bytes = max(sample.state_bytes for sample in samples)
    slowest_ms = max(sample.checkpoint_ms for sample in samples)
    heap_bytes = min(sample.heap_bytes for sample in samples[-20:])
    return {
        f"state {state_bytes / 2**20:.0f} of {MOST_STATE_BYTES / 2**20:.0f} MiB (least heap in use at the end: "
        f"{heap_bytes / 2**20:.0f} MiB)": state_bytes < MOST_STATE_BYTES,
        f"checkpoints {slowest_ms} of {MOST_CHECKPOINT_MS} ms": slowest_ms < MOST_CHECKPOINT_MS,
        f"runs again after {recovery_s:.1f} of {MOST_RECOVERY_SECONDS} s": recovery_s < MOST_RECOVERY_SECONDS,
        str(report): report.passed,
    }


if __name__ == "__main__":
    main()
