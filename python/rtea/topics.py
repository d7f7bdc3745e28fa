"""The pipeline's topics: made, checked, and read by whoever needs them.

Used by the local stack, the job's submission, the generator and the sinks.
"""

from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from rtea.config import Config
from rtea.errors import BrokerError, MissingTopicError
from rtea.sections import KafkaSection

DEAD_LETTER_OVERHEAD_BYTES = 65_536
"""Room of a dead letter beside its raw bytes in base64."""


ClientSettings = dict[str, Any]


def connection(kafka: KafkaSection) -> ClientSettings:
    """Client settings that every Kafka client of ours shares."""
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


def _timeout_s(kafka: KafkaSection) -> float:
    return kafka.timeout_ms / 1000


def unreachable(kafka: KafkaSection) -> BrokerError:
    """The error of a broker that does not answer."""
    return BrokerError(
        f"no Kafka broker answers at {kafka.bootstrap_servers}: start one with `rtea stack up` "
        "or set kafka.bootstrap_servers"
    )


def create(config: Config, *, replication_factor: int = 1) -> list[str]:
    """Make the topics that are missing; returns their names.

    Raises:
        BrokerError: no broker answers, or it refuses.
    """
    kafka = config.kafka
    present = list_partitions(kafka)
    missing = [topic for topic in _wanted(config, replication_factor) if topic.topic not in present]
    if missing:
        admin = AdminClient(connection(kafka))  # Answers are lost when the client goes before them.
        for future in admin.create_topics(missing).values():
            try:
                future.result(timeout=_timeout_s(kafka))
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BrokerError(f"topic could not be made: {error.args[0].str()}") from error
            except FutureTimeoutError as error:
                raise unreachable(kafka) from error
    return [topic.topic for topic in missing]


def _wanted(config: Config, replication_factor: int) -> list[NewTopic]:
    kafka = config.kafka
    # Simulated events may be long past: retention by record timestamp must not take them.
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
"""Longest result record: one window's rows and sketches."""


def dead_letter_bytes(event_record_bytes: int) -> int:
    """Longest dead letter of an events topic that takes records of that length: base64 and some."""
    return event_record_bytes * 4 // 3 + DEAD_LETTER_OVERHEAD_BYTES


def check(config: Config) -> dict[str, int]:
    """Check that the topics exist and that a dead letter of any record fits; returns the longest
    record of the dead letter topic and of the results topic, in bytes, by topic.

    Raises:
        BrokerError: no broker answers.
        MissingTopicError: a topic is missing, or the dead letter topic takes too short records.
    """
    kafka = config.kafka
    present = list_partitions(kafka)
    names = [kafka.events_topic, kafka.dead_letter_topic, kafka.results_topic]
    for name in names:
        if name not in present:
            raise MissingTopicError(f"topic {name} is missing at {kafka.bootstrap_servers}: run `rtea topics create`")
    longest = _longest_records(kafka, names)
    needed = dead_letter_bytes(longest[kafka.events_topic])
    if longest[kafka.dead_letter_topic] < needed:
        raise MissingTopicError(
            f"topic {kafka.dead_letter_topic} takes records of {longest[kafka.dead_letter_topic]} bytes, a dead letter "
            f"of {kafka.events_topic} may have {needed}: raise its max.message.bytes"
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
