"""Keeps the accepted events as they came, so that a metric that is thought of tomorrow can be counted for yesterday.

`events/TOPIC-ID/partition=3/00000000000000100000.parquet` has events of a partition; the first one has an offset
of 100,000 or more. The newest file of each partition is written again as a whole until it is full. The files themselves
say how far the archive has come: so each event is in it once, also after a crash.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from rtea import events, maps, topics
from rtea.config import Config
from rtea.errors import BrokerError, InvalidEventError, MissingTopicError, SinkError
from rtea.events import Event
from rtea.sinks.identity import TopicIdentity
from rtea.sinks.parquet.files import replace
from rtea.sinks.runner import UNAVAILABLE

logger = logging.getLogger(__name__)

FILE_RECORDS = 100_000
"""Most events of one file."""

FILE_BYTES = 64 * 2**20
"""A file is full when its events have this many bytes. Each partition's newest file is in memory."""

READ_RECORDS = 1_000
"""Most records that are read at once."""

POLL_SECONDS = 0.5

LOOK_SECONDS = 10.0
"""Time between two looks for new partitions."""


def folder_of(root: Path, topic: str, topic_id: str) -> Path:
    """The folder of a topic's events. The client spells ids in base64, which has a slash.

    >>> folder_of(Path("events"), "shop", "a/b+c").name
    'shop-a_b-c'
    """
    return root / f"{topic}-{topic_id.replace('/', '_').replace('+', '-')}"


Decode = Callable[[bytes], Event | None]


