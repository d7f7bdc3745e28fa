package rivals;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.OutputTag;

/** What both Flink jobs share: the environment, the source and the sinks, as Flink's documentation shows them. */
final class Flink {
    /** Values that are no events. */
    static final OutputTag<String> LETTERS = new OutputTag<>("letters") {};

    private Flink() {}

    /** Values as they are. */
    private static final class Bytes extends AbstractDeserializationSchema<byte[]> {
        private static final long serialVersionUID = 1L;

        @Override
        public byte[] deserialize(byte[] message) {
            return message;
        }
    }

    static StreamExecutionEnvironment environment(Settings settings) {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.setParallelism(settings.parallelism);
        env.getConfig().enableObjectReuse();
        env.enableCheckpointing(settings.checkpoints.toMillis());
        return env;
    }

    /** The topic; the records' timestamps are the events' own times, as the generator writes them. */
    static DataStream<byte[]> read(StreamExecutionEnvironment env, Settings settings) {
        KafkaSource<byte[]> source =
                KafkaSource.<byte[]>builder()
                        .setBootstrapServers(settings.bootstrapServers)
                        .setTopics(settings.topic)
                        .setGroupId("rival")
                        .setStartingOffsets(OffsetsInitializer.earliest())
                        .setValueOnlyDeserializer(new Bytes())
                        .build();
        WatermarkStrategy<byte[]> watermarks =
                WatermarkStrategy.<byte[]>forBoundedOutOfOrderness(settings.delay).withIdleness(settings.idle);
        return env.fromSource(source, watermarks, "events");
    }

    static void write(DataStream<String> lines, Settings settings, String topic) {
        lines.sinkTo(
                KafkaSink.<String>builder()
                        .setBootstrapServers(settings.bootstrapServers)
                        .setRecordSerializer(
                                KafkaRecordSerializationSchema.<String>builder()
                                        .setTopic(topic)
                                        .setValueSerializationSchema(new SimpleStringSchema())
                                        .build())
                        .build());
    }
}
