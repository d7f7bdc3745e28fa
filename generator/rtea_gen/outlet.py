"""Where a shard's events go: Kafka, or a file or pipe.

Called by `rtea_gen.shard`; draws the events from the stream in the form it can send fastest. A new
outlet is a class here and a line in `open_outlet`.
"""

import gzip
import io
import math
import multiprocessing
import os
import select
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import repeat
from operator import length_hint
from pathlib import Path
from typing import IO, Any, cast

import zstandard
from confluent_kafka import KafkaError, Message, Producer

from rtea import _core, topics
from rtea_gen.plan import Plan

FLUSH_SECONDS = 330
"""Longer than the producer's own limit for a message, so that every message ends one way or the other."""

STOP_SECONDS = 5
"""How long a run that was stopped waits for acknowledgements that are missing."""

NUDGE_SECONDS = 0.05
"""How long `flush` may run without an acknowledgement: after it, waiting is left to `poll`."""


class StoppedError(Exception):
    """The run was stopped while the broker took no more records."""


FAULT_HEADER = "rtea_fault"
"""Header of corrupted records: kind and event number, so that a malformed one can be told as well."""

Record = tuple[bytes, bytes | None, int, int, str | None]
"""Key, value, timestamp in ms, event number, fault."""


class Outlet(ABC):
    """Takes the events of one shard, in order."""

    sent = 0
    """Records handed over."""
    failed = 0
    """Records that were refused."""
    size_bytes = 0
    """Bytes of the values."""
    moved = 0
    """Records that went to another partition than their key's."""
    first_error = ""
    is_closed = False
    """Whether the reader has gone: nothing more can be sent, and nothing is wrong."""
    is_broken = False
    """Whether nothing more can be sent, and that is wrong."""

    @abstractmethod
    def send(self, first: int, stride: int, count: int) -> None:
        """Send `count` events from `first` on."""

    @abstractmethod
    def finish(self, end_ms: int) -> None:
        """Send what is still held back at the end."""

    @abstractmethod
    def outstanding(self) -> int:
        """Records that are not acknowledged yet."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Wait for acknowledgements or the time to pass."""

    def hasten(self, seconds: float) -> None:
        """Wait like that, but send at once what waits to be batched."""
        self.wait(seconds)

    @abstractmethod
    def close(self) -> None:
        """Wait for every acknowledgement; whatever has none by then has failed."""