class Archive:
    """Writes the events topic to files below a folder, until it is stopped."""

    def __init__(self, config: Config, folder: Path, compression: str, interval_s: float) -> None:
        import pyarrow.parquet

        self._pyarrow: Any = pyarrow
        self._config, self._compression, self._interval_s = config, compression, interval_s
        self._topic = config.kafka.events_topic
        self._root = folder / "events"
        event_map = maps.load(config.events.map)
        self._decode: Decode = event_map.decode if event_map else events.decode
        self._files: dict[int, _File] = {}
        self._reached: dict[int, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Read and write until `stop` is set. If another process writes this archive, wait until it ends.

        Raises:
            BrokerError, MissingTopicError: the topic cannot be read, or was deleted and recreated.
            SinkError, DiskSpaceError: a file cannot be read or written. Nothing is lost: the next run reads it again.
        """
        identity = TopicIdentity(self._config, self._topic, "restart the sink, which keeps the events of both")
        self._folder = folder_of(self._root, self._topic, identity.id)
        settings = topics.connection(self._config.kafka) | {
            "group.id": "rtea-archive",  # The client wants a name; nothing is committed.
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            # By default, it reads 64 MiB ahead.
            "queued.max.messages.kbytes": 16_384,
        }
        with closing(identity), self._alone(stop), closing(Consumer(settings)) as consumer:
            next_look_s = 0.0
            next_write_s = time.monotonic() + self._interval_s
            while not stop.is_set():
                self._require_same_topic(identity)
                if time.monotonic() >= next_look_s:
                    self._assign_new(consumer)
                    next_look_s = time.monotonic() + LOOK_SECONDS
                for message in consumer.consume(READ_RECORDS, POLL_SECONDS):
                    self._take(message)
                if time.monotonic() >= next_write_s:
                    self._write_all()
                    next_write_s = time.monotonic() + self._interval_s
            self._write_all()

    def _require_same_topic(self, identity: TopicIdentity) -> None:
        try:
            identity.check()
        except MissingTopicError:
            self._write_all()  # What was read is nowhere else any more.
            raise

    @contextmanager
    def _alone(self, stop: threading.Event) -> Iterator[None]:
        """Hold the folder's lock, or wait for it until `stop` is set."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise SinkError(
                f"folder {self._folder} cannot be used: {error.strerror}: name another with --path"
            ) from error
        try:
            is_told = False
            while not _locks(lock) and not stop.is_set():
                if not is_told:
                    logger.warning("another process archives to %s: this one waits to take over", self._folder)
                is_told = True
                stop.wait(POLL_SECONDS)
            yield
        finally:
            os.close(lock)

    def _assign_new(self, consumer: Consumer) -> None:
        """Read partitions that are not read yet, each from where its files end."""
        try:
            known = topics.bounds(self._config.kafka, self._topic)
        except (BrokerError, MissingTopicError) as error:
            logger.warning("%s: waiting", error)  # The next look asks again.
            return
        for partition, (oldest, _) in known.items():
            is_new = partition not in self._files
            if is_new:
                self._files[partition] = self._newest_file(partition)
                self._reached[partition] = self._files[partition].next_offset
            reached = self._reached[partition]
            if 0 < reached < oldest:
                logger.warning(
                    "partition %d: offsets %d to %d were deleted from the topic before they were archived",
                    partition, reached, oldest - 1,
                )  # fmt: skip
            self._reached[partition] = max(reached, oldest)
            if is_new:
                consumer.incremental_assign([TopicPartition(self._topic, partition, self._reached[partition])])

    def _newest_file(self, partition: int) -> "_File":
        """The newest file of a partition, to add to it."""
        folder = self._folder / f"partition={partition}"
        for left in folder.glob("*.tmp"):
            left.unlink(missing_ok=True)  # A killed run left it half written.
        newest = max(folder.glob("*.parquet"), default=None)
        if newest is None:
            return _File(0)
        try:
            table = self._pyarrow.parquet.read_table(newest, partitioning=None)
        except (OSError, self._pyarrow.ArrowException) as error:
            raise SinkError(f"{newest} cannot be read: {error}: move it away, and restart the sink") from error
        file = _File(int(newest.stem))
        for column, values in zip(file.columns, table.columns, strict=True):
            # Python's dates end with the year 9999; producers' timestamps do not.
            is_time = self._pyarrow.types.is_timestamp(values.type)
            column.extend((values.cast(self._pyarrow.int64()) if is_time else values).to_pylist())
        file.size_bytes = sum(map(len, file.columns[-1]))
        return file

    def _take(self, message: Message) -> None:
        error = message.error()
        if error:
            if error.code() in UNAVAILABLE:
                return  # The consumer waits for the brokers.
            raise BrokerError(f"topic {self._topic} cannot be read: {error.str()}")
        partition, offset = message.partition() or 0, message.offset() or 0
        file = self._files[partition]
        if offset < file.next_offset:
            return  # A broker that lost records was read from its start again.
        self._reached[partition] = max(self._reached[partition], offset + 1)
        value = message.value() or b""
        event = self._accepted(value)
        if event is None:
            return
        if file.is_full:
            self._write(partition, file)
            file = self._files[partition] = _File(offset)
        file.add(partition, offset, message.timestamp()[1], event, value)

    def _accepted(self, value: bytes) -> Event | None:
        if len(value) > self._config.job.max_event_bytes:
            return None
        wanted = self._config.events.format
        if wanted != "auto" and value and events.sniff(value) != wanted:
            return None
        try:
            event = self._decode(value)
        except InvalidEventError:
            return None
        latest_ms = time.time_ns() // 1_000_000 + self._config.job.max_skew_ms
        return event if event is not None and event.event_time <= latest_ms else None

    def _write_all(self) -> None:
        for partition, file in self._files.items():
            self._write(partition, file)

    def _write(self, partition: int, file: "_File") -> None:
        if not file.is_changed:
            return
        pa = self._pyarrow
        schema = pa.schema(
            [
                pa.field("partition", pa.int32(), False),
                pa.field("offset", pa.int64(), False),
                pa.field("record_time", pa.timestamp("ms", tz="UTC"), False),
                pa.field("event_time", pa.timestamp("ms", tz="UTC"), False),
                pa.field("event_type", pa.string(), False),
                pa.field("value", pa.binary(), False),
            ]
        )
        columns = [pa.array(values, field.type) for values, field in zip(file.columns, schema, strict=True)]
        path = self._folder / f"partition={partition}" / f"{file.first:020d}.parquet"
        replace(path, pa.Table.from_arrays(columns, schema=schema), self._compression)
        file.is_changed = False


def _locks(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _File:
    """The accepted events of a file, by column."""

    def __init__(self, first: int) -> None:
        self.first, self.size_bytes, self.is_changed = first, 0, False
        self.columns: tuple[list[Any], ...] = ([], [], [], [], [], [])

    @property
    def next_offset(self) -> int:
        """The offset behind the last event."""
        return int(self.columns[1][-1]) + 1 if self.columns[1] else self.first

    @property
    def is_full(self) -> bool:
        """Whether the next event belongs to a new file."""
        return len(self.columns[1]) >= FILE_RECORDS or self.size_bytes >= FILE_BYTES

    def add(self, partition: int, offset: int, timestamp_ms: int, event: Event, value: bytes) -> None:
        """Add the next event."""
        row = (partition, offset, timestamp_ms, event.event_time, event.event_type, value)
        for column, cell in zip(self.columns, row, strict=True):
            column.append(cell)
        self.size_bytes += len(value)
        self.is_changed = True
