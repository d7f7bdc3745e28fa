"""What the drills share: one seeded load, the rows of a run without faults, and how a run is compared.

The load starts at a fixed event time, so the rows of a drill must equal those of an undisturbed run to the last unit,
including unique visitors. One event in five hundred is malformed, so the drills also test dead letters and their
counts.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import requests
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from rtea import config as configuration
from rtea import dead_letters, topics
from rtea.config import Config
from rtea.job import cluster
from rtea.manifest import Manifest
from rtea.sinks import result
from rtea.sinks.registry import make_sink
from rtea.sinks.result import DEAD_LETTERS, WindowResult
from rtea.stack import rest
from tests.flink import pipeline

START_MS = 1_760_000_000_000
WINDOW_MS = 5_000
RATE = 8_000
MALFORMED_SHARE = 0.002

T = TypeVar("T")

Rows = dict[tuple[int, str, str, str], tuple[object, ...]]


def drill_config(config: Config, **job_settings: object) -> Config:
    """Short windows and checkpoints, so that a drill of a minute sees many of both."""
    settings: dict[str, object] = {"window_ms": WINDOW_MS, "checkpoint_interval_ms": 2_000} | job_settings
    faults = config.faults.model_copy(update={"malformed_share": MALFORMED_SHARE})
    return config.model_copy(update={"job": config.job.model_copy(update=settings), "faults": faults})


def arguments(seconds: int, *, speed: str = "1") -> list[str]:
    """The load's options of `rtea-gen`."""
    return [*options(speed), "--start", str(START_MS), "--duration", str(seconds)]


def options(speed: str = "1") -> list[str]:
    """The options that a resumed load takes, too."""
    return ["--rate", str(RATE), "--seed", "6", "--speed", speed, "--procs", "2"]


def rows(config: Config, sent: Manifest) -> Rows:
    """The table's rows of the manifest's finished windows, without revisions' times."""
    windows = sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
    return rows_between(config, windows[0].window_start_ms, windows[-1].window_start_ms + 1)


def refused(config: Config, sent: Manifest) -> int:
    """How many events of the manifest's finished windows the table has as refused."""
    return sum(value[0] or 0 for key, value in rows(config, sent).items() if key[1] == DEAD_LETTERS)


def malformed(config: Config, sent: Manifest) -> int:
    """How many events of its finished windows the manifest has as malformed."""
    windows = sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
    return sum(count for window in windows for fault, count in window.faults.items() if fault in pipeline.MALFORMED)


def rows_between(config: Config, start_ms: int, end_ms: int) -> Rows:
    """The table's rows of the windows that start in `[start_ms, end_ms)`."""
    return {
        (row.window_start_ms, row.metric, row.dimension, row.currency): (
            row.event_count,
            row.revenue,
            row.unique_visitors,
            row.revision,
        )
        for row in make_sink(config, "duckdb").read(start_ms, end_ms)
    }


