"""Follows the results topic into the store, and reads the time before from the table once. It joins no group and
commits nothing.
"""

import logging
import threading
import time
from contextlib import closing

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from rtea import topics
from rtea.config import Config
from rtea.dashboard.store import BUCKET_MS, KEEP_MS, KEEP_TOTALS_MS, Store
from rtea.errors import BrokerError, RteaError
from rtea.sinks import result
from rtea.sinks.contract import Sink
from rtea.sinks.result import NotAResultError, WindowResult

logger = logging.getLogger(__name__)

READ_RECORDS = 50
POLL_SECONDS = 0.2
LOOK_SECONDS = 10.0
"""Time between two looks whether the topic was recreated or has more partitions."""

LAST_RECORDS = 500
"""Where the topic has no newer records than hours ago, it is read from so many records before its end."""


class Feed:
    """A thread that reads results as they come. While Kafka does not answer, `problem` says so."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config, self._store = config, store
        self._timeout_s = config.kafka.timeout_ms / 1000
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)
        self.problem = ""
        self.results = 0
        """Results read so far."""
        self.last_result_ms = 0
        """When the newest result of counted events was written."""

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(timeout=5)  # It may wait for Kafka; it ends with the process.

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow(topics.find_id(self._config.kafka, self._config.kafka.results_topic))
            except RteaError as error:
                self.problem = str(error)
            except Exception as error:  # The page says it, and the next attempt may succeed.
                logger.exception("the results topic cannot be followed")
                self.problem = f"the results topic cannot be followed: {error}"
            self._stop.wait(2)

    def _follow(self, topic_id: str) -> None:
        """Read until the topic is recreated, or the end."""
        kafka = self._config.kafka
        settings = topics.connection(kafka) | {
            "group.id": "rtea-dashboard",  # The client wants a name; nothing is committed.
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 200,
            "queued.max.messages.kbytes": 16_384,
        }
        reached: dict[int, int] = {}
        first_ends = topics.end_offsets(kafka, kafka.results_topic)
        next_look_s = 0.0
        with closing(Consumer(settings)) as consumer:
            while not self._stop.is_set():
                if time.monotonic() >= next_look_s:
                    if reached and topics.find_id(kafka, kafka.results_topic) != topic_id:
                        return
                    starts = self._starts(consumer)
                    new = {number: at for number, at in starts.items() if number not in reached}
                    for number, at in new.items():
                        consumer.incremental_assign([TopicPartition(kafka.results_topic, number, at)])
                    reached |= new
                    self.problem = ""
                    next_look_s = time.monotonic() + LOOK_SECONDS
                self._take(consumer, reached)
                if all(reached.get(number, 0) >= end for number, end in first_ends.items()):
                    self._store.settle()

    def _starts(self, consumer: Consumer) -> dict[int, int]:
        """Where to start in each partition: at the first record of the last hours; without one, before the end."""
        kafka = self._config.kafka
        since_ms = time.time_ns() // 1_000_000 - KEEP_MS
        bounds = topics.bounds(kafka, kafka.results_topic)
        wanted = [TopicPartition(kafka.results_topic, number, since_ms) for number in bounds]
        found = {each.partition: each.offset for each in consumer.offsets_for_times(wanted, timeout=self._timeout_s)}
        return {
            number: found[number] if found[number] >= 0 else max(first, end - LAST_RECORDS)
            for number, (first, end) in bounds.items()
        }

    def _take(self, consumer: Consumer, reached: dict[int, int]) -> None:
        found: list[WindowResult] = []
        for message in consumer.consume(READ_RECORDS, POLL_SECONDS):
            error = message.error()
            if error is not None:
                if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise BrokerError(f"results topic cannot be read: {error.str()}: allow it")
                continue
            reached[message.partition() or 0] = (message.offset() or 0) + 1
            decoded = self._decode(message)
            if decoded is not None:
                found.append(decoded)
                self.results += 1
                if decoded.is_of_events:
                    self.last_result_ms = max(self.last_result_ms, message.timestamp()[1])
        if found:
            self._store.add(found)

    @staticmethod
    def _decode(message: Message) -> WindowResult | None:
        value = message.value()
        if value is None:
            return None
        try:
            return result.decode(value, f"{message.topic()}-{message.partition()} offset {message.offset()}")
        except (NotAResultError, RteaError) as problem:
            logger.warning("%s", problem)
            return None


class History:
    """A thread that adds what the table has of the time before the windows in memory. It opens the table once."""

    def __init__(self, sink: Sink, store: Store) -> None:
        self._sink, self._store = sink, store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Wait for the boundary, then read."""
        self._thread.start()

    def close(self) -> None:
        """Do not read any more."""
        self._stop.set()
        self._thread.join(timeout=1)  # The table's server may be slow.

    def _run(self) -> None:
        while not self._store.has_boundary.wait(0.5):
            if self._stop.is_set():
                return
        end_ms = self._store.boundary_ms or 0
        try:
            with closing(self._sink):
                self._store.add_totals(self._sink.totals(end_ms - KEEP_TOTALS_MS, end_ms, BUCKET_MS))
        except Exception as error:  # The page works without it, whatever the sink's package raises.
            logger.warning("the time before is missing on the page: %s", error)
