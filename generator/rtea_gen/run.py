"""A run: spawns the shards, shows progress, and merges their ground truth into the growing manifest."""

import errno
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from rtea import _core, manifest, topics
from rtea.config import Config
from rtea.errors import ConfigError, DeliveryError, DiskSpaceError
from rtea_gen import interrupts, metrics, plan, shard
from rtea_gen.figures import Figures, spawning
from rtea_gen.outlet import STOP_SECONDS, file_of
from rtea_gen.plan import Plan, Schedule
from rtea_gen.shard import Files, Outcome
from rtea_gen.truth import Merger, Totals

POLL_SECONDS = 0.2

MOST_SECONDS = 9.0
"""How long shards may take to end after Ctrl-C: a pipe that nobody reads would block a shard without end."""


@dataclass(frozen=True)
class Summary:
    """The outcome of a run. `seconds` is the time from its start to the last acknowledgement. `complete` is the value
    in the manifest. `problem` says what an interrupted run could not deliver.
    """

    figures: Figures
    seconds: float
    interrupted: bool
    is_closed: bool
    complete: bool
    problem: str

    @property
    def sent(self) -> int:
        """The number of records that all shards sent."""
        return sum(self.figures.all("sent"))


class _Speed(ProgressColumn):
    """Events per second; empty while the speed is unknown."""

    def render(self, task: Task) -> Text:
        """Render the column."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


@dataclass(frozen=True)
class Earlier:
    """The state of an earlier run with the same manifest."""

    keep_bytes: int
    totals: Totals
    already: _core.SentNumbers


def require_new(wanted: Plan, manifest_file: Path | None) -> None:
    """Check that a new run overwrites no file.

    Raises:
        ConfigError: the manifest or a file of events exists.
    """
    if manifest_file and manifest_file.is_file() and manifest_file.stat().st_size:
        raise ConfigError(
            f"manifest {manifest_file} exists: continue its run with --resume, replace it with --overwrite, or name "
            "another with --manifest"
        )
    if wanted.config.generator.sink == "file":
        for path in (file_of(wanted, number) for number in range(wanted.procs)):
            if path.is_file():
                raise ConfigError(f"file {path} exists: replace it with --overwrite, or name another with --path")


def run(wanted: Plan, manifest_file: Path | None, *, earlier: Earlier | None = None, progress: bool = True) -> Summary:
    """Send a plan's events and meanwhile write the manifest, if it has a file. Ctrl-C stops the run within ten seconds;
    the manifest then covers what was acknowledged. A second Ctrl-C stops it at once.

    Raises:
        BrokerError, MissingTopicError: the events topic cannot be reached.
        DeliveryError: events were not acknowledged, or a shard died; the manifest says so.
        ConfigError: the manifest or a file of events cannot be written to; nothing was sent.
        PortInUseError: the port for metrics is in use.
        DiskSpaceError: the disk is full.
    """
    if manifest_file and not os.access(manifest_file.absolute().parent, os.W_OK):
        raise ConfigError(f"manifest {manifest_file} cannot be written: name a folder that exists with --manifest")
    check(wanted.config, wanted)
    try:
        with ExitStack() as held:
            scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="rtea-gen-")))
            path = manifest_file or scratch / "manifest.jsonl"
            writer = held.enter_context(manifest.Writer(path, earlier.keep_bytes if earlier else 0))
            if not earlier:
                writer.add(_header(wanted))
            with interrupts.blocked():  # For Python's helper process, which _Run starts.
                made = _Run(wanted, path, writer, scratch, earlier)
            return made.go(progress=progress)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskSpaceError(
            f"manifest {manifest_file or 'file'} cannot be written: {error}: free some space"
        ) from error


def check(config: Config, wanted: Plan) -> None:
    """Check that the destination takes events; send nothing.

    Raises:
        BrokerError, MissingTopicError, ConfigError: as `run`.
    """
    plan.stream(config, wanted.start_ms)
    sink, kafka = config.generator.sink, config.kafka
    if sink == "file":
        folder = file_of(wanted, 0).absolute().parent
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"folder {folder} cannot be written to: name a file elsewhere with --path")
    if sink != "kafka":
        return
    partitions = topics.list_partitions(kafka).get(kafka.events_topic)
    if partitions is None:
        raise topics.missing(kafka, kafka.events_topic)
    idle = config.faults.idle_partition
    if idle is not None and (idle >= partitions or partitions < 2):
        raise ConfigError(f"faults.idle_partition is {idle}, but {kafka.events_topic} has {partitions} partitions")


def _header(wanted: Plan) -> manifest.Header:
    config = wanted.config
    return manifest.Header(
        manifest.VERSION,
        config.generator.seed,
        wanted.start_ms,
        config.job.window_ms,
        config.generator.rate,
        config.generator.format,
        config.kafka.events_topic,
        round(wanted.began_s * 1000),
        wanted.events,
        plan.settings(config),
        topics.find_id(config.kafka, config.kafka.events_topic) if config.generator.sink == "kafka" else "",
    )


class _Run:
    """The shards of one run, with their figures and files."""

    def __init__(
        self, wanted: Plan, path: Path, writer: manifest.Writer, scratch: Path, earlier: Earlier | None
    ) -> None:
        self._plan, self._writer = wanted, writer
        self._totals = earlier.totals if earlier else Totals()
        already = None
        if earlier:
            already = scratch / "already"
            already.write_bytes(earlier.already.to_bytes())
        indices = range(wanted.procs)
        self._files = [Files(scratch / f"truth-{n}", scratch / f"outcome-{n}", path, already) for n in indices]
        config = wanted.config
        categories = plan.categories(config.generator)
        self._merger = Merger([files.truth for files in self._files], config.job, categories)
        context = spawning()
        self._stop = context.Event()
        self._figures = Figures.of(context, wanted.procs)
        self._processes: list[BaseProcess] = [
            context.Process(
                target=shard.run,
                args=(wanted, n, self._figures.numbers, self._stop, self._files[n]),
                name=f"shard-{n}",
            )
            for n in indices
        ]

    def go(self, *, progress: bool) -> Summary:
        """Run to the end."""
        began_s = max(time.time(), self._plan.began_s)
        with (
            metrics.serving(self._plan, self._figures),
            interrupts.counted() as seen,
            _stopping(self._processes, self._stop),
        ):
            with interrupts.blocked():  # A shard inherits this, and then sets its own handlers.
                for process in self._processes:
                    process.start()
            try:
                self._watch(seen, progress=progress)
            except OSError as error:
                if error.errno != errno.EIO:  # The terminal that showed the progress is gone.
                    raise
            self._stop.set()
            while any(process.is_alive() for process in self._processes):
                if seen.is_second or (seen.first_s and time.monotonic() > seen.first_s + MOST_SECONDS):
                    _kill(self._processes)
                time.sleep(0.05)
        seconds = time.time() - began_s
        ended = zip(self._processes, self._files, strict=True)
        paths = [files.outcome for process, files in ended if process.exitcode == 0]
        outcomes = [msgspec.json.decode(path.read_bytes(), type=Outcome) for path in paths]
        is_closed = any(outcome.is_closed for outcome in outcomes)
        first_error = next((o.first_error for o in outcomes if o.first_error), "")
        complete, problem = self._finish(is_closed=is_closed, first_error=first_error)
        interrupted = bool(seen.first_s)
        if problem and not interrupted:
            raise (DiskSpaceError if self._is_disk_full() else DeliveryError)(problem)
        return Summary(self._figures, seconds, interrupted, is_closed, complete, problem)

    def _is_disk_full(self) -> bool:
        return any(process.exitcode == DiskSpaceError.exit_code for process in self._processes)

    def _watch(self, seen: interrupts.Seen, *, progress: bool) -> None:
        """Show progress and write windows until the shards end; return early if one dies, or on a signal."""
        columns = (
            TextColumn("events"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar:
            task = bar.add_task("events", total=self._plan.events, completed=self._plan.first)
            while any(process.is_alive() for process in self._processes):
                if seen.first_s or any(process.exitcode for process in self._processes):
                    return
                done = min(self._figures.all("next"))
                bar.update(task, completed=min(max(done, self._plan.first), self._plan.events or done))
                self._write_windows()
                time.sleep(POLL_SECONDS)

    def _write_windows(self) -> None:
        """Write the windows whose events are all acknowledged."""
        for window in self._merger.take(min(self._figures.all("truth_ms"))):
            self._writer.add(window)
            self._totals.add(window)

    def _finish(self, *, is_closed: bool, first_error: str) -> tuple[bool, str]:
        """Write the end of the manifest; return whether it is complete, and what went wrong."""
        self._write_windows()
        dead = [process.name for process in self._processes if process.exitcode]
        failed = sum(self._figures.all("failed"))
        faults = dict(self._totals.faults)
        if moved := sum(self._figures.all("moved")):
            faults["idle_partition"] = moved
        after = max(min(self._figures.all("next")), self._plan.first)
        after = after if self._plan.events is None else min(after, self._plan.events)
        last_ms = Schedule(self._plan).time_ms(max(after - 1, 0))
        complete = not dead and not failed and not is_closed
        self._writer.add(manifest.End(self._totals.records, failed, last_ms, complete, faults, after))
        problem = ""
        if dead:
            cause = f"{', '.join(dead)} died"
            if self._is_disk_full():
                cause = f"no room for temporary files in {tempfile.gettempdir()}, free some space or set TMPDIR"
            problem = f"{cause}: the manifest is marked incomplete"
            if self._plan.config.generator.sink == "kafka":
                problem += "; continue with the same command and --resume"
        elif failed:
            sent = sum(self._figures.all("sent"))
            problem = f"{failed} of {sent} events were not delivered: {first_error}; the manifest is marked incomplete"
        return complete, problem


def _kill(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.pid is not None:
            process.kill()
            process.join()


@contextmanager
def _stopping(processes: Sequence[BaseProcess], stop: Event) -> Iterator[None]:
    """Stop all shards at the end of a block, even after an error."""
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            if process.pid is not None:
                process.join(timeout=3 * STOP_SECONDS)
        _kill(processes)
