"""The job's Kafka source and sinks, and its Java operators.

`RecordDeserializer` reads records from the events topic, and `PackOperator` packs them into batches for
`rtea.flink.fold`. `KeyedSerializer` writes records to the dead letter topic and the results topic.
"""

from typing import Any

from pyflink.common import Duration, Types, WatermarkStrategy
from pyflink.datastream import DataStream, DataStreamSink, StreamExecutionEnvironment
from pyflink.datastream.connectors import Sink
from pyflink.datastream.connectors.kafka import KafkaSource
from pyflink.java_gateway import get_gateway

from rtea.config import Config
from rtea.sections import KafkaSection

BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())
"""The type of all data between operators: plain bytes."""

CONSUMER_GROUP = "rtea-job"

WHOLE_TOPIC = (-(2**63), 2**63 - 1)
"""The time span of a live job: all times."""

SHADED = "org.apache.flink.kafka.shaded."
"""Package prefix of the copy of Kafka's classes in Flink's connector."""

# What a request of the producer may hold besides the longest record: headers and batch overhead.
REQUEST_OVERHEAD_BYTES = 65_536

LEAST_BUFFER_BYTES = 33_554_432


def read_events(env: StreamExecutionEnvironment, config: Config, span_ms: tuple[int, int] = WHOLE_TOPIC) -> DataStream:
    """Read the records of the events topic. The watermark of each partition follows the record timestamps, except those
    in the future. With a span `[from, to)`, the source stops at the end that the topic has when the job starts.
    """
    jvm = get_gateway().jvm
    offsets = jvm.org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer
    job = config.job
    builder = (
        jvm.org.apache.flink.connector.kafka.source.KafkaSource.builder()
        .setTopics([config.kafka.events_topic])
        .setDeserializer(jvm.rtea.RecordDeserializer())
        # Fewer, larger fetches: the broker waits up to 100 ms until it has half a MiB.
        .setProperty("fetch.min.bytes", "524288")
        .setProperty("fetch.max.wait.ms", "100")
        # The job must not see events of an aborted replay of dead letters.
        .setProperty("isolation.level", "read_committed")
    )
    if span_ms == WHOLE_TOPIC:
        start = offsets.earliest() if job.start_from == "earliest" else offsets.latest()
        builder.setGroupId(CONSUMER_GROUP).setProperty("partition.discovery.interval.ms", "10000")
    else:
        # Start at the first record with a timestamp in or after the span: no record before it belongs to the span. Stop
        # at the current end of the topic: a lookup by timestamp would stop at the first record whose clock was ahead.
        start = offsets.timestamp(max(span_ms[0], 0))
        builder.setBounded(offsets.latest())
        builder.setProperty("commit.offsets.on.checkpoint", "false")
    builder.setStartingOffsets(jvm.rtea.StrictOffsets(start))
    _connect(builder, config.kafka)
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(
        Duration.of_millis(job.watermark_delay_ms)
    ).with_idleness(Duration.of_millis(job.idle_timeout_ms))
    bounded = WatermarkStrategy(
        watermarks._j_watermark_strategy.withTimestampAssigner(jvm.rtea.SkewBound(job.max_skew_ms))
    )
    return env.from_source(KafkaSource(builder.build()), bounded, "events").uid("events")


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


def pack(events: DataStream, config: Config, span_ms: tuple[int, int] = WHOLE_TOPIC) -> DataStream:
    """Pack records of one window into batches, in the layout of `rtea-core`'s pack module. With a time span
    `[from, to)`, leave out all other records.
    """
    jvm = get_gateway().jvm
    job = config.job
    operator = jvm.rtea.PackOperator(job.pack_records, job.pack_bytes, job.window_ms, job.pack_interval_ms, *span_ms)
    return DataStream(events._j_data_stream.transform("pack", BYTES.get_java_type_info(), operator)).uid("pack")


def guard_topic(batches: DataStream, config: Config) -> DataStream:
    """Pass the batches on unchanged. The job fails if the topic was deleted and recreated."""
    jvm = get_gateway().jvm
    properties = jvm.java.util.Properties()
    for name, value in _connection(config.kafka).items():
        properties.setProperty(name, value)
    guard = jvm.rtea.TopicGuard(config.kafka.events_topic, properties)
    return DataStream(batches._j_data_stream.transform("topic guard", BYTES.get_java_type_info(), guard)).uid(
        "topic-guard"
    )


def keep_watermark(partials: DataStream) -> DataStream:
    """Pass the partials on unchanged. After a recovery, send the watermark of the checkpoint before them."""
    keeper = get_gateway().jvm.rtea.WatermarkKeeper()
    kept = partials._j_data_stream.transform("keep watermark", BYTES.get_java_type_info(), keeper)
    kept.setParallelism(1)
    return DataStream(kept).uid("keep-watermark")


def write_keyed(frames: DataStream, config: Config, topic: str, longest_record_bytes: int) -> DataStreamSink:
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
    return frames.sink_to(Sink(builder.build())).name(f"to {topic}").uid(topic)
