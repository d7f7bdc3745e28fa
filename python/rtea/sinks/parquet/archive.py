"""Keeps the accepted events as they came, so that a metric that is thought of tomorrow can be counted for yesterday.

`events/TOPIC-ID/partition=3/00000000000000100000.parquet` has the events with the offsets from 100,000 to 199,999 of a
partition. A file is written again as a whole while its offsets fill up, and offsets are committed at the start of a
file only. So after a crash the same records give the same file, and each event is there once.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from rtea import events, maps, topics
from rtea.config import Config
from rtea.errors import BrokerError, InvalidEventError
from rtea.events import Event
from rtea.sinks.parquet.files import replace
from rtea.sinks.runner import UNAVAILABLE

FILE_RECORDS = 100_000
"""Offsets of one file."""

READ_RECORDS = 5_000
POLL_SECONDS = 0.5

Decode = Callable[[bytes], Event | None]


class Archive:
    """Writes the events topic to files below a folder, until it is stopped."""

    def __init__(self, config: Config, folder: Path, compression: str, interval_s: float) -> None:
        import pyarrow.compute
        import pyarrow.parquet

        self._pyarrow: Any = pyarrow
        self._config, self._compression, self._interval_s = config, compression, interval_s
        topic = config.kafka.events_topic
        self._topic_id = topics.find_id(config.kafka, topic)
        self._folder = folder / "events" / f"{topic}-{self._topic_id}"
        event_map = maps.load(config.events.map)
        self._decode: Decode = event_map.decode if event_map else events.decode
        self._files: dict[int, _File] = {}

    @property
    def group_id(self) -> str:
        """The consumer group: one for each folder and topic."""
        name = f"{self._folder.resolve()}"
        return f"{self._config.sink.group_id}-archive-{hashlib.sha256(name.encode()).hexdigest()[:12]}"

    def run(self, stop: threading.Event) -> None:
        """Read and write until `stop` is set.

        Raises:
            BrokerError: the topic cannot be read.
            SinkError, DiskSpaceError: a file cannot be written. Nothing is lost: the next run reads it again.
        """
        settings = topics.connection(self._config.kafka) | {
            "group.id": self.group_id,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
        with closing(Consumer(settings)) as consumer:
            consumer.subscribe([self._config.kafka.events_topic], on_revoke=self._forget, on_lost=self._forget)
            next_write_s = time.monotonic() + self._interval_s
            while not stop.is_set():
                for message in consumer.consume(READ_RECORDS, POLL_SECONDS):
                    self._take(message, consumer)
                if time.monotonic() >= next_write_s:
                    self._write_all()
                    next_write_s = time.monotonic() + self._interval_s
            self._write_all()

    def _forget(self, *_: object) -> None:
        # The next owner of the partitions reads from the start of their last files.
        self._files.clear()

    def _take(self, message: Message, consumer: Consumer) -> None:
        error = message.error()
        if error:
            if error.code() in UNAVAILABLE:
                return  # The consumer waits for the brokers.
            raise BrokerError(f"events topic cannot be read: {error.str()}")
        partition, offset = message.partition() or 0, message.offset() or 0
        first = offset // FILE_RECORDS * FILE_RECORDS
        file = self._files.get(partition)
        if file is not None and first > file.first:
            # All offsets of the file have passed.
            self._write(partition, file)
            self._commit(consumer, TopicPartition(message.topic() or "", partition, first))
            file = None
        if file is None:
            file = self._files[partition] = _File(first)
            self._keep_older(partition, file, offset)
        value = message.value()
        event = self._accepted(value)
        if event is not None:
            timestamp_ms = message.timestamp()[1]
            file.add(partition, offset, timestamp_ms, event, value or b"")

    def _keep_older(self, partition: int, file: "_File", offset: int) -> None:
        """Take over what an earlier run wrote of the offsets before this one: retention may have deleted them since."""
        path = self._path(partition, file)
        if path.exists():
            old = self._pyarrow.parquet.read_table(path, partitioning=None)
            old = old.filter(self._pyarrow.compute.field("offset") < offset)
            for column, values in zip(file.columns, old.columns, strict=True):
                column.extend(values.to_pylist())

    def _path(self, partition: int, file: "_File") -> Path:
        return self._folder / f"partition={partition}" / f"{file.first:020d}.parquet"

    def _accepted(self, value: bytes | None) -> Event | None:
        if value is None or len(value) > self._config.job.max_event_bytes:
            return None
        try:
            return self._decode(value)
        except InvalidEventError:
            return None

    def _commit(self, consumer: Consumer, place: TopicPartition) -> None:
        try:
            consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException as error:
            # Without the commit, the next run writes the same file again.
            if not error.args[0].retriable() and error.args[0].code() != KafkaError.ILLEGAL_GENERATION:
                raise BrokerError(f"offsets of the archive cannot be committed: {error.args[0].str()}") from error

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
        replace(self._path(partition, file), pa.Table.from_arrays(columns, schema=schema), self._compression)
        file.is_changed = False


class _File:
    """The accepted events of a file, by column."""

    def __init__(self, first: int) -> None:
        self.first, self.is_changed = first, False
        self.columns: tuple[list[Any], ...] = ([], [], [], [], [], [])

    def add(self, partition: int, offset: int, timestamp_ms: int, event: Event, value: bytes) -> None:
        row = (partition, offset, timestamp_ms, event.event_time, event.event_type, value)
        for column, cell in zip(self.columns, row, strict=True):
            column.append(cell)
        self.is_changed = True
