"""Outlets: they send a shard's events to Kafka, a file or a pipe.

`rtea_gen.shard` calls an outlet, which takes the events from the stream in the form that it can send fastest. A new
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
"""Longer than the producer's timeout for a message, so every message is acknowledged or has failed by then."""

STOP_SECONDS = 5
"""How long a stopped run waits for missing acknowledgements."""

NUDGE_SECONDS = 0.05
"""How long `flush` may run without an acknowledgement; after that, use `poll` to wait."""


class StoppedError(Exception):
    """The run was stopped while the broker accepted no records."""


FAULT_HEADER = "rtea_fault"
"""Header of records with an injected fault: kind of fault and event number. It identifies malformed records too."""

Record = tuple[bytes, bytes | None, int, int, str | None]
"""Key, value, timestamp in ms, event number, fault."""


class Outlet(ABC):
    """Takes the events of one shard, in order."""

    sent = 0
    """Records passed on."""
    failed = 0
    """Records that were not delivered."""
    size_bytes = 0
    """Bytes of the values."""
    moved = 0
    """Records that went to another partition because their key's partition must stay idle."""
    first_error = ""
    is_closed = False
    """Whether the reader closed the pipe. Nothing more can be sent; this is not an error."""
    is_broken = False
    """Whether an error occurred after which nothing more can be sent."""

    @abstractmethod
    def send(self, first: int, stride: int, count: int) -> None:
        """Send `count` events: `first`, `first + stride` and so on."""

    @abstractmethod
    def finish(self, end_ms: int) -> None:
        """Send the events that fault injection still holds back at the end."""

    @abstractmethod
    def outstanding(self) -> int:
        """Number of records that are not acknowledged yet."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Wait for acknowledgements, at most this long."""

    def hasten(self, seconds: float) -> None:
        """Like `wait`, but send now what waits in unfinished batches."""
        self.wait(seconds)

    @abstractmethod
    def close(self) -> None:
        """Wait for all acknowledgements; records without one at the end have failed."""


class KafkaOutlet(Outlet):
    """Sends to the events topic: idempotent, acknowledged by all replicas."""

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
        # Positional arguments and a loop in C: keywords and a Python loop would cost a quarter of what the calls cost.
        arguments = (repeat(self._topic), left, keys, repeat(-1), repeat(self._on_delivery), repeat(None), times)
        calls = map(self._producer.produce, *arguments)
        while True:
            try:
                deque(calls, maxlen=0)
                break
            except BufferError:
                # The failed call has already taken its record from the iterator.
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
                # The broker is slower than the generator: wait for room, do not drop the record.
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
        """Flush for a while; if the broker does not answer, only wait."""
        end_s = time.monotonic() + seconds
        while (outstanding := len(self._producer)) and (left_s := end_s - time.monotonic()) > 0:
            if outstanding != self._stuck_at or time.monotonic() >= self._nudge_s:
                self._stuck_at = self._producer.flush(min(NUDGE_SECONDS, left_s))
                self._nudge_s = time.monotonic() + 20 * NUDGE_SECONDS
            else:
                self._producer.poll(min(NUDGE_SECONDS, left_s))

    def close(self) -> None:
        """Wait for the acknowledgements; records that have none when the wait is over have failed."""
        end_s = time.monotonic() + FLUSH_SECONDS
        while len(self._producer) and time.monotonic() < end_s and not self._patience.is_over():
            self.hasten(1.0)
        if undelivered := len(self._producer):
            # Count them here: the purge also reports each of them as failed.
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
        """Whether waiting must end now."""
        if self._end_s == math.inf and self._is_stopped():
            self._end_s = time.monotonic() + STOP_SECONDS
        return time.monotonic() >= self._end_s


class WholeFile(io.RawIOBase):
    """Writes all bytes, or raises. A raw file may take only some of them, and a full non-blocking pipe takes none."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def writable(self) -> bool:
        """Return True."""
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
    """Writes to a file or to standard output: JSON lines or concatenated MessagePack, compressed or not."""

    def __init__(self, plan: Plan, stream: _core.EventStream, file: WholeFile) -> None:
        generator = plan.config.generator
        self._stream, self._format, self._compression = stream, generator.format, generator.compression
        self._open = ExitStack()
        self._raw = self._open.enter_context(file)
        self._file: Any = None

    def _begin(self) -> None:
        """Begin the compression, if there is one: it may write a header at once."""
        if self._file is not None:
            return
        self._file = file = self._raw
        if self._compression == "gzip":
            # Level 1: higher levels save a tenth of the size and take three times as long. The header has no name and
            # no time, so equal runs give equal bytes.
            self._file = self._open.enter_context(gzip.GzipFile("", "wb", 1, file, mtime=0))
        elif self._compression == "zstd":
            compressor = zstandard.ZstdCompressor(level=3)
            writer = compressor.stream_writer(cast("IO[bytes]", file), closefd=False)
            self._file = self._open.enter_context(writer)

    def send(self, first: int, stride: int, count: int) -> None:
        """Write events; blocks while a pipe is full."""
        self._write(self._stream.values(first, stride, count, self._format), count)

    def finish(self, end_ms: int) -> None:
        """Write the events that are still held back."""
        self._write(self._stream.finish_values(end_ms, self._format), 0)

    def _write(self, values: bytes, count: int) -> None:
        try:
            self._begin()
            self._file.write(values)
        except BrokenPipeError:
            self.is_closed = True
        except OSError as error:
            self.is_broken, self.failed = True, self.failed + max(count, 1)
            self.first_error = self.first_error or error.strerror or str(error)
        self.sent += count
        self.size_bytes += len(values)

    def outstanding(self) -> int:
        """Return 0: a write needs no acknowledgement."""
        return 0

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def close(self) -> None:
        """End the compression and close the file."""
        try:
            self._begin()
            self._open.close()
        except BrokenPipeError:
            self.is_closed = True
        except OSError as error:
            self.failed, self.first_error = max(self.failed, 1), self.first_error or error.strerror or str(error)


def file_of(plan: Plan, shard: int) -> Path:
    """The file that a shard writes: the named one, or, with several shards, one with the shard's number in its name.

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
    """Open a shard's outlet according to the settings; `is_over` tells whether the run was stopped."""
    sink = plan.config.generator.sink
    if sink == "stdout":
        return FileOutlet(plan, stream, WholeFile(io.FileIO(os.dup(1), "wb")))
    if sink == "file":
        return FileOutlet(plan, stream, WholeFile(io.FileIO(file_of(plan, shard), "wb")))
    return KafkaOutlet(plan, stream, already, is_over)


def is_orphan() -> bool:
    """Whether the parent process has ended, so that nobody reads the shard's files."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def producer_settings(plan: Plan) -> topics.ClientSettings:
    """The settings of the generator's producer."""
    return topics.connection(plan.config.kafka) | {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        # While a connected broker does not answer, librdkafka's thread polls without a pause as soon as five requests
        # are in flight. So reconnect early: this is cheap, and idempotence removes what is sent twice.
        "socket.timeout.ms": 3_000,
        "reconnect.backoff.max.ms": 1_000,
        # Fewer, larger requests: half the broker's CPU at 50,000/s for 40 ms of latency.
        "linger.ms": 50,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 131_072,
        # Like Kafka's Java clients, so that every client sends a key to the same partition.
        "partitioner": "murmur2_random",
        # Reports of success would cost more than encoding, and only failures must be counted.
        "delivery.report.only.error": True,
    }
