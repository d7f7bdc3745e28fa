"""Measures a running pipeline: Flink's metrics, CPU seconds of each process, and the sink's progress."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import msgspec
import psutil

from rtea.config import Config
from rtea.doctor import examination
from rtea.doctor.finding import Finding
from rtea.errors import JobError, StackError
from rtea.job import cluster, progress
from rtea.job.progress import PENDING, RECORDS_OUT, WATERMARK
from rtea.stack import local

RATE_SECONDS = 5.0
"""The rate is the average over so long."""

PROBLEMS_SECONDS = 5.0
"""Time between two looks for problems."""


class Written(msgspec.Struct, frozen=True):
    """One line of the sink's JSON progress: a window's rows became readable. Times in ms UTC."""

    window_start_ms: int
    window_end_ms: int
    revision: int
    is_final: bool
    rows: int
    readable_at_ms: int


@dataclass(frozen=True)
class Sample:
    """One measurement of the job: all records read so far, records still in Kafka, watermark in ms UTC."""

    at_s: float
    records: float
    lag: float
    watermark_ms: float


@dataclass
class Monitor:
    """Collects samples, CPU seconds and written windows of one run."""

    config: Config
    job_id: str
    behind_ms: int = 0
    """How far event time is behind the clock."""
    samples: list[Sample] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    """What `rtea doctor` finds wrong with the job."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    _processes: dict[str, psutil.Process] = field(default_factory=dict)
    _baselines: dict[str, float] = field(default_factory=dict)
    _source_id: str = ""
    _watermarks_id: str = ""

    def watch_process(self, name: str, pid: int) -> None:
        """Count the CPU seconds of a process and its descendants from now on."""
        self._processes[name] = process = psutil.Process(pid)
        self._baselines[name] = _tree_seconds(process)
        self.cpu_seconds[name] = 0.0

    def watch_stack(self) -> None:
        """Count the CPU seconds of Kafka and Flink from now on."""
        for process in local.status(self.config):
            if process.pid:
                self.watch_process(process.name, process.pid)

    def read_progress(self, lines: IO[bytes]) -> threading.Thread:
        """Collect the sink's progress lines in the background until they end."""

        def collect() -> None:
            for line in lines:
                self.written.append(msgspec.json.decode(line, type=Written))

        thread = threading.Thread(target=collect, name="sink-progress", daemon=True)
        thread.start()
        return thread

    def look(self) -> None:
        """Look for problems of the job now."""
        try:
            self.problems = examination.problems_of_jobs(self.config)
        except Exception as error:  # The view goes on, and the next look may succeed.
            self.problems = [Finding("job", "warning", f"cannot be asked: {error}")]

    @contextmanager
    def finding_problems(self) -> Iterator[None]:
        """Look for problems of the job again and again during a block, in a thread: Kafka and Flink may be slow."""
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(PROBLEMS_SECONDS):
                self.look()

        thread = threading.Thread(target=look, name="problems", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()  # The thread ends with its look, or with the process.

    def sample(self) -> Sample | None:
        """Take a sample; None if Flink does not answer, for example while the job restarts."""
        for name, process in self._processes.items():
            used = _tree_seconds(process) - self._baselines[name]
            self.cpu_seconds[name] = max(self.cpu_seconds[name], used)
        try:
            if not self._watermarks_id:
                vertices = cluster.describe(self.config, self.job_id)["vertices"]
                self._source_id = progress.find_vertex(vertices, progress.SOURCE)
                self._watermarks_id = progress.find_vertex(vertices, progress.WATERMARKS)
            found = cluster.metrics(self.config, self.job_id, self._source_id, [RECORDS_OUT, PENDING])
            found |= cluster.metrics(self.config, self.job_id, self._watermarks_id, [WATERMARK])
            sample = Sample(time.time(), found[RECORDS_OUT]["sum"], found[PENDING]["sum"], found[WATERMARK]["min"])
        except (StackError, JobError, KeyError):
            return None
        self.samples.append(sample)
        return sample

    def rate_hz(self) -> float:
        """Records per second read by the job over the last seconds."""
        recent = (
            [sample for sample in self.samples if sample.at_s >= self.samples[-1].at_s - RATE_SECONDS]
            if self.samples
            else []
        )
        seconds = recent[-1].at_s - recent[0].at_s if recent else 0.0
        return (recent[-1].records - recent[0].records) / seconds if seconds else 0.0

    def freshness_s(self, written: Written) -> float:
        """Seconds from a window's end to its rows being readable."""
        return (written.readable_at_ms - written.window_end_ms - self.behind_ms) / 1000

    def freshness_of_windows_s(self) -> list[float]:
        """Seconds from each window's end to its first final rows being readable, in window order."""
        first: dict[int, Written] = {}
        for written in list(self.written):
            if written.is_final:
                first.setdefault(written.window_start_ms, written)
        return [self.freshness_s(first[start_ms]) for start_ms in sorted(first)]


def _tree_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process, its living descendants, and its children that have ended."""
    try:
        members = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return float(
        sum(times.user + times.system for times in members) + members[0].children_user + members[0].children_system
    )
