"""One shard: every `procs`-th event, encoded in Rust in batches and sent with confluent-kafka.

Runs in a process of its own. Events go to the events topic; finished windows of the ground truth go
to a file that `rtea_gen.run` merges into the manifest.
"""

import math
import multiprocessing
import signal
import time
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import BinaryIO

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from rtea import _core, topics
from rtea_gen import plan as plans
from rtea_gen.plan import Plan

BATCH_EVENTS = 2_000
TICK_SECONDS = 0.01
FLUSH_SECONDS = 330
"""Longer than the producer's own limit for a message, so that every message ends one way or the other."""

MAX_AHEAD_MS = 1_000
"""How far an event may run ahead of the slowest shard's acknowledged ones, in event time. It bounds how
far a partition's records are out of order, whatever the speed: a watermark delay beyond it loses nothing."""


LAST_NUMBER = 2**62
"""Progress of a shard that has ended: it holds nobody back."""


class Outcome(msgspec.Struct, frozen=True):
    """What a shard did. `most_behind_s` is the longest an event waited for its turn."""

    shard: int
    sent: int
    failed: int
    first_error: str
    bytes: int
    most_behind_s: float
    cpu_s: float


def run(
    plan: Plan, shard: int, progress: "SynchronizedArray[int]", stop: Event, truth_file: Path, outcome_file: Path
) -> None:
    """Send this shard's events; entry point of the process. `progress` holds, for each shard, the
    number below which all of its events are acknowledged.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent decides when to stop.
    with open(truth_file, "wb") as truth:
        outcome = Shard(plan, shard, progress, stop, truth).send_all()
    outcome_file.write_bytes(msgspec.json.encode(outcome))


class Shard:
    """The loop of one shard: wait until events are due, encode a batch, send it."""

    def __init__(
        self, plan: Plan, shard: int, progress: "SynchronizedArray[int]", stop: Event, truth: BinaryIO
    ) -> None:
        generator = plan.config.generator
        self._plan, self._shard, self._progress, self._stop, self._truth = plan, shard, progress, stop, truth
        self._stream = _core.EventStream(
            seed=generator.seed,
            start_ms=plan.start_ms,
            rate_hz=generator.rate,
            window_ms=plan.config.job.window_ms,
            lanes=generator.lanes,
            visitors=generator.visitors,
            products=generator.products,
            pause_sigma=generator.pause_sigma,
            rhythm=plans.rhythm(generator),
        )
        self._schedule = plans.Schedule(plan)
        self._producer = Producer(_settings(plan))
        self._failed = 0
        self._first_error = ""

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed += 1
            self._first_error = self._first_error or error.str()

    def _is_over(self) -> bool:
        """Whether to stop: asked to, or the parent is gone and nobody will collect the outcome."""
        parent = multiprocessing.parent_process()
        return self._stop.is_set() or (parent is not None and not parent.is_alive())

    def send_all(self) -> Outcome:
        """Send until the plan is fulfilled or stopped, then wait for every acknowledgement."""
        number, sent, size, most_behind_s = self._shard, 0, 0, 0.0
        while not self._is_over() and (self._plan.events is None or number < self._plan.events):
            count = self._due(number)
            if count == 0:
                self._wait(number)
                continue
            if self._plan.config.generator.speed:
                most_behind_s = max(most_behind_s, time.time() - self._schedule.due_at_s(number))
            size += self._send(number, count)
            sent += count
            number += count * self._plan.procs
            self._write_truth(self._schedule.time_ms(number))
        undelivered = self._producer.flush(FLUSH_SECONDS)
        if undelivered:
            self._failed += undelivered
            self._first_error = self._first_error or "no acknowledgement"
        self._write_truth(2**62)
        self._progress[self._shard] = LAST_NUMBER
        cpu_s = time.process_time()
        return Outcome(self._shard, sent, self._failed, self._first_error, size, most_behind_s, cpu_s)

    def _due(self, number: int) -> int:
        """How many of this shard's events may go now."""
        plan = self._plan
        last = math.inf if plan.events is None else plan.events
        limit = min(self._schedule.due_number(time.time()), self._most_ahead(), last)
        return max(0, min(BATCH_EVENTS, math.ceil((limit - number) / plan.procs)))

    def _most_ahead(self) -> int:
        """Number of the first event too far ahead of what all shards have had acknowledged."""
        slowest_ms = self._schedule.time_ms(min(self._progress[:]))
        return self._schedule.number_at(slowest_ms + MAX_AHEAD_MS) + self._plan.procs

    def _wait(self, number: int) -> None:
        """Wait a moment: for the clock, or, when held back, for acknowledgements."""
        if number >= self._most_ahead():
            self._producer.flush(TICK_SECONDS)
        if len(self._producer) == 0:
            self._progress[self._shard] = number
        if self._due(number) == 0:
            self._producer.poll(TICK_SECONDS)

    def _send(self, number: int, count: int) -> int:
        config = self._plan.config
        keys, values, times = self._stream.batch(number, self._plan.procs, count, config.generator.format)
        produce, topic = self._producer.produce, config.kafka.events_topic
        for key, value, time_ms in zip(keys, values, times, strict=True):
            while True:
                try:
                    produce(topic, value, key, timestamp=time_ms, on_delivery=self._on_delivery)
                    break
                except BufferError:
                    # The broker is slower than we are: wait for room rather than drop.
                    self._producer.poll(0.05)
                    if (parent := multiprocessing.parent_process()) and not parent.is_alive():
                        raise SystemExit(1) from None
        self._producer.poll(0)
        return sum(map(len, values))

    def _write_truth(self, until_ms: int) -> None:
        for window in self._stream.take_truth(until_ms):
            encoded = msgspec.msgpack.encode(window)
            self._truth.write(len(encoded).to_bytes(4, "little") + encoded)


def _settings(plan: Plan) -> topics.ClientSettings:
    return topics.connection(plan.config.kafka) | {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        # Fewer, larger requests: half the broker's CPU at 50,000/s for 40 ms of latency.
        "linger.ms": 50,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 131_072,
        # Like Kafka's Java clients, so that a key has one partition whoever sends it.
        "partitioner": "murmur2_random",
        # Reports of success would cost more than encoding; failures are what must be counted.
        "delivery.report.only.error": True,
    }
