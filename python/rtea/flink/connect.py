"""The job's Kafka source and sinks, and its Java operators.

`PackInterceptor` packs the records of the events topic into batches for `rtea.flink.fold`, as the source reads them.
`Watermarks` makes the watermark from the progress that the fold reports. `KeyedSerializer` writes records to the dead
letter topic and the results topic.
"""

from typing import Any, NamedTuple

from pyflink.common import Types, WatermarkStrategy
from pyflink.datastream import DataStream, DataStreamSink, OutputTag, StreamExecutionEnvironment
from pyflink.datastream.connectors import Sink
from pyflink.datastream.connectors.kafka import KafkaSource
from pyflink.java_gateway import get_gateway

from rtea.config import Config
from rtea.sections import KafkaSection

BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())
"""The type of all data between operators: plain bytes."""

CONSUMER_GROUP = "rtea-job"

REFUSED = "refused"
"""Name of the side output of `Watermarks` with the counts of refused events."""


class Span(NamedTuple):
    """What a backfill keeps: events with times in `[from_ms, to_ms)`."""

    from_ms: int
    to_ms: int


class Reading(NamedTuple):
    """What the source reads: from an offset of each partition, and for a backfill up to another one. A partition that
    is added later is read from its start. Without `start_offsets`, each partition is read from its start.
    """

    start_offsets: dict[int, int]
    stop_offsets: dict[int, int]
    span: Span | None


EVERYTHING = Reading({}, {}, None)
"""A live job that starts with the earliest events."""


SHADED = "org.apache.flink.kafka.shaded."
"""Package prefix of the copy of Kafka's classes in Flink's connector."""

# What a request of the producer may hold besides the longest record: headers and batch overhead.
REQUEST_OVERHEAD_BYTES = 65_536

LEAST_BUFFER_BYTES = 33_554_432


def read_events(env: StreamExecutionEnvironment, config: Config, reading: Reading = EVERYTHING) -> DataStream:
    """Read the events topic as packed batches, each of one partition (`rtea-core`'s pack module has the layout)."""
    jvm = get_gateway().jvm
    offsets = jvm.org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer
    job, topic = config.job, config.kafka.events_topic
    starts = _written(reading.start_offsets)
    start = jvm.rtea.Offsets.of(topic, starts) if starts else offsets.earliest()
    builder = (
        jvm.org.apache.flink.connector.kafka.source.KafkaSource.builder()
        .setTopics([topic])
        .setStartingOffsets(jvm.rtea.StrictOffsets(start))
        .setDeserializer(jvm.rtea.BatchDeserializer())
        .setProperty("key.deserializer", "rtea.NoKeys")
        .setProperty("value.deserializer", "rtea.Slices")
        .setProperty("interceptor.classes", "rtea.PackInterceptor")
        .setProperty("rtea.pack.records", str(job.pack_records))
        .setProperty("rtea.pack.bytes", str(job.pack_bytes))
        .setProperty("max.poll.records", str(job.pack_records))
        # Fewer, larger fetches: the broker waits up to 100 ms until it has half a MiB.
        .setProperty("fetch.min.bytes", "524288")
        .setProperty("fetch.max.wait.ms", "100")
        .setProperty("check.crcs", str(job.check_crcs).lower())
        # The job must not see events of an aborted replay of dead letters.
        .setProperty("isolation.level", "read_committed")
    )
    # `Watermarks` makes the watermark, from the events' own times.
    strategy = WatermarkStrategy.no_watermarks()
    if reading.span is None:
        builder.setGroupId(CONSUMER_GROUP).setProperty("partition.discovery.interval.ms", "10000")
        strategy = WatermarkStrategy(jvm.rtea.Alignment.of(job.max_partition_lead_ms))
    else:
        stops = _written(reading.stop_offsets)
        builder.setBounded(jvm.rtea.Offsets.of(topic, stops))
        builder.setProperty("rtea.stop.offsets", stops).setProperty("commit.offsets.on.checkpoint", "false")
    _connect(builder, config.kafka)
    return env.from_source(KafkaSource(builder.build()), strategy, "events", BYTES).uid("events")


