"""Checks of Kafka: whether it answers, its clock, the settings of the topics, open transactions."""

import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing, suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from rtea import topics
from rtea.config import Config
from rtea.doctor.finding import Found, ok
from rtea.errors import BrokerError
from rtea.sections import KafkaSection

GROUP = "rtea-doctor"

OFFSETS_TOPIC = "__consumer_offsets"

MOST_SKEW_MS = 2_000
"""How far the broker's clock may be from ours without a warning."""

DAY_MS = 86_400_000

DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "message.timestamp.type": "CreateTime",
    "compression.type": "producer",
}
"""Kafka's own."""


def answers(config: Config) -> Iterator[Found]:
    """Whether a broker answers."""
    kafka = config.kafka
    found = topics.list_partitions(kafka)
    yield ok(f"{kafka.bootstrap_servers} answers, {kafka.security_protocol}, {len(found)} topics")


def clock(config: Config) -> Iterator[Found]:
    """The broker's clock against ours. It commits an offset and reads the record that the broker wrote for it."""
    try:
        before_ms = time.time() * 1000
        stamped_ms = _stamp(config.kafka)
        after_ms = time.time() * 1000
    except (KafkaException, FutureTimeoutError, BrokerError, LookupError) as error:
        yield "skipped", f"the broker does not show its clock: {error}", ""
        return
    # The broker wrote its stamp between the two times of ours.
    ahead_ms = max(stamped_ms - after_ms, 0) + min(stamped_ms - before_ms, 0)
    if abs(ahead_ms) > MOST_SKEW_MS:
        where = "ahead of" if ahead_ms > 0 else "behind"
        yield (
            "warning",
            f"the broker's clock is {abs(ahead_ms) / 1000:,.1f} s {where} this machine's",
            "set both by NTP: event times ahead of the job's clock by more than job.max_skew_ms are refused",
        )
        return
    yield ok("the broker's clock agrees with this machine's")


def _stamp(kafka: KafkaSection) -> int:
    """The broker's time: that of the record which it writes for an offset that we commit."""
    timeout_s = kafka.timeout_ms / 1000
    settings = topics.connection(kafka) | {"group.id": GROUP, "enable.auto.commit": False}
    try:
        with closing(Consumer(settings)) as consumer:
            consumer.commit(offsets=[TopicPartition(kafka.events_topic, 0, 0)], asynchronous=False)
            partitions = topics.list_partitions(kafka)[OFFSETS_TOPIC]
            place = TopicPartition(OFFSETS_TOPIC, partition_of(GROUP, partitions))
            _, end = consumer.get_watermark_offsets(place, timeout=timeout_s)
            consumer.assign([TopicPartition(place.topic, place.partition, end - 1)])
            message = consumer.poll(timeout_s)
    finally:
        admin = AdminClient(topics.connection(kafka))
        for future in admin.delete_consumer_groups([GROUP]).values():
            with suppress(KafkaException, FutureTimeoutError):  # An empty group disturbs nobody.
                future.result(timeout_s)
    if message is None or message.error():
        raise LookupError("its record of our offset cannot be read")
    return int(message.timestamp()[1])


def partition_of(group: str, partitions: int) -> int:
    """The partition of Kafka's own topic that has a group's offsets (Java's hash of the name, without its sign).

    >>> partition_of("rtea-doctor", 50)
    42
    """
    code = 0
    for character in group:
        code = (31 * code + ord(character)) & 0xFFFFFFFF
    signed = code - 2**32 if code >= 2**31 else code
    return abs(signed) % partitions


def settings_of_topics(config: Config) -> Iterator[Found]:
    """Whether the topics exist and their settings fit."""
    topics.check(config)
    kafka = config.kafka
    names = (kafka.events_topic, kafka.dead_letter_topic, kafka.results_topic)
    events, _, results = (_settings(kafka, name) for name in names)
    partitions = topics.list_partitions(kafka)
    is_fine = True
    if "compact" in events["cleanup.policy"]:
        is_fine = False
        yield (
            "failed",
            f"topic {kafka.events_topic} is compacted: Kafka deletes events with the same key",
            "set its cleanup.policy to delete",
        )
    if "compact" not in results["cleanup.policy"] or "delete" in results["cleanup.policy"]:
        is_fine = False
        yield (
            "failed",
            f"topic {kafka.results_topic} has cleanup.policy {results['cleanup.policy']}: results would be deleted "
            "before a new table reads them",
            "set its cleanup.policy to compact",
        )
    kept_ms = int(events["retention.ms"])
    if 0 <= kept_ms < DAY_MS:
        is_fine = False
        yield (
            "warning",
            f"topic {kafka.events_topic} keeps events for {kept_ms / 3_600_000:.1f} h only: a job that stands still "
            "longer loses events, and older windows cannot be recomputed",
            "raise its retention.ms",
        )
    if partitions[kafka.results_topic] != 1:
        is_fine = False
        yield (
            "warning",
            f"topic {kafka.results_topic} has {partitions[kafka.results_topic]} partitions: one is enough, and sinks "
            "read it in order",
            "nothing has to be done; a new results topic should have one",
        )
    if is_fine:
        count = partitions[kafka.events_topic]
        kept = "without limit" if kept_ms < 0 else f"for {kept_ms / DAY_MS:.0f} days"
        yield ok(
            f"{kafka.events_topic}: {count} partition{'s' if count > 1 else ''}, kept {kept}, "
            f"{events['message.timestamp.type']}, compression {events['compression.type']}; the other two fit"
        )


def _settings(kafka: KafkaSection, topic: str) -> dict[str, str]:
    admin = AdminClient(topics.connection(kafka))  # Keep the client alive until the answer arrives.
    (answer,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    try:
        found = answer.result(timeout=kafka.timeout_ms / 1000)
    except KafkaException as error:
        raise BrokerError(f"settings of topic {topic} cannot be read: {error.args[0].str()}") from error
    except FutureTimeoutError as error:
        raise topics.unreachable(kafka) from error
    # Some brokers hide settings: then Kafka's defaults are assumed.
    return DEFAULTS | {name: entry.value for name, entry in found.items() if entry.value is not None}


def transactions(config: Config) -> Iterator[Found]:
    """Open transactions: nothing behind their first record can be read."""
    kafka = config.kafka
    # In this order, records that are written meanwhile do not look like those of an open transaction.
    written = written_offsets(kafka)
    readable = topics.end_offsets(kafka, kafka.events_topic)
    held = {number: end for number, end in readable.items() if written.get(number, end) > end}
    if not held:
        yield ok("no open transaction")
        return
    for number, end in held.items():
        yield (
            "warning",
            f"partition {number} has an open transaction: {written[number] - end:,} records from offset {end} on wait "
            "for it, and the watermark with them",
            "end the producer's transaction, or wait for its transaction.timeout.ms",
        )


def written_offsets(kafka: KafkaSection) -> dict[int, int]:
    """The end of each partition of the events topic, with records of open transactions."""
    settings = topics.connection(kafka) | {
        "group.id": GROUP,
        "enable.auto.commit": False,
        "isolation.level": "read_uncommitted",
    }
    timeout_s = kafka.timeout_ms / 1000
    with closing(Consumer(settings)) as consumer:
        count = topics.list_partitions(kafka).get(kafka.events_topic, 0)
        try:
            return {
                number: consumer.get_watermark_offsets(TopicPartition(kafka.events_topic, number), timeout=timeout_s)[1]
                for number in range(count)
            }
        except KafkaException as error:
            raise BrokerError(f"topic {kafka.events_topic} cannot be read: {error.args[0].str()}") from error
