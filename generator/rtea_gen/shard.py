"""One shard: takes every `procs`-th event, encoded in Rust in batches, and passes it to an outlet.

It runs in a process of its own. Events go to the outlet (`rtea_gen.outlet`). Finished windows of the ground truth go to
a file that `rtea_gen.truth` merges into the manifest. Figures go to shared memory.
"""

import ctypes
import errno
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import BinaryIO

import msgspec

from rtea import manifest
from rtea.errors import DiskSpaceError
from rtea_gen import plan as plans
from rtea_gen.figures import LAST_NUMBER, Figures, Numbers
from rtea_gen.latency import LatencyClock
from rtea_gen.outlet import StoppedError, is_orphan, open_outlet
from rtea_gen.plan import Plan

BATCH_EVENTS = 2_000
TICK_SECONDS = 0.01

MAX_AHEAD_MS = 1_000
"""How far an event may be ahead of the slowest shard's acknowledged events, in event time. This limits how far a
partition's records are out of order, at any speed: if the watermark delay is longer, no event is late. A single shard
sends each partition in order, and needs no limit."""

MAX_UNACKED_SECONDS = 2.0
"""The manifest covers events only up to the last moment at which all sent records were acknowledged. If there was no
such moment for this long, the shard waits for one."""


class Outcome(msgspec.Struct, frozen=True):
    """How a shard ended, in addition to its figures."""

    first_error: str
    is_closed: bool


class Files(msgspec.Struct, frozen=True):
    """The files of a shard. `already` has the numbers of the events that an earlier run sent, or is None."""

    truth: Path
    outcome: Path
    manifest: Path
    already: Path | None


def run(plan: Plan, shard: int, numbers: "Numbers[ctypes.c_longlong]", stop: Event, files: Files) -> None:
    """Send this shard's events. This is the entry point of the process. If the temporary directory is full, its exit
    code is that of `DiskSpaceError`.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # The parent decides when to stop.
    with open(files.manifest, "rb") as held:
        # While any shard lives, no other run may go on with this manifest.
        manifest.hold(held, files.manifest, together=True)
        truth = files.truth.open("wb")
        try:
            outcome = Shard(plan, shard, Figures(numbers), stop, truth, files.already).send_all()
            with _on_the_scratch_disk():
                files.outcome.write_bytes(msgspec.json.encode(outcome))
        except DiskSpaceError as error:
            sys.exit(error.exit_code)
        finally:
            with suppress(OSError):  # After each write it was flushed: nothing is left but what did not fit.
                truth.close()


@contextmanager
def _on_the_scratch_disk() -> Iterator[None]:
    """Say that the temporary directory is full, if a write finds no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskSpaceError(f"no room for temporary files: {error.strerror}") from error


