"""How fast the job drains a full topic, and how much faster than Flink SQL.

It fills a topic of 4 partitions once. Then the RTEA job and the same windows in Flink SQL drain it, on the same
cluster. The cluster is restarted in between, so that neither runs on code that the JVM compiled for the other. The
first rounds of each do not count, because the JVM compiles for about 30 s. Each round's rows (RTEA) or counts (SQL) are
compared with the manifest.

    python -m bench.drain --events 12000000 --rounds 3

Promises: at least 800,000 msg/s after warm-up; at least 2.0 times Flink SQL.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import click
import requests
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from bench import machine, sql_job
from rtea import config as configuration
from rtea import manifest, topics, verify
from rtea.config import Config
from rtea.job import submit as job
from rtea.sinks import result
from rtea.sinks.contract import Batch
from rtea.sinks.duckdb import DuckDbSink
from rtea.stack import local, rest

LEAST_RATE_HZ = 800_000
LEAST_RATIO = 2.0
WATCH_SECONDS = 0.1
DRAIN_LIMIT_SECONDS = 300


@click.command
@click.option("--events", default=12_000_000, show_default=True, type=click.IntRange(min=5_000_000))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--warm-up", default=3, show_default=True, type=click.IntRange(min=0), help="Rounds that do not count.")
@click.option("--state-dir", default=Path(".rtea/drain"), type=click.Path(path_type=Path))
def main(events: int, rounds: int, warm_up: int, state_dir: Path) -> None:
    """Run the benchmark; exit code 1 if a promise is not kept."""
    config = configuration.load(
        flags={
            "stack.state_dir": state_dir,
            "stack.taskmanager_memory": "3g",
            "sink.duckdb_path": state_dir / "metrics.duckdb",
            "stack.metrics_interval_ms": 100,
            "generator.speed": 0,
        }
    )
    # Otherwise the job would drain the topic of an earlier run too.
    shutil.rmtree(state_dir, ignore_errors=True)
    with ExitStack() as parts:
        parts.enter_context(local.running(config))
        _make_sql_topics(config)
        sent = _load(config, events, state_dir / "manifest.jsonl")
        rates: dict[str, list[float]] = {}
        for name, drain in (("rtea", _drain_rtea), ("sql", _drain_sql)):
            local.down(config)
            local.up(config)
            rates[name] = []
            for number in range(warm_up + rounds):
                rate = drain(config, sent)
                counted = number >= warm_up
                print(f"{name} round {number}{'' if counted else ' (warm-up)'}: {rate:,.0f} msg/s", flush=True)
                if counted:
                    rates[name].append(rate)
    sys.exit(_judge(rates, events))


def _judge(rates: dict[str, list[float]], events: int) -> int:
    print(machine.describe())
    for name, values in rates.items():
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name}: median {statistics.median(values):,.0f} msg/s, {spread}, {events:,} events")
    ratio = statistics.median(rates["rtea"]) / statistics.median(rates["sql"])
    spread = f"{min(rates['rtea']) / max(rates['sql']):.2f} to {max(rates['rtea']) / min(rates['sql']):.2f}"
    print(f"rtea / sql: {ratio:.2f}, {spread}")
    kept = statistics.median(rates["rtea"]) >= LEAST_RATE_HZ and ratio >= LEAST_RATIO
    print(f"promised at least {LEAST_RATE_HZ:,} msg/s and {LEAST_RATIO} times SQL: {'kept' if kept else 'NOT KEPT'}")
    return 0 if kept else 1


def _load(config: Config, events: int, path: Path) -> manifest.Manifest:
    command = [sys.executable, "-m", "rtea_gen", "--events", str(events), "--manifest", str(path), "--no-progress"]
    subprocess.run(command, check=True, env=os.environ | configuration.as_environment(config))
    return manifest.read(path)


def _drain_rtea(config: Config, sent: manifest.Manifest) -> float:
    """One round of RTEA's job: check that its rows equal the manifest, and return its rate."""
    offset = _end_offset(config, config.kafka.results_topic)
    job_id = job.submit(config)
    rate = _watch(config, job_id, sent.end.events)
    expected = sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
    with tempfile.TemporaryDirectory() as scratch:
        sink = DuckDbSink(Path(scratch) / "round.duckdb", config.sink.table)
        sink.open()
        windows: set[int] = set()
        for message in _consume(config, config.kafka.results_topic, offset):
            decoded = result.decode(message, config.kafka.results_topic)
            sink.write(Batch([decoded], f"{decoded.revision:032x}"), threading.Event())
            windows.add(decoded.window_start_ms)
            if windows >= {window.window_start_ms for window in expected} and verify.verify(expected, sink).passed:
                break
        report = verify.verify(expected, sink)
    job.cancel(config, job_id)
    assert report.passed, f"{report}: {str(report.problems)[:500]}"
    return rate