def _written(offsets: dict[int, int]) -> str:
    """Offsets as the Java class `Offsets` reads them.

    >>> _written({0: 5, 1: 7})
    '0:5,1:7'
    """
    return ",".join(f"{partition}:{offset}" for partition, offset in offsets.items())


def _connect(builder: Any, kafka: KafkaSection) -> None:
    for name, value in _connection(kafka).items():
        builder.setProperty(name, value)


def _connection(kafka: KafkaSection) -> dict[str, str]:
    """The settings of `rtea.topics.connection`, with the names that Kafka's Java clients use."""
    settings = {"bootstrap.servers": kafka.bootstrap_servers, "security.protocol": kafka.security_protocol}
    if kafka.ssl_ca:
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(kafka.ssl_ca.resolve())}
    if kafka.ssl_identity:
        settings |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(kafka.ssl_identity.resolve())}
    if kafka.security_protocol.startswith("SASL") and kafka.sasl_password:
        module = "plain.PlainLoginModule" if kafka.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        user, password = (_quoted(text) for text in (kafka.sasl_username or "", kafka.sasl_password.get_secret_value()))
        settings |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.jaas.config": f"{SHADED}org.apache.kafka.common.security.{module} required "
            f"username={user} password={password};",
        }
    return settings


def _quoted(text: str) -> str:
    """Quote a value for a JAAS configuration."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def guard_topic(batches: DataStream, config: Config) -> DataStream:
    """Pass the batches on unchanged. The job fails if the topic was deleted and recreated."""
    guard = get_gateway().jvm.rtea.TopicGuard(config.kafka.events_topic, _properties(config.kafka))
    return DataStream(batches._j_data_stream.transform("topic guard", BYTES.get_java_type_info(), guard)).uid(
        "topic-guard"
    )


def make_watermarks(
    elements: DataStream, config: Config, reading: Reading = EVERYTHING
) -> tuple[DataStream, DataStream]:
    """Take the fold's elements apart (`rtea.flink.elements`) and make the watermark: the partials, each with its
    window's start as timestamp, and the counts of refused events.
    """
    jvm = get_gateway().jvm
    job = config.job
    operator = jvm.rtea.Watermarks(
        config.kafka.events_topic,
        CONSUMER_GROUP,
        _properties(config.kafka),
        job.window_ms,
        job.watermark_delay_ms,
        job.idle_timeout_ms,
        _written(reading.start_offsets),
        reading.span is not None,
    )
    made = elements._j_data_stream.transform("watermarks", BYTES.get_java_type_info(), operator)
    made.setParallelism(1)
    refused = made.getSideOutput(OutputTag(REFUSED, BYTES).get_java_output_tag())
    # The uid is that of the operator's first version: savepoints know it.
    return DataStream(made).uid("keep-watermark"), DataStream(refused)


def _properties(kafka: KafkaSection) -> Any:
    properties = get_gateway().jvm.java.util.Properties()
    for name, value in _connection(kafka).items():
        properties.setProperty(name, value)
    return properties


def write_keyed(elements: DataStream, config: Config, topic: str, longest_record_bytes: int) -> DataStreamSink:
    """Write records to a topic, at least once. Each element is a key and a value in one byte array."""
    jvm = get_gateway().jvm
    guarantee = jvm.org.apache.flink.connector.base.DeliveryGuarantee.AT_LEAST_ONCE
    builder = (
        jvm.org.apache.flink.connector.kafka.sink.KafkaSink.builder()
        .setRecordSerializer(jvm.rtea.KeyedSerializer(topic))
        .setDeliveryGuarantee(guarantee)
        .setProperty("max.request.size", str(longest_record_bytes + REQUEST_OVERHEAD_BYTES))
        # The producer refuses a record that is longer than its whole buffer; the default is 32 MiB.
        .setProperty("buffer.memory", str(max(LEAST_BUFFER_BYTES, 2 * (longest_record_bytes + REQUEST_OVERHEAD_BYTES))))
        .setProperty("compression.type", "lz4")
        .setProperty("acks", "all")
    )
    _connect(builder, config.kafka)
    return elements.sink_to(Sink(builder.build())).name(f"to {topic}").uid(topic)
