"""Follows the results topic into the store. It joins no group and commits nothing."""

import logging
import threading
import time
from contextlib import closing

from confluent_kafka import Consumer, KafkaError, TopicPartition

from rtea import topics
from rtea.config import Config
from rtea.dashboard.store import BUCKET_MS, KEEP_MS, KEEP_TOTALS_MS, Store
from rtea.errors import BrokerError, MissingTopicError, RteaError
from rtea.sinks import result
from rtea.sinks.contract import Sink
from rtea.sinks.result import NotAResultError, WindowResult

logger = logging.getLogger(__name__)

READ_RECORDS = 50
POLL_SECONDS = 0.2
LOOK_SECONDS = 10.0
"""Time between two looks whether the topic was recreated or has more partitions."""


class Feed:
    """A thread that reads results as they come. While Kafka does not answer, `problem` says so."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config, self._store = config, store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)
        self.problem = ""
        self.last_result_s = 0.0
        """When a result came last, Unix time."""

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow(topics.find_id(self._config.kafka, self._config.kafka.results_topic))
            except (BrokerError, MissingTopicError) as error:
                self.problem = str(error)
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
        assigned: set[int] = set()
        next_look_s = 0.0
        with closing(Consumer(settings)) as consumer:
            while not self._stop.is_set():
                if time.monotonic() >= next_look_s:
                    if assigned and topics.find_id(kafka, kafka.results_topic) != topic_id:
                        return
                    since_ms = time.time_ns() // 1_000_000 - KEEP_MS
                    starts = topics.start_offsets(kafka, kafka.results_topic, since_ms)
                    new = [TopicPartition(kafka.results_topic, n, at) for n, at in starts.items() if n not in assigned]
                    if new:
                        consumer.incremental_assign(new)
                        assigned |= set(starts)
                    self.problem = ""
                    next_look_s = time.monotonic() + LOOK_SECONDS
                self._take(consumer)

    def _take(self, consumer: Consumer) -> None:
        found: list[WindowResult] = []
        for message in consumer.consume(READ_RECORDS, POLL_SECONDS):
            error, value = message.error(), message.value()
            if error is not None and error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED,):
                raise BrokerError(f"results topic cannot be read: {error.str()}: allow it")
            if error is not None or value is None:
                continue
            try:
                found.append(result.decode(value, f"{message.topic()}-{message.partition()} offset {message.offset()}"))
            except (NotAResultError, RteaError) as problem:
                logger.warning("%s", problem)
        if found:
            self.last_result_s = time.time()
            self._store.add(found)


def read_history(sink: Sink, store: Store) -> str:
    """Add what the table has of the time before the feed; return what prevented it. Opens the table once."""
    before_ms = (time.time_ns() // 1_000_000 - KEEP_MS) // BUCKET_MS * BUCKET_MS
    try:
        with closing(sink):
            store.add_totals(sink.totals(before_ms - KEEP_TOTALS_MS, before_ms, BUCKET_MS))
    except RteaError as error:
        return str(error)
    return ""
