"""Promises: the archive has each accepted event once, as it came, with its coordinates, also after a kill between two
files
and in the middle of one; refused events are not in it.
"""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from rtea import events, topics
from rtea.config import Config
from rtea.errors import InvalidEventError
from rtea.sinks.parquet import archive
from rtea.sinks.parquet.archive import Archive
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


def archived(folder: Path) -> list[tuple[int, int, bytes]]:
    rows: list[dict[str, Any]] = []
    for file in folder.glob("events/*/partition=*/*.parquet"):
        rows += parquet.read_table(file, partitioning=None).to_pylist()
    return sorted((row["partition"], row["offset"], row["value"]) for row in rows)


def run_until(config: Config, folder: Path, expected: list[tuple[int, int, bytes]]) -> None:
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            Archive(config, folder, "zstd", 0.1).run(stop)
        except BaseException as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    deadline_s = time.monotonic() + 60
    try:
        while archived(folder) != expected and not errors and time.monotonic() < deadline_s:
            time.sleep(0.1)
    finally:
        stop.set()
        running.join()
    assert not errors, errors
    assert archived(folder) == expected


def accepted(config: Config) -> list[tuple[int, int, bytes]]:
    """What is in the topic, by a reader of its own."""
    found = topics.read(config.kafka, config.kafka.events_topic)
    records = [(message.partition() or 0, message.offset() or 0, message.value() or b"") for message in found]
    return sorted(record for record in records if is_event(record[2]))


def test_the_archive_has_each_accepted_event_once(
    pipeline_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FILE_RECORDS", 100)
    config = pipeline_config
    for first, count in ((0, 950), (950, 30), (980, 420)):
        pipeline.send(config, [(n % 4, START_MS + n, value) for n, value in enumerate(values(first, count))])
        run_until(config, tmp_path, accepted(config))
    assert len(list(tmp_path.glob("events/*/partition=0/*.parquet"))) == 4


def test_what_retention_deletes_stays_in_the_archive(
    pipeline_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose offsets are not all there yet is written again, but the topic has lost its first records."""
    monkeypatch.setattr(archive, "FILE_RECORDS", 1_000)
    config = pipeline_config
    pipeline.send(config, [(0, START_MS, value) for value in values(0, 300)])
    before = accepted(config)
    run_until(config, tmp_path, before)
    admin = AdminClient(topics.connection(config.kafka))
    for future in admin.delete_records([TopicPartition(config.kafka.events_topic, 0, 200)]).values():
        future.result()
    pipeline.send(config, [(0, START_MS, value) for value in values(300, 100)])
    after = [record for record in accepted(config) if record not in before]
    run_until(config, tmp_path, [*before, *after])