def _drain_sql(config: Config, sent: manifest.Manifest) -> float:
    """One round of the SQL job: check that its counts equal the manifest, and return its rate."""
    offset = _end_offset(config, "sql_counts")
    job_id = job.launch(config, Path(sql_job.__file__))
    rate = _watch(config, job_id, sent.end.events)
    expected = {
        (window.window_start_ms, dimension): count
        for window in sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
        for dimension, count in window.event_count.items()
    }
    counts: dict[tuple[int, str], int] = {}
    for message in _consume(config, "sql_counts", offset):
        row = json.loads(message)
        start = datetime.fromisoformat(row["window_start"]).replace(tzinfo=timezone.utc)
        counts[int(start.timestamp() * 1000), f"{row['event_type']}_{row['source']}"] = row["event_count"]
        if counts.items() >= expected.items():
            break
    job.cancel(config, job_id)
    assert counts.items() >= expected.items(), "Flink SQL's counts differ from the manifest"
    return rate


def _make_sql_topics(config: Config) -> None:
    admin = AdminClient(topics.connection(config.kafka))
    missing = [name for name in sql_job.OUTPUTS if name not in topics.list_partitions(config.kafka)]
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in missing]).values() if missing else ():
        future.result()


def _end_offset(config: Config, topic: str) -> int:
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "bench"})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=config.kafka.timeout_ms / 1000)
    consumer.close()
    return int(end)


def _consume(config: Config, topic: str, offset: int) -> Iterator[bytes]:
    """Values of a topic with one partition from an offset on, until nothing comes for 30 s."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "bench"})
    consumer.assign([TopicPartition(topic, 0, offset)])
    while messages := consumer.consume(1, 30):
        value = messages[0].value()
        assert value is not None, messages[0].error()
        yield value
    consumer.close()


def _watch(config: Config, job_id: str, events: int) -> float:
    """Rate of the source in records per second, from its first metrics to its last record."""
    vertex = next(v for v in job.describe(config, job_id)["vertices"] if v["name"].startswith("Source: "))
    name = _source_metric(config, job_id, vertex["id"])
    deadline_s = time.time() + DRAIN_LIMIT_SECONDS
    first: tuple[float, float] | None = None
    while True:
        assert time.time() < deadline_s, "the topic was not drained in time"
        found = job.metrics(config, job_id, vertex["id"], [name])
        records, now_s = found[name]["sum"] if name in found else 0.0, time.time()
        if first is None and records > 0:
            assert records < events / 3, "too few events were left when the metrics appeared: give more --events"
            first = records, now_s
        if first and records >= events:
            return (records - first[0]) / (now_s - first[1])
        time.sleep(WATCH_SECONDS)


def _source_metric(config: Config, job_id: str, vertex_id: str) -> str:
    """Name of the source operator's record count; Flink lists it a few seconds after the start."""

    def ask() -> str | None:
        address = f"{rest.address(config)}/jobs/{job_id}/vertices/{vertex_id}/subtasks/metrics"
        names = [metric["id"] for metric in requests.get(address, timeout=10).json()]
        return next((name for name in names if re.fullmatch(r"Source__\S*[.]numRecordsOut", name)), None)

    unknown = retry_if_result(lambda name: name is None)
    name = Retrying(retry=unknown, stop=stop_after_delay(60), wait=wait_fixed(0.1))(ask)
    assert name is not None
    return name


if __name__ == "__main__":
    main()
