"""What the tests of the running job share: they start its parts, send events and wait for rows."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer

from rtea import config as configuration
from rtea import manifest, topics, verify
from rtea.config import Config
from rtea.job import submit as job
from rtea.manifest import Manifest
from rtea.sinks import runner
from rtea.sinks.registry import make_sink
from rtea.stack import local

ROWS_WITHIN_SECONDS = 90

MALFORMED = {
    "cut_off": "invalid_json",
    "wrong_type": "wrong_type",
    "bad_utf8": "invalid_utf8",
    "missing_field": "missing_field",
    "huge": "too_large",
    "empty": "empty",
    "null": "null_value",
}
"""The reason for which each malformed kind is refused."""


@contextmanager
def submitted(config: Config) -> Iterator[str]:
    """The job, running for a block."""
    job_id = job.submit(config)
    try:
        yield job_id
    finally:
        job.cancel(config, job_id)


@contextmanager
def sinking(config: Config, name: str = "duckdb") -> Iterator[None]:
    """A sink in a thread, its table made; its error, if any, fails the test."""
    stop, errors = threading.Event(), []
    sink = make_sink(config, name)
    sink.open()

    def run() -> None:
        try:
            runner.run(config, sink, stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not errors, errors


@contextmanager
def generating(config: Config, path: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`rtea-gen`, running for a block; ended with it, also when the test fails."""
    command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), "--no-progress", *arguments]
    with subprocess.Popen(command, env=os.environ | configuration.as_environment(config)) as process:
        try:
            yield process
        finally:
            process.terminate()


def generated(config: Config, path: Path, *arguments: str) -> Manifest:
    """Run `rtea-gen` to its end."""
    with generating(config, path, *arguments) as process:
        assert process.wait() == 0
    return manifest.read(path)


def assert_rows_match(config: Config, sent: Manifest, least_windows: int, sink: str = "duckdb") -> None:
    """Wait until the sink's rows equal the manifest in every finished window."""
    windows = sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
    assert len(windows) >= least_windows
    report = verify.wait_for(windows, make_sink(config, sink), ROWS_WITHIN_SECONDS)
    assert report.passed, report.problems


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter as read from its topic."""

    reason: str
    partition: int
    offset: int
    raw: bytes | None


def dead_letters(config: Config, count: int) -> list[DeadLetter]:
    """Read dead letters until that many distinct ones came, or none for ten seconds."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([config.kafka.dead_letter_topic])
    found: dict[bytes, dict[str, Any]] = {}
    while len(found) < count and (messages := consumer.consume(1, 10)):
        found[messages[0].key() or b""] = json.loads(messages[0].value() or b"")
    consumer.close()
    return [
        DeadLetter(
            letter["reason"],
            letter["partition"],
            letter["offset"],
            None if letter["raw_base64"] is None else base64.b64decode(letter["raw_base64"]),
        )
        for letter in found.values()
    ]


def count_dead_letters(config: Config, wanted: Counter[str]) -> Counter[str]:
    """Events by reason, read until there are as many as wanted, or none came for twenty seconds."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "count", "auto.offset.reset": "earliest"})
    consumer.subscribe([config.kafka.dead_letter_topic])
    # A letter may come twice after a restart, but has one key; partials of late events have none.
    found: dict[object, tuple[str, int]] = {}
    total: Counter[str] = Counter()
    while total != wanted and (messages := consumer.consume(100, 20)):
        for message in messages:
            letter = json.loads(message.value() or b"")
            place = message.key() if letter["reason"] != "late" else (message.partition(), message.offset())
            found[place] = (letter["reason"], letter.get("events", 1))
        total = Counter()
        for reason, count in found.values():
            total[reason] += count
    consumer.close()
    return total


def late_letter(config: Config) -> dict[str, Any]:
    """The first dead letter of a late partial."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "test-late", "auto.offset.reset": "earliest"})
    consumer.subscribe([config.kafka.dead_letter_topic])
    messages = consumer.consume(1, 30)
    consumer.close()
    assert messages, "no dead letter came"
    letter: dict[str, Any] = json.loads(messages[0].value() or b"")
    return letter


def wait_for_rows(config: Config) -> None:
    """Wait until the sink holds a first window."""
    sink = make_sink(config, "duckdb")
    deadline_s = time.monotonic() + ROWS_WITHIN_SECONDS
    while time.monotonic() < deadline_s:
        rows = sink.read(0, 2**52) if config.sink.duckdb_path.exists() else []
        # Counts of what was refused come before a window's own rows.
        if any(row.metric == "event_count" for row in rows):
            return
        time.sleep(0.2)
    raise AssertionError("no window was written")


def send(config: Config, records: list[tuple[int, int, bytes | None]]) -> dict[tuple[int, int], bytes | None]:
    """Send values as they are: (partition, timestamp in ms, value); returns them by place."""
    places: dict[tuple[int, int], bytes | None] = {}
    producer = Producer(topics.connection(config.kafka) | {"enable.idempotence": True, "message.max.bytes": 10_000_000})
    for partition, timestamp_ms, value in records:

        def delivered(error: object, message: Any, value: bytes | None = value) -> None:
            assert error is None, error
            places[message.partition(), message.offset()] = value

        producer.produce(
            config.kafka.events_topic, value, partition=partition, timestamp=timestamp_ms, on_delivery=delivered
        )
    assert producer.flush(30) == 0
    return places


def send_late(config: Config, sent: Manifest) -> Manifest:
    """Send one more event of the first window; returns the manifest that counts it."""
    start_ms = sent.header.start_ms
    late = f'{{"event_id":"l","event_type":"search","source":"mobile","event_time":{start_ms},"visitor_id":"v"}}'
    send(config, [(0, start_ms, late.encode())])
    window = sent.windows[0]
    corrected = manifest.Window(
        window.window_start_ms,
        window.window_end_ms,
        window.events + 1,
        window.event_count | {"search_mobile": window.event_count["search_mobile"] + 1},
        window.revenue,
        {name: number + (name != "website") for name, number in window.unique_visitors.items()},
    )
    return Manifest(sent.header, [corrected, *sent.windows[1:]], sent.end)


def pid_of(config: Config, role: str) -> int:
    """The id of a process of the stack."""
    (pid,) = [process.pid for process in local.status(config) if process.name == role]
    assert pid is not None
    return pid


def kill(config: Config, role: str) -> int:
    """SIGKILL a process of the stack; returns its id."""
    pid = pid_of(config, role)
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_for_another(config: Config, role: str, pid: int, seconds: float = 30) -> float:
    """Wait until the supervisor started another process in its place; returns the seconds it took."""
    started_s = time.monotonic()
    while time.monotonic() < started_s + seconds:
        found = [process.pid for process in local.status(config) if process.name == role and process.state == "RUNNING"]
        if found and found[0] not in (None, pid) and psutil.pid_exists(found[0]):
            return time.monotonic() - started_s
        time.sleep(0.1)
    raise AssertionError(f"{role} was not started again within {seconds} s")
