"""Creates, checks and reads the pipeline's topics.

The local stack, the job's submission, the generator and the sinks use this module.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from rtea.config import Config
from rtea.errors import BrokerError, MissingTopicError
from rtea.sections import KafkaSection

DEAD_LETTER_OVERHEAD_BYTES = 65_536
"""Most bytes of a dead letter besides its raw bytes in base64."""


ClientSettings = dict[str, Any]
T = TypeVar("T")


def connection(kafka: KafkaSection) -> ClientSettings:
    """Settings that all Kafka clients of RTEA share."""
    settings: ClientSettings = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "log_level": 2,
        "error_cb": lambda _: None,
    }
    if kafka.ssl_ca:
        settings["ssl.ca.location"] = str(kafka.ssl_ca)
    if kafka.ssl_identity:
        settings |= {"ssl.certificate.location": str(kafka.ssl_identity), "ssl.key.location": str(kafka.ssl_identity)}
    if kafka.security_protocol.startswith("SASL") and kafka.sasl_password:
        settings |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username,
            "sasl.password": kafka.sasl_password.get_secret_value(),
        }
    return settings


def list_partitions(kafka: KafkaSection) -> dict[str, int]:
    """Number of partitions by topic.

    Raises:
        BrokerError: no broker answers.
    """
    try:
        topics = AdminClient(connection(kafka)).list_topics(timeout=_timeout_s(kafka)).topics
    except KafkaException as error:
        raise unreachable(kafka) from error
    return {name: len(topic.partitions) for name, topic in topics.items()}


def find_id(kafka: KafkaSection, topic: str) -> str:
    """The id that Kafka gave a topic. A recreated topic has another id.

    Raises:
        BrokerError: no broker answers.
        MissingTopicError: there is no such topic.
    """
    # Keep the client alive until the answer arrives.
    admin = AdminClient(connection(kafka))
    answer = admin.describe_topics(TopicCollection([topic]), request_timeout=_timeout_s(kafka))[topic]
    try:
        return str(answer.result(timeout=_timeout_s(kafka)).topic_id)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise missing(kafka, topic) from error
        raise unreachable(kafka) from error
    except FutureTimeoutError as error:
        raise unreachable(kafka) from error


def missing(kafka: KafkaSection, topic: str) -> MissingTopicError:
    """The error of a topic that does not exist."""
    return MissingTopicError(f"topic {topic} is missing at {kafka.bootstrap_servers}: run `rtea topics create`")


def read(kafka: KafkaSection, topic: str, *, from_ms: int | None = None, last: int | None = None) -> Iterator[Message]:
    """Read a topic up to the end that it has at the time of the call. Read each partition in order: all of it, from the
    first record with a timestamp of at least `from_ms`, or its last `last` records. Commit nothing.

    Raises:
        BrokerError: the topic cannot be read, or the broker is silent for `kafka.timeout_ms`.
        MissingTopicError: there is no such topic.
    """
    partitions = list_partitions(kafka)
    if topic not in partitions:
        raise missing(kafka, topic)
    # The last offset may be a transaction marker, which no consumer sees. So wait for the event "end of partition".
    with _consumer(kafka, topic, {"enable.partition.eof": True}) as consumer:
        places = [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions[topic])]
        consumer.assign(_starts(consumer, places, _timeout_s(kafka), from_ms, last))
        open_partitions, heard_s = set(range(partitions[topic])), time.monotonic()
        while open_partitions:
            # Returns when it has that many messages, or when the time is over.
            messages = consumer.consume(READ_RECORDS, READ_SECONDS)
            if messages:
                heard_s = time.monotonic()
            elif time.monotonic() > heard_s + _timeout_s(kafka):
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            for message in messages:
                error = message.error()
                if error is None and message.partition() in open_partitions:
                    yield message
                elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition() or 0)
                elif error is not None:
                    raise KafkaException(error)


def end_offsets(kafka: KafkaSection, topic: str) -> dict[int, int]:
    """The offset of each partition from which on nothing can be read: after the last record, or at the start of an open
    transaction.

    Raises:
        BrokerError: no broker answers.
        MissingTopicError: the topic does not exist.
    """
    return {partition: end for partition, (_, end) in bounds(kafka, topic).items()}


def start_offsets(kafka: KafkaSection, topic: str, from_ms: int) -> dict[int, int]:
    """The first offset of each partition whose record has a timestamp of at least `from_ms`. A partition without one
    starts at its first record: its timestamps may be wrong.

    Raises:
        BrokerError: no broker answers.
        MissingTopicError: the topic does not exist.
    """
    first_and_end = bounds(kafka, topic)
    with _consumer(kafka, topic) as consumer:
        wanted = [TopicPartition(topic, partition, max(from_ms, 0)) for partition in first_and_end]
        found = _retry_until_leader(_timeout_s(kafka), consumer.offsets_for_times, wanted)
    starts = {place.partition: place.offset for place in found}
    return {number: starts[number] if starts[number] >= 0 else first for number, (first, _) in first_and_end.items()}


def bounds(kafka: KafkaSection, topic: str) -> dict[int, tuple[int, int]]:
    """The first offset of each partition, and its end (`end_offsets`).

    Raises:
        BrokerError: no broker answers.
        MissingTopicError: the topic does not exist.
    """
    partitions = list_partitions(kafka).get(topic)
    if partitions is None:
        raise missing(kafka, topic)
    with _consumer(kafka, topic) as consumer:
        ask = consumer.get_watermark_offsets
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        return {place.partition: _retry_until_leader(_timeout_s(kafka), ask, place) for place in places}


@contextmanager
def _consumer(kafka: KafkaSection, topic: str, more: ClientSettings | None = None) -> Iterator[Consumer]:
    """A consumer that joins no group."""
    settings = {"group.id": "rtea-read", "enable.auto.commit": False, **(more or {})}
    consumer = Consumer(connection(kafka) | settings)
    try:
        yield consumer
    except KafkaException as error:
        raise BrokerError(f"topic {topic} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()


READ_RECORDS = 1_000
READ_SECONDS = 0.05


def _starts(
    consumer: Consumer, places: list[TopicPartition], timeout_s: float, from_ms: int | None, last: int | None
) -> list[TopicPartition]:
    if from_ms is not None:
        wanted = [TopicPartition(place.topic, place.partition, from_ms) for place in places]
        return list(_retry_until_leader(timeout_s, consumer.offsets_for_times, wanted))
    if last is not None:
        for place in places:
            low, high = _retry_until_leader(timeout_s, consumer.get_watermark_offsets, place)
            place.offset = max(low, high - last)
    return places


def _retry_until_leader(timeout_s: float, ask: Callable[..., T], place: Any) -> T:
    """Ask a partition's leader; retry, because a new topic may not have a leader yet."""
    asking = Retrying(
        retry=retry_if_exception(_has_no_leader_yet),
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(0.1),
        reraise=True,
    )
    return asking(ask, place, timeout=timeout_s)