class Shard:
    """The loop of one shard: wait until events are due, send a batch of them."""

    def __init__(
        self, plan: Plan, shard: int, figures: Figures, stop: Event, truth: BinaryIO, already: Path | None
    ) -> None:
        self._plan, self._shard, self._figures, self._stop, self._truth = plan, shard, figures, stop, truth
        self._schedule = plans.Schedule(plan)
        self._hold_ms = plans.hold_ms(plan.config)
        self._stream = plans.stream(plan.config, plan.start_ms)
        numbers = already.read_bytes() if already else None
        self._outlet = open_outlet(plan, shard, self._stream, numbers, self._is_over)
        self._acked_s = time.monotonic()
        self._latency = LatencyClock(lambda ms, count: figures.add_latency(shard, ms, count))

    def _is_over(self) -> bool:
        return self._stop.is_set() or is_orphan()

    def send_all(self) -> Outcome:
        """Send until all events are sent or the run is stopped, then wait for all acknowledgements."""
        plan, outlet = self._plan, self._outlet
        number = plan.first + (self._shard - plan.first) % plan.procs
        while self._may_send(number):
            count = self._due(number)
            if count == 0:
                self._wait(number)
                continue
            self._note_behind(number)
            try:
                outlet.send(number, plan.procs, count)
            except StoppedError:
                break
            number += count * plan.procs
            self._note(number)
            if time.monotonic() - self._acked_s > MAX_UNACKED_SECONDS:
                outlet.hasten(MAX_UNACKED_SECONDS)
                self._note_acked(number)
        ends_early = plan.events is None or number < plan.events
        with suppress(StoppedError):
            outlet.finish(self._schedule.time_ms((number if ends_early else plan.events or 1) - 1) if number else 0)
        self._note(number)
        outlet.close()
        self._note(number)
        self._write_truth(LAST_NUMBER)  # All events are acknowledged, so all windows are correct.
        self._figures.set(self._shard, "acked", LAST_NUMBER)
        return Outcome(outlet.first_error, outlet.is_closed)

    def _may_send(self, number: int) -> bool:
        """Whether there is more to send, and the outlet still takes it."""
        events = self._plan.events
        outlet_takes = not (self._outlet.is_closed or self._outlet.is_broken)
        return not self._is_over() and outlet_takes and (events is None or number < events)

    def _due(self, number: int) -> int:
        """How many of this shard's events may be sent now."""
        plan = self._plan
        last = math.inf if plan.events is None else plan.events
        full = number + BATCH_EVENTS * plan.procs
        limit = min(self._schedule.due_number(time.time()), self._most_ahead(), last, full)
        return max(0, math.ceil((limit - number) / plan.procs))

    def _most_ahead(self) -> float:
        """Number of the first event that is too far ahead of the slowest shard's acknowledged events."""
        if self._plan.procs == 1:
            return math.inf
        slowest_ms = self._schedule.time_ms(max(min(self._figures.all("acked")), self._plan.first))
        return self._schedule.number_at(slowest_ms + MAX_AHEAD_MS) + self._plan.procs

    def _wait(self, number: int) -> None:
        """Wait a moment until the next event is due; if other shards are behind, for acknowledgements."""
        if number >= self._most_ahead():
            self._outlet.hasten(TICK_SECONDS)
        self._note_acked(number)
        if self._due(number) == 0:
            self._figures.set(self._shard, "behind_us", 0)
            self._outlet.wait(TICK_SECONDS)

    def _note_behind(self, number: int) -> None:
        if self._plan.config.generator.speed:
            behind_us = int(max(0.0, time.time() - self._schedule.due_at_s(number)) * 1e6)
            self._figures.set(self._shard, "behind_us", behind_us)
            most_us = max(behind_us, self._figures.get(self._shard, "most_behind_us"))
            self._figures.set(self._shard, "most_behind_us", most_us)

    def _note(self, number: int) -> None:
        """Write the shard's progress to its figures."""
        outlet, figures, shard = self._outlet, self._figures, self._shard
        figures.set(shard, "next", number)
        figures.set(shard, "sent", outlet.sent)
        figures.set(shard, "failed", outlet.failed)
        figures.set(shard, "size_bytes", outlet.size_bytes)
        figures.set(shard, "moved", outlet.moved)
        figures.set(shard, "cpu_us", int(time.process_time() * 1e6))
        self._latency.note_sent(outlet.sent)
        self._note_acked(number)

    def _note_acked(self, number: int) -> None:
        outstanding = self._outlet.outstanding()
        self._latency.note_acked(self._outlet.sent - outstanding)
        if outstanding == 0:
            self._acked_s = time.monotonic()
        if outstanding == 0 and number > self._figures.get(self._shard, "acked"):
            self._figures.set(self._shard, "acked", number)
            self._write_truth(self._schedule.time_ms(number) - self._hold_ms)

    def _write_truth(self, until_ms: int) -> None:
        """Write the windows that end by `until_ms`; none after a failure, because they may count undelivered events."""
        if self._outlet.failed:
            return
        with _on_the_scratch_disk():
            for window in self._stream.take_truth(until_ms):
                encoded = msgspec.msgpack.encode(window)
                self._truth.write(len(encoded).to_bytes(4, "little") + encoded)
            self._truth.flush()
        self._figures.set(self._shard, "truth_ms", until_ms)