class KafkaOutlet(Outlet):
    """The events topic; idempotent, waits for all replicas."""

    def __init__(
        self, plan: Plan, stream: _core.EventStream, already: bytes | None, is_over: Callable[[], bool]
    ) -> None:
        config = plan.config
        self._patience = _Patience(is_over)
        self._stream, self._format = stream, config.generator.format
        self._topic, self._idle = config.kafka.events_topic, config.faults.idle_partition
        self._partitions = topics.list_partitions(config.kafka)[self._topic] if self._idle is not None else 0
        self._already = _core.SentNumbers.from_bytes(already, config.generator.seed) if already else None
        self._is_plain = not config.faults.is_active and self._idle is None and self._already is None
        self._producer = Producer(producer_settings(plan))
        self._stuck_at, self._nudge_s = -1, 0.0

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.failed += 1
            self.first_error = self.first_error or error.str()

    def send(self, first: int, stride: int, count: int) -> None:
        """Send events; waits while the producer's queue is full."""
        if self._is_plain:
            self._send_plain(*self._stream.batch(first, stride, count, self._format))
        else:
            self._send_records(self._stream.records(first, stride, count, self._format))

    def _send_plain(self, keys: Sequence[bytes], values: Sequence[bytes], times: Sequence[int]) -> None:
        left = iter(values)
        # By position, and in a loop without Python: names and the interpreter cost as much as a quarter of the calls.
        arguments = (repeat(self._topic), left, keys, repeat(-1), repeat(self._on_delivery), repeat(None), times)
        calls = map(self._producer.produce, *arguments)
        while True:
            try:
                deque(calls, maxlen=0)
                break
            except BufferError:
                # The call that failed has taken its record off the others.
                number = len(values) - length_hint(left) - 1
                try:
                    self._insist(keys[number], values[number], -1, times[number], None)
                except StoppedError:
                    self.sent += len(values)
                    self.failed += len(values) - number
                    raise
        self._producer.poll(0)
        self.sent += len(values)
        self.size_bytes += sum(map(len, values))

    def _send_records(self, records: Sequence[Record]) -> None:
        for key, value, time_ms, number, fault in records:
            if self._already is not None and self._already.contains(number, fault == "duplicate"):
                continue
            headers = [(FAULT_HEADER, f"{fault} {number}".encode())] if fault else None
            self.sent += 1
            try:
                self._insist(key, value, self._partition(key), time_ms, headers)
            except StoppedError:
                self.failed += 1
                raise
            self.size_bytes += len(value or b"")
        self._producer.poll(0)

    def _partition(self, key: bytes) -> int:
        if self._idle is None:
            return -1
        partition = _core.partition_of(key, self._partitions)
        if partition != self._idle:
            return partition
        self.moved += 1
        return (partition + 1) % self._partitions

    def _insist(
        self, key: bytes, value: bytes | None, partition: int, time_ms: int, headers: list[tuple[str, bytes]] | None
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value,
                    key,
                    partition,
                    self._on_delivery,
                    None,
                    time_ms,
                    headers,  # type: ignore[arg-type]
                )
                return
            except BufferError:
                # The broker is slower than we are: wait for room rather than drop.
                self._producer.poll(0.05)
                if is_orphan():
                    raise SystemExit(1) from None
                if self._patience.is_over():
                    raise StoppedError from None

    def finish(self, end_ms: int) -> None:
        """Send what is still held back."""
        self._send_records(self._stream.finish(end_ms, self._format))

    def outstanding(self) -> int:
        """Length of the producer's queue."""
        return len(self._producer)

    def wait(self, seconds: float) -> None:
        """Serve the producer for a while."""
        self._producer.poll(seconds)

    def hasten(self, seconds: float) -> None:
        """Flush for a while, and only wait while the broker does not answer."""
        end_s = time.monotonic() + seconds
        while (outstanding := len(self._producer)) and (left_s := end_s - time.monotonic()) > 0:
            if outstanding != self._stuck_at or time.monotonic() >= self._nudge_s:
                self._stuck_at = self._producer.flush(min(NUDGE_SECONDS, left_s))
                self._nudge_s = time.monotonic() + 20 * NUDGE_SECONDS
            else:
                self._producer.poll(min(NUDGE_SECONDS, left_s))

    def close(self) -> None:
        """Wait for the acknowledgements; what has none when the patience is over has failed."""
        end_s = time.monotonic() + FLUSH_SECONDS
        while len(self._producer) and time.monotonic() < end_s and not self._patience.is_over():
            self.hasten(1.0)
        if undelivered := len(self._producer):
            # Counted here, not by their reports.
            failed = self.failed
            self._producer.purge()
            self._producer.poll(0)
            self.failed = failed + undelivered
            self.first_error = self.first_error or "no acknowledgement"


class _Patience:
    """Ends `STOP_SECONDS` after the run was stopped."""

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self._is_stopped, self._end_s = is_stopped, math.inf

    def is_over(self) -> bool:
        """Whether waiting has to end."""
        if self._end_s == math.inf and self._is_stopped():
            self._end_s = time.monotonic() + STOP_SECONDS
        return time.monotonic() >= self._end_s