def _has_no_leader_yet(error: BaseException) -> bool:
    codes = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART)
    return isinstance(error, KafkaException) and error.args[0].code() in codes


def _timeout_s(kafka: KafkaSection) -> float:
    return kafka.timeout_ms / 1000


def unreachable(kafka: KafkaSection) -> BrokerError:
    """The error of a broker that does not answer."""
    return BrokerError(
        f"no Kafka broker answers at {kafka.bootstrap_servers}: start one with `rtea stack up` "
        "or set kafka.bootstrap_servers"
    )


def create(config: Config, *, replication_factor: int = 1) -> list[str]:
    """Create the topics that are missing; return their names.

    Raises:
        BrokerError: no broker answers, or it refuses.
    """
    kafka = config.kafka
    present = list_partitions(kafka)
    missing = [topic for topic in _wanted(config, replication_factor) if topic.topic not in present]
    if missing:
        admin = AdminClient(connection(kafka))  # Keep the client alive until the answers arrive.
        for future in admin.create_topics(missing).values():
            try:
                future.result(timeout=_timeout_s(kafka))
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BrokerError(f"topic could not be created: {error.args[0].str()}") from error
            except FutureTimeoutError as error:
                raise unreachable(kafka) from error
    return [topic.topic for topic in missing]


def _wanted(config: Config, replication_factor: int) -> list[NewTopic]:
    kafka = config.kafka
    # Simulated events may have old timestamps: retention by timestamp must not delete them.
    keep = {"retention.ms": "-1"}
    return [
        NewTopic(kafka.events_topic, kafka.partitions, replication_factor, config=keep),
        NewTopic(
            kafka.dead_letter_topic,
            1,
            replication_factor,
            config=keep | {"max.message.bytes": str(dead_letter_bytes(1_048_588))},
        ),
        NewTopic(
            kafka.results_topic,
            1,
            replication_factor,
            config={"cleanup.policy": "compact", "max.message.bytes": str(RESULT_BYTES)},
        ),
    ]


RESULT_BYTES = 16_777_216
"""Longest record that a results topic created by RTEA takes: the rows and sketches of one window."""


def result_bytes(max_dimensions: int) -> int:
    """Longest result record: three sketches, `(other)` in each currency, and a row for each dimension."""
    return 2_097_152 + 500 * max_dimensions


def dead_letter_bytes(event_bytes: int) -> int:
    """Longest dead letter for a whole value of that length: the value in base64, and the other fields."""
    return event_bytes * 4 // 3 + DEAD_LETTER_OVERHEAD_BYTES


def check(config: Config) -> dict[str, int]:
    """Check that the topics exist and accept long enough records; return the longest record of each, in bytes.

    A dead letter holds all of a value of at most `job.max_event_bytes`, and the first part of a longer one.

    Raises:
        BrokerError: no broker answers.
        MissingTopicError: a topic is missing, or its limit for a record is too low.
    """
    kafka = config.kafka
    present = list_partitions(kafka)
    names = [kafka.events_topic, kafka.dead_letter_topic, kafka.results_topic]
    for name in names:
        if name not in present:
            raise missing(kafka, name)
    longest = _longest_records(kafka, names)
    needed = {
        kafka.dead_letter_topic: dead_letter_bytes(min(config.job.max_event_bytes, longest[kafka.events_topic])),
        kafka.results_topic: result_bytes(config.job.max_dimensions),
    }
    for name, size_bytes in needed.items():
        if longest[name] < size_bytes:
            raise MissingTopicError(
                f"topic {name} takes records of {longest[name]} bytes, but {size_bytes} may be needed: raise its "
                "max.message.bytes, or lower job.max_event_bytes and job.max_dimensions"
            )
    return longest


def _longest_records(kafka: KafkaSection, names: list[str]) -> dict[str, int]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    admin = AdminClient(connection(kafka))
    answers = admin.describe_configs(resources)
    try:
        return {
            resource.name: int(future.result(timeout=_timeout_s(kafka))["max.message.bytes"].value)
            for resource, future in answers.items()
        }
    except KafkaException as error:
        raise BrokerError(f"settings of the topics cannot be read: {error.args[0].str()}") from error
    except FutureTimeoutError as error:
        raise unreachable(kafka) from error
