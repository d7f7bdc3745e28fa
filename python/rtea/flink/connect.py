"""Kafka ends of the job, and the Java operator between source and fold.

Records come from the events topic through `RecordDeserializer`, batches leave `PackOperator` for
`rtea.flink.fold`; framed records go to the dead letter and results topics through `FrameSerializer`.
"""

from pyflink.common import Duration, Types, WatermarkStrategy
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.connectors import Sink
from pyflink.datastream.connectors.kafka import KafkaSource
from pyflink.java_gateway import get_gateway

from rtea.config import Config

BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())
"""Bytes on the wire between operators, as they are."""

CONSUMER_GROUP = "rtea-job"

# Room of the producer beyond the longest record, for its headers and batch overhead.
REQUEST_OVERHEAD_BYTES = 65_536


def read_events(env: StreamExecutionEnvironment, config: Config) -> DataStream:
    """Records of the events topic, with a watermark per partition from their timestamps."""
    jvm = get_gateway().jvm
    offsets = jvm.org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer
    start = offsets.earliest() if config.job.start_from == "earliest" else offsets.latest()
    builder = (
        jvm.org.apache.flink.connector.kafka.source.KafkaSource.builder()
        .setBootstrapServers(config.kafka.bootstrap_servers)
        .setTopics([config.kafka.events_topic])
        .setGroupId(CONSUMER_GROUP)
        .setStartingOffsets(start)
        .setDeserializer(jvm.rtea.RecordDeserializer())
        .setProperty("partition.discovery.interval.ms", "10000")
        # Fewer, larger fetches: a broker waits up to 100 ms for half a MiB.
        .setProperty("fetch.min.bytes", "524288")
        .setProperty("fetch.max.wait.ms", "100")
    )
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(
        Duration.of_millis(config.job.watermark_delay_ms)
    ).with_idleness(Duration.of_millis(config.job.idle_timeout_ms))
    return env.from_source(KafkaSource(builder.build()), watermarks, "events").uid("events")


def pack(events: DataStream, config: Config) -> DataStream:
    """Batches of records of one window, in the layout of `rtea-core`'s pack module."""
    jvm = get_gateway().jvm
    job = config.job
    operator = jvm.rtea.PackOperator(job.pack_records, job.pack_bytes, job.window_ms, job.pack_interval_ms)
    return DataStream(events._j_data_stream.transform("pack", BYTES.get_java_type_info(), operator)).uid("pack")


def write_frames(frames: DataStream, config: Config, topic: str, longest_record_bytes: int) -> None:
    """Write framed records to a topic, at least once."""
    jvm = get_gateway().jvm
    guarantee = jvm.org.apache.flink.connector.base.DeliveryGuarantee.AT_LEAST_ONCE
    sink = (
        jvm.org.apache.flink.connector.kafka.sink.KafkaSink.builder()
        .setBootstrapServers(config.kafka.bootstrap_servers)
        .setRecordSerializer(jvm.rtea.FrameSerializer(topic))
        .setDeliveryGuarantee(guarantee)
        .setProperty("max.request.size", str(longest_record_bytes + REQUEST_OVERHEAD_BYTES))
        .setProperty("compression.type", "lz4")
        .setProperty("acks", "all")
        .build()
    )
    frames.sink_to(Sink(sink)).name(f"to {topic}").uid(topic)
