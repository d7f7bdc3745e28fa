"""How fast the generator is: encoding, sending to Kafka against a bare produce() loop, CPU at 50,000 msg/s, memory.

    python -m bench.generator

Promises: it encodes 2,000,000 events per second and core in both formats. To Kafka, it reaches at least 0.8 of the rate
of a loop of confluent-kafka's produce() that sends the same events, already encoded, in turns with it. It takes less
than 0.35 core at 50,000 msg/s, and less than 250 MiB per process; in the second half of a long run, it takes hardly
more memory than in the first. Every manifest is complete, and the topic has as many records as it says.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import psutil
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from bench import machine
from rtea import config as configuration
from rtea import manifest, topics
from rtea.config import Config
from rtea.stack import local
from rtea_gen import outlet
from rtea_gen import plan as plans
from rtea_gen.plan import Plan
from tests.conftest import stack_config

LEAST_ENCODED_HZ = 2_000_000
LEAST_RATIO = 0.8
GOAL_HZ = 400_000
LIVE_HZ, LIVE_SECONDS, MOST_LIVE_CORES = 50_000, 30, 0.35
MOST_MEMORY_MIB = 250
MOST_GROWTH = 1.1
"""Allowed growth of the peak memory: the broker's speed decides how full the producer's queue gets. A leak of one byte
per event would exceed it."""
ENCODED_EVENTS, START_MS = 400_000, 1_760_000_000_000


def encode() -> dict[str, float]:
    """Nanoseconds of each part, and mean sizes, from the Rust benchmark."""
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "rtea-generator", "--bench", "encode"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return msgspec.json.decode(ran.stdout.splitlines()[-1], type=dict[str, float])


def produce_bare(config: Config, topic: str, events: int) -> float:
    """Seconds of the bare loop, with the generator's producer settings and events."""
    stream = plans.stream(config, START_MS)
    batches = [stream.batch(first, 1, 2_000, "json") for first in range(0, ENCODED_EVENTS, 2_000)]
    producer = Producer(outlet.producer_settings(Plan(config, START_MS, 0.0, None)))
    failures: list[str] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error:
            failures.append(error.str())

    started_s = time.monotonic()
    for _ in range(events // ENCODED_EVENTS):
        for keys, values, times in batches:
            for key, value, time_ms in zip(keys, values, times, strict=True):
                while True:
                    try:
                        producer.produce(topic, value=value, key=key, timestamp=time_ms, on_delivery=report)
                        break
                    except BufferError:
                        producer.poll(0.05)
            producer.poll(0)
    assert producer.flush(300) == 0
    assert not failures, failures[0]
    return time.monotonic() - started_s


def generate(
    config: Config, topic: str, *arguments: str, watch: Callable[[psutil.Process], None] | None = None
) -> tuple[manifest.Manifest, float, float]:
    """Run `rtea-gen` with one process; return its manifest, seconds and CPU seconds, both including start and end."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "m.jsonl"
        command = [sys.executable, "-m", "rtea_gen", "--procs", "1", "--topic", topic, "--manifest", str(path)]
        before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        environment = os.environ | configuration.as_environment(config)
        with subprocess.Popen(
            [*command, "--no-progress", *arguments], env=environment, stdout=subprocess.DEVNULL
        ) as process:
            while watch and process.poll() is None:
                watch(psutil.Process(process.pid))
                time.sleep(0.5)
            assert process.wait() == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return manifest.read(path), time.monotonic() - started_s, cpu_s


def count_records(config: Config, topic: str) -> int:
    """The number of records in a topic, from its offsets."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "count"})
    places = [TopicPartition(topic, partition) for partition in range(config.kafka.partitions)]
    total = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.close()
    return total


def fresh_topic(config: Config, name: str) -> str:
    """Create a topic that keeps little data, because the benchmark does not measure the disk."""
    settings = {"retention.bytes": str(2**28), "segment.bytes": str(2**27)}
    topic = NewTopic(name, config.kafka.partitions, 1, config=settings)
    admin = AdminClient(topics.connection(config.kafka))
    admin.create_topics([topic])[name].result()
    return name


def compare(config: Config, events: int, rounds: int) -> tuple[list[float], list[float]]:
    """Rates of the bare loop and of the generator, in turns; the first round of each does not count."""
    bare, ours = [], []
    for number in range(rounds + 1):
        topic = fresh_topic(config, f"bare-{number}")
        bare.append(events / produce_bare(config, topic, events))
        assert count_records(config, topic) == events
        topic = fresh_topic(config, f"generator-{number}")
        sent, seconds, _ = generate(config, topic, "--speed", "0", "--events", str(events))
        assert (sent.end.events, sent.end.complete) == (events, True)
        assert count_records(config, topic) == events
        ours.append(events / seconds)
        print(f"round {number}: bare loop {bare[-1]:,.0f} msg/s, generator {ours[-1]:,.0f}", flush=True)
    return bare[1:], ours[1:]


def measure_memory(config: Config, events: int) -> tuple[float, float]:
    """Peak memory of any process in MiB: in the first half of a run, and in the whole run."""
    peaks: list[int] = []

    def watch(process: psutil.Process) -> None:
        found = [_peak_bytes(pid) for pid in [process.pid, *(child.pid for child in process.children())]]
        peaks.append(max(found))

    topic = fresh_topic(config, "memory")
    sent, _, _ = generate(config, topic, "--speed", "0", "--events", str(events), watch=watch)
    assert (sent.end.events, sent.end.complete) == (events, True)
    return max(peaks[: len(peaks) // 2]) / 2**20, max(peaks) / 2**20


def _peak_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@click.command
@click.option("--events", default=16_000_000, show_default=True, help="Events per round; a multiple of 400,000.")
@click.option("--rounds", default=4, show_default=True)
@click.option("--long", "long_events", default=40_000_000, show_default=True, help="Events in the memory run.")
def main(events: int, rounds: int, long_events: int) -> None:
    """Run the benchmark; exit code 1 if a promise is not kept."""
    print(machine.describe(), flush=True)
    nanos = encode()
    promises = {
        f"encode {name}: {1e9 / nanos[name + '_ns']:,.0f} of {LEAST_ENCODED_HZ:,} events/s and core, "
        f"{nanos[name + '_bytes']:.0f} bytes each": 1e9 / nanos[f"{name}_ns"] >= LEAST_ENCODED_HZ
        for name in ("json", "msgpack")
    }
    print(f"model {nanos['model_ns']:.0f} ns, ground truth {nanos['truth_ns']:.0f} ns an event", flush=True)
    with tempfile.TemporaryDirectory(prefix="rtea-bench-") as scratch:
        config = stack_config(Path(scratch))
        with local.running(config):
            bare, ours = compare(config, events, rounds)
            ratios = sorted(mine / theirs for mine, theirs in zip(ours, bare, strict=True))
            ratio, rate = statistics.median(ratios), statistics.median(ours)
            promises[
                f"to Kafka: {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) of {LEAST_RATIO} of the bare loop"
            ] = ratio >= LEAST_RATIO
            promises[f"to Kafka: {rate:,.0f} ({min(ours):,.0f} to {max(ours):,.0f}) of {GOAL_HZ:,} msg/s"] = (
                rate >= GOAL_HZ
            )
            live = ["--rate", str(LIVE_HZ), "--duration", str(LIVE_SECONDS)]
            sent, _, cpu_s = generate(config, fresh_topic(config, "live"), *live)
            assert (sent.end.events, sent.end.complete) == (LIVE_HZ * LIVE_SECONDS, True)
            cores = cpu_s / LIVE_SECONDS
            promises[f"{LIVE_HZ:,} msg/s: {cores:.2f} of {MOST_LIVE_CORES} cores"] = cores < MOST_LIVE_CORES
            early_mib, peak_mib = measure_memory(config, long_events)
    promises[f"memory: {peak_mib:.0f} of {MOST_MEMORY_MIB} MiB after {long_events:,} events, {early_mib:.0f} early"] = (
        peak_mib < MOST_MEMORY_MIB and peak_mib <= early_mib * MOST_GROWTH
    )
    for promise, kept in promises.items():
        print(f"{promise}: {'kept' if kept else 'NOT KEPT'}")
    sys.exit(0 if all(promises.values()) else 1)


if __name__ == "__main__":
    main()
