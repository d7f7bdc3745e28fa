"""Promises: the archive has each accepted event once, as it came, with its coordinates, also after restarts, with two
writers, with large events and with new partitions. Refused events are not in it. What it misses, it names.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from rtea import config as configuration
from rtea import events, topics
from rtea.config import Config
from rtea.errors import InvalidEventError, MissingTopicError
from rtea.sinks import identity
from rtea.sinks.parquet import archive
from rtea.sinks.parquet.archive import Archive
from tests.drills.test_foreign import make_again
from tests.flink import pipeline

parquet = pytest.importorskip("pyarrow.parquet")

EVENT = '{{"event_id":"e{0}","event_type":"search","source":"mobile","event_time":{1},"visitor_id":"v{0}"}}'
START_MS = 1_760_000_000_000


def values(first: int, count: int) -> list[bytes]:
    """Every seventh value is no event."""
    return [
        EVENT.format(number, START_MS + number).encode() if number % 7 else b"no event %d" % number
        for number in range(first, first + count)
    ]


def is_event(value: bytes) -> bool:
    try:
        events.decode(value)
    except InvalidEventError:
        return False
    return True


Place = tuple[int, int, bytes]
"""Partition, offset and value of an event."""


def archived(folder: Path) -> list[Place]:
    rows: list[dict[str, Any]] = []
    for file in folder.glob("events/*/partition=*/*.parquet"):
        rows += parquet.read_table(file, columns=["partition", "offset", "value"], partitioning=None).to_pylist()
    return sorted((row["partition"], row["offset"], row["value"]) for row in rows)


@contextmanager
def archiving(config: Config, folder: Path) -> Iterator[list[BaseException]]:
    """An archive in a thread, for a block; its errors."""
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            Archive(config, folder, "zstd", 0.1).run(stop)
        except BaseException as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    try:
        yield errors
    finally:
        stop.set()
        running.join()


def require(folder: Path, expected: list[Place], errors: list[BaseException]) -> None:
    """Wait until the archive has these events."""
    deadline_s = time.monotonic() + 60
    while archived(folder) != expected and not errors and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert not errors, errors
    assert archived(folder) == expected


def accepted(config: Config) -> list[Place]:
    """What is in the topic, by a reader of its own."""
    found = topics.read(config.kafka, config.kafka.events_topic)
    records = [(message.partition() or 0, message.offset() or 0, message.value() or b"") for message in found]
    return sorted(record for record in records if is_event(record[2]))


def newest(folder: Path) -> list[Path]:
    return sorted(folder.glob("events/*/partition=0/*.parquet"))


def test_the_archive_has_each_accepted_event_once(
    pipeline_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restarts find files in any state."""
    monkeypatch.setattr(archive, "FILE_RECORDS", 100)
    config = pipeline_config
    for first, count in ((0, 950), (950, 30), (980, 420)):
        pipeline.send(config, [(n % 4, START_MS + n, value) for n, value in enumerate(values(first, count))])
        with archiving(config, tmp_path) as errors:
            require(tmp_path, accepted(config), errors)
    of_partition = [place for place in accepted(config) if place[0] == 0]
    assert len(newest(tmp_path)) == -(-len(of_partition) // 100)


def test_what_retention_deletes_stays_in_the_archive(
    pipeline_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the topic loses before it was archived is named."""
    config = pipeline_config
    pipeline.send(config, [(0, START_MS, value) for value in values(0, 300)])
    before = accepted(config)
    with archiving(config, tmp_path) as errors:
        require(tmp_path, before, errors)
    pipeline.send(config, [(0, START_MS, value) for value in values(300, 100)])
    admin = AdminClient(topics.connection(config.kafka))
    for future in admin.delete_records([TopicPartition(config.kafka.events_topic, 0, 350)]).values():
        future.result()
    after = accepted(config)
    assert 0 < len(after) < 100
    with archiving(config, tmp_path) as errors:
        require(tmp_path, [*before, *after], errors)
    assert "to 349 were deleted from the topic before they were archived" in caplog.text


def test_a_second_archive_takes_over(pipeline_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = pipeline_config
    pipeline.send(config, [(0, START_MS, value) for value in values(0, 50)])
    with archiving(config, tmp_path) as first:
        require(tmp_path, accepted(config), first)
        with archiving(config, tmp_path) as second:
            pipeline.send(config, [(1, START_MS, value) for value in values(50, 50)])
            require(tmp_path, accepted(config), first + second)
            assert not second
    assert "another process archives to" in caplog.text


def test_files_are_limited_by_their_bytes(
    pipeline_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FILE_BYTES", 1_000)
    config = pipeline_config
    pipeline.send(config, [(0, START_MS, value) for value in values(0, 100)])
    with archiving(config, tmp_path) as errors:
        require(tmp_path, accepted(config), errors)
    sizes = [
        sum(map(len, parquet.read_table(file, partitioning=None)["value"].to_pylist())) for file in newest(tmp_path)
    ]
    assert len(sizes) > 5
    assert max(sizes) < 1_200


def test_new_partitions_are_archived(pipeline_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LOOK_SECONDS", 0.5)
    config = pipeline_config
    pipeline.send(config, [(0, START_MS, value) for value in values(0, 20)])
    with archiving(config, tmp_path) as errors:
        require(tmp_path, accepted(config), errors)
        admin = AdminClient(topics.connection(config.kafka))
        for future in admin.create_partitions([NewPartitions(config.kafka.events_topic, 5)]).values():
            future.result()
        pipeline.send(config, [(4, START_MS, value) for value in values(20, 20)])
        require(tmp_path, accepted(config), errors)


def test_an_impossible_timestamp_does_not_stop_the_next_run(tmp_path: Path) -> None:
    """Older brokers take microseconds for milliseconds, which is beyond the years of Python's dates."""
    config = configuration.load(flags={"kafka.events_topic": "t"})
    one = Archive(config, tmp_path, "zstd", 1)
    one._folder = tmp_path / "events" / "t-id"
    file = archive._File(7)
    for number, timestamp_ms in enumerate((-1, 1_760_000_000_000_000, START_MS)):
        file.add(0, 7 + number, timestamp_ms, events.decode(EVENT.format(number, START_MS).encode()), b"%d" % number)
    one._write(0, file)
    found = one._newest_file(0)
    assert found.columns == file.columns
    assert (found.first, found.next_offset) == (7, 10)
    one._files[0] = found
    found.add(0, 10, START_MS, events.decode(EVENT.format(9, START_MS).encode()), b"9")
    one._write_all()
    assert [value for *_, value in archived(tmp_path)] == [b"0", b"1", b"2", b"9"]


def test_a_recreated_topic_ends_the_archive_after_what_was_read(
    pipeline_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old topic's events are in its folder, those of the new one in another."""
    monkeypatch.setattr(identity, "LOOK_SECONDS", 0.2)
    config = pipeline_config
    pipeline.send(config, [(0, START_MS, value) for value in values(0, 50)])
    before = accepted(config)
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            Archive(config, tmp_path, "zstd", 3_600).run(stop)
        except MissingTopicError as error:
            errors.append(str(error))

    running = threading.Thread(target=run)
    running.start()
    time.sleep(3)  # It has read, and writes in an hour.
    try:
        make_again(config, config.kafka.events_topic, 4)
        running.join(60)
    finally:
        stop.set()
        running.join()
    assert len(errors) == 1
    assert "restart the sink" in errors[0]
    assert archived(tmp_path) == before
    pipeline.send(config, [(0, START_MS, value) for value in values(50, 20)])
    after = accepted(config)
    with archiving(config, tmp_path) as problems:
        require(tmp_path, sorted([*before, *after]), problems)
