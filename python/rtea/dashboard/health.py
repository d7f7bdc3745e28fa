"""How the pipeline is: asks Flink and Kafka every few seconds, in a thread."""

import threading
import time
from pathlib import Path
from typing import Any

from rtea import manifest, topics, verify
from rtea.config import Config
from rtea.errors import JobError, RteaError, StackError
from rtea.job import cluster, progress
from rtea.job.names import JOB_NAME, written_topics
from rtea.manifest import Window
from rtea.sinks.contract import Sink

EVERY_SECONDS = 5.0
VERIFY_SECONDS = 15.0
SETTLE_SECONDS = 10.0
"""A window's rows count as missing only so long after its end."""


class Health:
    """The newest answers, as `found`."""

    def __init__(self, config: Config, sink: Sink | None) -> None:
        self._config, self._sink = config, sink
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._verified_s = 0.0
        self.found: dict[str, Any] = {"problem": "", "job": None, "partitions": [], "verified": None}

    def start(self) -> None:
        """Start asking."""
        self._thread.start()

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.found = self._ask()
            self._stop.wait(EVERY_SECONDS)

    def _ask(self) -> dict[str, Any]:
        found: dict[str, Any] = {"problem": "", "job": None, "partitions": [], "verified": self.found["verified"]}
        try:
            (name, topic), *_ = written_topics(self._config).items()
            running = cluster.running(self._config)
            jobs = [each for each, told in running if told.get(name) == topic and each.name == JOB_NAME]
            if not jobs:
                found["problem"] = f"no job writes topic {topic}"
                found["command"] = "rtea job submit"
            else:
                found |= self._of_job(jobs[0])
        except StackError as error:
            found["problem"], found["command"] = str(error), "rtea stack up"
        except RteaError as error:
            found["problem"] = str(error)
        self._verify(found)
        return found

    def _of_job(self, job: cluster.Job) -> dict[str, Any]:
        checkpoints = cluster.checkpoint_status(self._config, job.id)
        found: dict[str, Any] = {
            "job": {
                "id": job.id,
                "state": job.state,
                "checkpoints": checkpoints.completed_checkpoints,
                "failed_checkpoints": checkpoints.failed_checkpoints,
                "restarts": cluster.restarts(self._config, job.id),
            }
        }
        if job.state != "RUNNING":
            found["problem"] = f"the job is {job.state.lower()}: {cluster.root_cause(self._config, job.id)}"
            return found
        try:
            reached = progress.of_job(self._config, job.id)
        except JobError:
            return found  # It starts, and shows no figures yet.
        ends = topics.end_offsets(self._config.kafka, self._config.kafka.events_topic)
        now_ms = time.time_ns() // 1_000_000
        found["job"]["lag"] = reached.lag
        found["job"]["watermark_ms"] = reached.watermark_ms
        found["partitions"] = [
            {
                "partition": number,
                "lag": max(0, ends.get(number, 0) - (each.next_offset or 0)),
                "delay_s": None if each.event_time_ms is None else max(0.0, (now_ms - each.event_time_ms) / 1000),
                "is_idle": each.is_idle,
                "holds": number == reached.slowest and not each.is_idle,
            }
            for number, each in sorted(reached.partitions.items())
        ]
        return found

    def _verify(self, found: dict[str, Any]) -> None:
        path = self._config.dashboard.manifest
        if path is None or self._sink is None or time.monotonic() < self._verified_s + VERIFY_SECONDS:
            return
        self._verified_s = time.monotonic()
        try:
            windows = _finished(path, self._config)
            if windows:
                report = verify.verify(windows, self._sink)
                found["verified"] = {"matching": report.matching, "windows": report.windows}
        except RteaError as error:
            found["verified"] = {"problem": str(error)}


def _finished(path: Path, config: Config) -> list[Window]:
    """The windows of a run, which may go on, that must be final in the table by now."""
    sent = manifest.read_cut(path)
    behind_ms = sent.header.began_ms - sent.header.start_ms
    reached_ms = time.time_ns() // 1_000_000 - behind_ms - config.job.watermark_delay_ms - int(SETTLE_SECONDS * 1000)
    return [window for window in sent.windows if window.window_end_ms <= reached_ms]
