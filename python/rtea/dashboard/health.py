"""How the pipeline is: asks Flink and Kafka every few seconds, in a thread."""

import logging
import threading
import time
from typing import Any

from rtea import manifest, topics, verify
from rtea.config import Config
from rtea.errors import RteaError, StackError
from rtea.job import cluster, progress
from rtea.sinks.contract import Sink

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
VERIFY_SECONDS = 15.0
SETTLE_MS = 10_000
"""A window's rows count as missing only so long after the watermark has passed its end."""


class Health:
    """The newest answers, as `found`."""

    def __init__(self, config: Config, sink: Sink | None) -> None:
        self._config, self._sink = config, sink
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._verified_s = 0.0
        self._equal: set[int] = set()
        self.found: dict[str, Any] = {"problem": "", "job": None, "partitions": [], "verified": None}

    def start(self) -> None:
        """Start asking."""
        self._thread.start()

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        self._thread.join(timeout=5)  # A table's server may be slow; the thread ends with the process.

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.found = self._ask()
            except Exception as error:  # The page says it, and asks again.
                logger.exception("the pipeline cannot be asked")
                self.found = self.found | {"problem": f"the pipeline cannot be asked: {error}"}
            self._stop.wait(EVERY_SECONDS)

    def _ask(self) -> dict[str, Any]:
        found: dict[str, Any] = {"problem": "", "job": None, "partitions": [], "verified": self.found["verified"]}
        try:
            jobs = cluster.live(self._config)
            if not jobs:
                found["problem"] = f"no job writes topic {self._config.kafka.results_topic}"
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
        except progress.NoFiguresError:
            return found  # It starts.
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
        """Compare the windows that were not equal before, up to the watermark."""
        path, reached_ms = self._config.dashboard.manifest, (found["job"] or {}).get("watermark_ms")
        is_due = time.monotonic() >= self._verified_s + VERIFY_SECONDS
        if path is None or not path.exists() or self._sink is None or reached_ms is None or not is_due:
            return
        self._verified_s = time.monotonic()
        settled_ms = min(reached_ms, time.time_ns() // 1_000_000) - SETTLE_MS
        try:
            sent = manifest.read_cut(path).windows
            due = [window for window in sent if window.window_end_ms <= settled_ms]
            left = [window for window in due if window.window_start_ms not in self._equal]
            report = verify.verify(left, self._sink)
        except RteaError as error:
            found["verified"] = {"problem": str(error)}
            return
        self._equal |= {window.window_start_ms for window in left} - report.problems.keys()
        if due:
            found["verified"] = {"matching": len(due) - len(report.problems), "windows": len(due)}