class WholeFile(io.RawIOBase):
    """Writes every byte, or raises: a raw file may take fewer, a full pipe that must not block takes none."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Write all of the bytes.

        Raises:
            OSError: the disk is full, or the file or pipe cannot be written to.
        """
        left = memoryview(data).cast("B")
        size_bytes = len(left)
        while left:
            written = self._file.write(left)
            if written is None:
                select.select([], [self._file], [])
            else:
                left = left[written:]
        return size_bytes

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class FileOutlet(Outlet):
    """A file, or standard output: JSON a line each, MessagePack end to end, compressed or not."""

    def __init__(self, plan: Plan, stream: _core.EventStream, file: WholeFile) -> None:
        generator = plan.config.generator
        self._stream, self._format = stream, generator.format
        self._open = ExitStack()
        self._file: Any = self._open.enter_context(file)
        if generator.compression == "gzip":
            # Level 1: higher ones save a tenth and take three times as long. No name and no time within, so that
            # equal runs give equal bytes.
            self._file = self._open.enter_context(gzip.GzipFile("", "wb", 1, file, mtime=0))
        elif generator.compression == "zstd":
            compressor = zstandard.ZstdCompressor(level=3)
            writer = compressor.stream_writer(cast("IO[bytes]", file), closefd=False)
            self._file = self._open.enter_context(writer)

    def send(self, first: int, stride: int, count: int) -> None:
        """Write events; blocks while a pipe is full."""
        self._write(self._stream.values(first, stride, count, self._format), count)

    def finish(self, end_ms: int) -> None:
        """Write what is still held back."""
        self._write(self._stream.finish_values(end_ms, self._format), 0)

    def _write(self, values: bytes, count: int) -> None:
        try:
            self._file.write(values)
        except BrokenPipeError:
            self.is_closed = True
        except OSError as error:
            self.is_broken, self.failed = True, self.failed + max(count, 1)
            self.first_error = self.first_error or error.strerror or str(error)
        self.sent += count
        self.size_bytes += len(values)

    def outstanding(self) -> int:
        """Nothing: what is written is written."""
        return 0

    def wait(self, seconds: float) -> None:
        """Wait for the time to pass."""
        time.sleep(seconds)

    def close(self) -> None:
        """End the compression and close the file."""
        try:
            self._open.close()
        except BrokenPipeError:
            self.is_closed = True
        except OSError as error:
            self.failed, self.first_error = max(self.failed, 1), self.first_error or error.strerror or str(error)


def file_of(plan: Plan, shard: int) -> Path:
    """The file that a shard writes: the one named, or, among several, one with the shard's number.

    >>> from rtea.config import Config
    >>> file_of(Plan(Config(), 0, 0.0, 1), 1).name
    'events-1.ndjson'
    """
    path = plan.config.generator.path
    stem, dot, suffixes = path.name.partition(".")
    return path if plan.procs == 1 else path.with_name(f"{stem}-{shard}{dot}{suffixes}")


def open_outlet(
    plan: Plan, shard: int, stream: _core.EventStream, already: bytes | None, is_over: Callable[[], bool]
) -> Outlet:
    """The outlet of a shard, as the settings name it; `is_over` tells whether the run was stopped."""
    sink = plan.config.generator.sink
    if sink == "stdout":
        return FileOutlet(plan, stream, WholeFile(io.FileIO(os.dup(1), "wb")))
    if sink == "file":
        return FileOutlet(plan, stream, WholeFile(io.FileIO(file_of(plan, shard), "wb")))
    return KafkaOutlet(plan, stream, already, is_over)


def is_orphan() -> bool:
    """Whether the parent is gone, and nobody will collect what the shard did."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


class LatencyClock:
    """Times acknowledgements without a callback each: when the k-th acknowledgement comes, how long ago
    the k-th record was sent. Exact where records are acknowledged in order, close to it otherwise.
    """

    def __init__(self, report: Callable[[float, int], None]) -> None:
        self._report = report
        self._waiting: deque[tuple[int, float]] = deque()
        self._reported = 0

    def note_sent(self, sent: int) -> None:
        """So many records were sent until now."""
        self._waiting.append((sent, time.monotonic()))

    def note_acked(self, acked: int) -> None:
        """So many records were acknowledged until now."""
        now_s = time.monotonic()
        while self._waiting and self._waiting[0][0] <= acked:
            sent, sent_s = self._waiting.popleft()
            self._report((now_s - sent_s) * 1000, sent - self._reported)
            self._reported = sent


def producer_settings(plan: Plan) -> topics.ClientSettings:
    """How the generator's producer is set."""
    return topics.connection(plan.config.kafka) | {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        # While a connected broker answers nothing, librdkafka's thread polls without a pause as soon as five requests
        # are in flight. Connecting again costs nothing, and what was sent twice counts once.
        "socket.timeout.ms": 3_000,
        "reconnect.backoff.max.ms": 1_000,
        # Fewer, larger requests: half the broker's CPU at 50,000/s for 40 ms of latency.
        "linger.ms": 50,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 131_072,
        # Like Kafka's Java clients, so that a key has one partition for every sender.
        "partitioner": "murmur2_random",
        # Reports of success would cost more than encoding; failures are what must be counted.
        "delivery.report.only.error": True,
    }
