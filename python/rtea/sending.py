"""Sends the events of a file to the events topic, each once, however often it is interrupted and started again.

Each transaction holds some events and the place in the file after them, as the offset of a consumer group that is named
after the content. So both are in Kafka, or neither is.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from rtea import exports, topics
from rtea.config import Config
from rtea.errors import DeliveryError, InputError, InvalidEventError
from rtea.maps import EventMap, report

BATCH = 10_000
"""Most events in one transaction."""

IDENTIFIED_BY = 10_000
"""Events by which a file is known again; they are tried with the map before anything is sent."""


@dataclass
class Sent:
    """What a run has sent: events before it, and in it; how many of its events the map refuses or leaves out."""

    before: int = 0
    events: int = 0
    not_counted: int = 0


def send(
    config: Config, path: Path, *, rate_hz: float | None = None, progress: Callable[[Sent], None] = lambda _: None
) -> Sent:
    """Send the events of a file from the place at which an earlier run stopped, at a rate or as fast as possible.
    Events keep their bytes; the key is the visitor. The records' timestamps are the time of sending.

    Raises:
        InputError: the file cannot be read, or the map counts none of its first events.
        BrokerError, MissingTopicError: the topic cannot be reached.
        DeliveryError: Kafka refused a transaction.
    """
    event_map = EventMap.load(config.events.map)
    topic_id = topics.find_id(config.kafka, config.kafka.events_topic)
    name = f"rtea-send-{topic_id}-{_identify(path, event_map)}"
    place = TopicPartition(config.kafka.events_topic, 0)
    with closing(Consumer(topics.connection(config.kafka) | {"group.id": name})) as group:
        producer = _producer(config, name)
        sent = Sent(before=_committed(group, place, config))
        values = islice(exports.read(path), sent.before, None)
        started_s = time.monotonic()
        size = BATCH if rate_hz is None else max(1, min(BATCH, int(rate_hz / 2)))
        while batch := list(islice(values, size)):
            keys = [_visitor(value, event_map) for value in batch]
            after = TopicPartition(place.topic, place.partition, sent.before + sent.events + len(batch))
            _send(producer, group, list(zip(keys, batch, strict=True)), after, config)
            sent.events += len(batch)
            sent.not_counted += keys.count(None)
            progress(sent)
            if rate_hz is not None:
                time.sleep(max(0.0, started_s + sent.events / rate_hz - time.monotonic()))
    return sent


def _identify(path: Path, event_map: EventMap) -> str:
    """A digest of the first events, of which at least one must count."""
    first = list(islice(exports.read(path), IDENTIFIED_BY))
    if not first:
        raise InputError(f"{path} has no events: expected lines of JSON, or rows of CSV")
    tried = report.examine(first, event_map)
    if not tried.counted:
        problem = next(iter(tried.problems), "the map leaves them out")
        raise InputError(
            f"none of the first {tried.events} events of {path} counts: {problem}: name their layout with --map, and "
            "try it with `rtea schema check`"
        )
    digest = hashlib.sha256()
    for value in first:
        digest.update(len(value).to_bytes(8, "big") + value)
    return digest.hexdigest()[:32]


def _visitor(value: bytes, event_map: EventMap) -> str | None:
    try:
        event = event_map.decode(value)
    except InvalidEventError:
        return None
    return event.visitor_id if event else None


def _committed(group: Consumer, place: TopicPartition, config: Config) -> int:
    try:
        (found,) = group.committed([place], timeout=config.kafka.timeout_ms / 1000)
    except KafkaException as error:
        raise DeliveryError(f"Kafka does not tell what was sent before: {error.args[0].str()}") from error
    return max(found.offset, 0)


def _producer(config: Config, name: str) -> Producer:
    settings = {
        # A second run of the same file ends the first one.
        "transactional.id": name,
        "transaction.timeout.ms": 60_000,
        "message.timeout.ms": 60_000,
        "message.max.bytes": 16_777_216,
        "compression.type": "lz4",
        "linger.ms": 50,
    }
    producer = Producer(topics.connection(config.kafka) | settings)
    try:
        producer.init_transactions(config.kafka.timeout_ms / 1000)
    except KafkaException as error:
        raise DeliveryError(f"Kafka refused to start a transaction: {error.args[0].str()}") from error
    return producer


def _send(
    producer: Producer, group: Consumer, batch: list[tuple[str | None, bytes]], after: TopicPartition, config: Config
) -> None:
    timeout_s = max(60.0, config.kafka.timeout_ms / 1000)
    try:
        producer.begin_transaction()
        for key, value in batch:
            _produce(producer, config.kafka.events_topic, value, key)
        producer.send_offsets_to_transaction([after], group.consumer_group_metadata(), timeout_s)
        producer.commit_transaction(timeout_s)
    except KafkaException as error:
        with suppress(KafkaException):
            producer.abort_transaction(timeout_s)
        raise DeliveryError(
            f"events could not be sent: {error.args[0].str()}: run the same command again, which sends none twice"
        ) from error


def _produce(producer: Producer, topic: str, value: bytes, key: str | None) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
            return
        except BufferError:
            producer.poll(0.1)