@contextmanager
def loaded(config: Config, path: Path, seconds: int, *extra: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The load, running until its end or the test's failure; the first rows are written when the block begins."""
    with pipeline.generating(config, path, *arguments(seconds), *extra) as generator:
        pipeline.wait_for_rows(config)
        yield generator
        assert generator.wait(300) == 0


def assert_undisturbed(config: Config, sent: Manifest, undisturbed: Rows, late: int = 0) -> None:
    """Wait until the rows equal the manifest; then compare them with those of the undisturbed run, unique
    visitors and counts of what was refused with them, and the dead letters with the manifest. `late` events
    beyond the lateness of their window were sent beside the load.
    """
    assert sent.end.complete
    pipeline.assert_rows_match(config, sent, least_windows=4)
    reasons = {pipeline.MALFORMED[fault]: n for fault, n in sent.end.faults.items() if fault in pipeline.MALFORMED}

    def letters() -> Counter[str]:
        return Counter(letter.reason for letter in dead_letters.read(config) if letter.reason != "late")

    assert _settled(letters, lambda found: found == reasons) == reasons
    # The revision of what was refused of a window is the sum over all reasons, the late ones among them.
    compared = 3 if late else 4

    def differences() -> dict[object, object]:
        mine = {key: value[:compared] for key, value in rows(config, sent).items() if key[2] != "late"}
        theirs = {key: value[:compared] for key, value in undisturbed.items()}
        keys = mine.keys() | theirs.keys()
        return {key: (mine.get(key), theirs.get(key)) for key in keys if mine.get(key) != theirs.get(key)}

    # Counts of what was refused come on their own, not with their window's rows.
    assert _settled(differences, lambda found: not found) == {}
    counted = [value[0] for key, value in rows(config, sent).items() if key[2] == "late"]
    assert counted == ([late] if late else [])


def _settled(read: Callable[[], T], is_right: Callable[[T], bool]) -> T:
    """Read until the result is right, for at most a minute; returns the last result."""
    reading = Retrying(
        retry=retry_if_result(lambda found: not is_right(found)),
        stop=stop_after_delay(60),
        wait=wait_fixed(0.5),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    found: T = reading(read)
    return found


def send_some(config: Config) -> None:
    """Send events of two windows to each partition."""
    head = '{"event_id":"e","event_type":"search","source":"mobile","visitor_id":"v","event_time":'
    times = [START_MS, START_MS + 2 * WINDOW_MS]
    pipeline.send(config, [(n % 4, time_ms, f"{head}{time_ms}}}".encode()) for time_ms in times for n in range(8)])


def produce(config: Config, values: list[bytes], codec: str = "none", timestamp_ms: int = START_MS) -> None:
    """Send values in one batch of a codec, spread over the partitions."""
    settings = {"compression.type": codec, "linger.ms": 100, "message.max.bytes": 100_000_000}
    producer = Producer(topics.connection(config.kafka) | settings)
    for number, value in enumerate(values):
        producer.produce(config.kafka.events_topic, value, partition=number % 4, timestamp=timestamp_ms)
    assert producer.flush(60) == 0


def results(config: Config) -> Iterator[tuple[bytes, WindowResult]]:
    """All results that the job has written, with their keys, in order."""
    for message in topics.read(config.kafka, config.kafka.results_topic):
        yield message.key() or b"", result.decode(message.value() or b"", "results")


def count_results(config: Config) -> int:
    """How many results the job has written."""
    return topics.end_offsets(config.kafka, config.kafka.results_topic)[0]


def taskmanager_memory(config: Config) -> tuple[float, float]:
    """Bytes of metaspace in use, and resident memory, of the TaskManager."""
    (manager,) = requests.get(f"{rest.address(config)}/taskmanagers", timeout=10).json()["taskmanagers"]
    query = f"{rest.address(config)}/taskmanagers/{manager['id']}/metrics?get=Status.JVM.Memory.Metaspace.Used"
    (metaspace,) = requests.get(query, timeout=10).json()
    return float(metaspace["value"]), psutil.Process(pipeline.pid_of(config, "taskmanager")).memory_info().rss


def udf_workers(config: Config) -> list[psutil.Process]:
    """The Python processes of the UDFs, in process mode."""
    taskmanager = psutil.Process(pipeline.pid_of(config, "taskmanager"))
    return [child for child in taskmanager.children(recursive=True) if "beam_boot" in " ".join(child.cmdline())
            or "pyflink.fn_execution" in " ".join(child.cmdline())]  # fmt: skip


def pause(pids: list[int], seconds: float) -> None:
    """Stop processes for a while, as a machine that swaps or a debugger would."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_s(seconds)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def wait_s(seconds: float) -> None:
    """Let the fault last. All other waits of a drill wait for something to happen."""
    time.sleep(seconds)


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for something to happen; returns the seconds it took."""
    started_s = time.monotonic()
    while time.monotonic() < started_s + seconds:
        if true():
            return time.monotonic() - started_s
        time.sleep(0.1)
    raise AssertionError(f"{what} within {seconds} s: it did not happen")


def is_running(config: Config, job_id: str) -> bool:
    """Whether every task of the job runs."""
    try:
        details = cluster.describe(config, job_id)
    except Exception:  # The JobManager may be away, or not know the job yet.
        return False
    return details["state"] == "RUNNING" and all(vertex["status"] == "RUNNING" for vertex in details["vertices"])


def started_ms(config: Config, job_id: str) -> int:
    """When the job's tasks were started last; -1 while they are not."""
    return min(int(vertex["start-time"]) for vertex in cluster.describe(config, job_id)["vertices"])


def runs_since(config: Config, job_id: str, time_ms: int) -> bool:
    """Whether every task of the job runs, and was started after a time."""
    return is_running(config, job_id) and started_ms(config, job_id) > time_ms


def chaos(seed: int) -> random.Random:
    """Random numbers of a drill. Every run differs, but DRILL_SEED repeats one."""
    seed = int(os.environ.get("DRILL_SEED", seed))
    print(f"DRILL_SEED={seed}", file=sys.stderr)
    return random.Random(seed)


def environment(config: Config) -> dict[str, str]:
    """The environment that gives a command this configuration."""
    return os.environ | configuration.as_environment(config)


def alter_topic(config: Config, topic: str, name: str, value: str) -> None:
    """Set a topic's setting."""
    admin = AdminClient(topics.connection(config.kafka))
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    (future,) = admin.incremental_alter_configs([resource]).values()
    future.result(10)


def rtea_gen(config: Config, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `rtea-gen` with the load's options to its end."""
    command = [sys.executable, "-m", "rtea_gen", "--no-progress", *options("0"), *arguments]
    return subprocess.run(command, env=environment(config), capture_output=True, text=True, timeout=120)


def count_records(config: Config, partition: int) -> int:
    """Number of records in a partition of the events topic."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "count"})
    first, end = consumer.get_watermark_offsets(TopicPartition(config.kafka.events_topic, partition), timeout=10)
    consumer.close()
    return int(end) - int(first)


def delete_records(config: Config) -> None:
    """Delete every record of the events topic, as retention would."""
    names = [TopicPartition(config.kafka.events_topic, n, -1) for n in range(config.kafka.partitions)]
    admin = AdminClient(topics.connection(config.kafka))  # Answers are lost when the client goes before them.
    for future in admin.delete_records(names).values():
        future.result(10)
