"""A run: spawn the shards, show progress, merge their ground truth into the manifest."""

import errno
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rtea import _core, manifest, topics
from rtea.errors import ConfigError, DeliveryError, DiskSpaceError, MissingTopicError
from rtea_gen import shard
from rtea_gen.plan import Plan, Schedule
from rtea_gen.shard import Outcome

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Summary:
    """What a run did; `seconds` from the first due event to the last acknowledgement."""

    sent: int
    failed: int
    bytes: int
    seconds: float
    most_behind_s: float
    cpu_s: float
    interrupted: bool


def run(plan: Plan, manifest_file: Path, *, progress: bool = True) -> Summary:
    """Send a plan's events and write the manifest. Ctrl-C stops early: the manifest then covers
    what was sent.

    Raises:
        BrokerError, MissingTopicError: the events topic cannot be reached.
        DeliveryError: events were not acknowledged, or a shard died; the manifest says so.
        ConfigError: the manifest's folder cannot be written to; nothing was sent.
        DiskSpaceError: the disk is full.
    """
    if not os.access(manifest_file.absolute().parent, os.W_OK):
        raise ConfigError(f"manifest {manifest_file} cannot be written: name a folder that exists with --manifest")
    kafka = plan.config.kafka
    if kafka.events_topic not in topics.list_partitions(kafka):
        raise MissingTopicError(
            f"topic {kafka.events_topic} is missing at {kafka.bootstrap_servers}: run `rtea topics create`"
        )
    with tempfile.TemporaryDirectory(prefix="rtea-gen-") as scratch:
        try:
            return _run_in(plan, manifest_file, Path(scratch), progress=progress)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DiskSpaceError(f"manifest {manifest_file} cannot be written: {error}: free some space") from error


def _run_in(plan: Plan, manifest_file: Path, scratch: Path, *, progress: bool) -> Summary:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    positions = context.Array("q", range(plan.procs))
    files = [(scratch / f"truth-{index}", scratch / f"outcome-{index}") for index in range(plan.procs)]
    processes = [
        context.Process(target=shard.run, args=(plan, index, positions, stop, *files[index]), name=f"shard-{index}")
        for index in range(plan.procs)
    ]
    interrupted = False
    with _stopping(processes, stop):
        for process in processes:
            process.start()
        try:
            _watch(plan, processes, positions, progress=progress)
        except KeyboardInterrupt:
            interrupted = True
        stop.set()
        for process in processes:
            process.join()
    seconds = time.time() - plan.began_s
    outcomes = [msgspec.json.decode(outcome.read_bytes(), type=Outcome) for _, outcome in files if outcome.exists()]
    dead = [process.name for process in processes if process.exitcode]
    summary = Summary(
        sent=sum(outcome.sent for outcome in outcomes),
        failed=sum(outcome.failed for outcome in outcomes),
        bytes=sum(outcome.bytes for outcome in outcomes),
        seconds=seconds,
        most_behind_s=max((outcome.most_behind_s for outcome in outcomes), default=0.0),
        cpu_s=sum(outcome.cpu_s for outcome in outcomes),
        interrupted=interrupted,
    )
    _write_manifest(
        plan, manifest_file, [truth for truth, _ in files], summary, complete=not dead and not summary.failed
    )
    if dead:
        raise DeliveryError(f"{', '.join(dead)} died: the manifest is marked incomplete")
    if summary.failed:
        reason = next(outcome.first_error for outcome in outcomes if outcome.failed)
        raise DeliveryError(
            f"{summary.failed} of {summary.sent} events were not delivered: {reason}; the manifest is marked incomplete"
        )
    return summary


@contextmanager
def _stopping(processes: Sequence[BaseProcess], stop: "multiprocessing.synchronize.Event") -> Iterator[None]:
    """Leave no shard behind, whatever happens."""
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            if process.pid is not None:
                process.join(timeout=shard.FLUSH_SECONDS)
                process.kill()


def _watch(
    plan: Plan,
    processes: Sequence[BaseProcess],
    positions: "multiprocessing.sharedctypes.SynchronizedArray[int]",
    *,
    progress: bool,
) -> None:
    """Show progress until the shards end; returns early when one dies."""
    columns = (
        TextColumn("events"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar:
        task = bar.add_task("events", total=plan.events)
        while any(process.is_alive() for process in processes):
            if any(process.exitcode for process in processes):
                return
            sent = min(positions[:])
            bar.update(task, completed=min(sent, plan.events or sent))
            time.sleep(POLL_SECONDS)


def _write_manifest(plan: Plan, path: Path, truth_files: list[Path], summary: Summary, *, complete: bool) -> None:
    config = plan.config
    header = manifest.Header(
        manifest.VERSION,
        config.generator.seed,
        plan.start_ms,
        config.job.window_ms,
        config.generator.rate,
        config.generator.format,
        config.kafka.events_topic,
    )
    last_event_ms = Schedule(plan).time_ms(max(summary.sent - 1, 0))
    end = manifest.End(summary.sent, summary.failed, last_event_ms, complete)
    manifest.write(path, header, _merged_windows(truth_files, config.job.window_ms), end)


def _merged_windows(truth_files: list[Path], window_ms: int) -> Iterator[manifest.Window]:
    """The windows of all shards, in time order; only one window's visitors are in memory at a time."""
    places: dict[int, list[tuple[Path, int, int]]] = defaultdict(list)
    for path in truth_files:
        for start_ms, offset, length in _index(path):
            places[start_ms].append((path, offset, length))
    for start_ms in sorted(places):
        shards = [_read_truth(*place) for place in places[start_ms]]
        events, counts, revenue, visitors = _core.merge_truth(shards)
        rows = [manifest.Revenue(*entry) for entry in revenue]
        yield manifest.Window(start_ms, start_ms + window_ms, events, dict(counts), rows, dict(visitors))


def _index(path: Path) -> Iterator[tuple[int, int, int]]:
    """Start, offset and length of each window in a shard's file; a killed shard may have cut it off."""
    size = path.stat().st_size if path.exists() else 0
    offset = 0
    while offset + 4 <= size:
        with open(path, "rb") as file:
            file.seek(offset)
            length = int.from_bytes(file.read(4), "little")
            encoded = file.read(length)
        if len(encoded) < length:
            return
        start_ms, _ = msgspec.msgpack.decode(encoded, type=tuple[int, bytes])
        yield start_ms, offset + 4, length
        offset += 4 + length


def _read_truth(path: Path, offset: int, length: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        _, truth = msgspec.msgpack.decode(file.read(length), type=tuple[int, bytes])
    return truth
