"""Promise: a partition that is read much faster than another, in event time, waits for it, so that the windows between
the two do not fill the memory. Every row is right all the same.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from confluent_kafka import Producer

from rtea import topics
from rtea.config import Config
from rtea.job import cluster, progress
from tests.drills import load
from tests.drills.test_event_time import events_counted, now_ms, window_of
from tests.drills.test_input import event
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

HOUR_MS = 3_600_000
SPAN_MS = 6 * HOUR_MS
EVENTS = {0: 2_000, 1: 8_000}
"""Of the same span and the same size, so partition 0 is read four times as fast, in event time."""

PADDING_BYTES = 100_000


def fill(config: Config) -> Counter[int]:
    """Send six hours of large events to two partitions; returns the count of each window."""
    noise = random.Random(6).randbytes(4 * PADDING_BYTES).hex()
    producer = Producer(topics.connection(config.kafka) | {"linger.ms": 20})
    start_ms = window_of(now_ms()) - SPAN_MS - HOUR_MS
    sent: Counter[int] = Counter()
    for number in range(max(EVENTS.values())):
        for partition, count in EVENTS.items():
            if number >= count:
                continue
            time_ms = start_ms + number * SPAN_MS // count
            sent[window_of(time_ms)] += 1
            at = number * 37 % PADDING_BYTES
            value = event(event_id=f"{partition}-{number}", event_time=time_ms, padding=noise[at : at + PADDING_BYTES])
            producer.produce(config.kafka.events_topic, value, partition=partition, timestamp=time_ms)
        if number % 50 == 0:
            producer.flush(60)
    assert producer.flush(60) == 0
    return sent


@contextmanager
def slowed(config: Config) -> Iterator[None]:
    """A TaskManager that runs for a tenth of the time, as on a busy machine."""
    process, stop = psutil.Process(pipeline.pid_of(config, "taskmanager")), threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            process.suspend()
            stop.wait(0.18)
            process.resume()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        process.resume()


@pytest.mark.parametrize("lead_ms", [600_000, 24 * HOUR_MS], ids=["ten_minutes", "a_day"])
def test_the_faster_partition_waits(drilled: Config, lead_ms: int) -> None:
    config = load.drill_config(drilled, max_partition_lead_ms=lead_ms, max_skew_ms=300_000)
    name = f"{progress.WATERMARKS}.rtea_job_partition_spread_milliseconds"
    most_ms = 0.0
    with pipeline.submitted(config) as job_id, pipeline.sinking(config):
        vertex = progress.find_vertex(cluster.describe(config, job_id)["vertices"], progress.WATERMARKS)
        with slowed(config):
            sent = fill(config)
            deadline_s = time.monotonic() + 300
            while time.monotonic() < deadline_s:
                try:
                    reached = progress.of_job(config, job_id)
                    most_ms = max(most_ms, cluster.metrics(config, job_id, vertex, [name])[name]["max"])
                except (progress.NoFiguresError, KeyError):
                    load.wait_s(0.2)
                    continue
                if reached.records == sum(EVENTS.values()):
                    break
                load.wait_s(0.2)
        load.wait_until(lambda: events_counted(config) == sent, 120, "every window has its events")
    assert (most_ms < SPAN_MS / 2) == (lead_ms < SPAN_MS), f"{most_ms / HOUR_MS:.1f} h"
