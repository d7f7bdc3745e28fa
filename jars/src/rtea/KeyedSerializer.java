package rtea;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.producer.ProducerRecord;

/** Splits one byte array into key and value of a Kafka record, as {@code letter.rs} of rtea-core documents. */
public final class KeyedSerializer implements KafkaRecordSerializationSchema<byte[]> {
    private static final long serialVersionUID = 1L;

    private final String topic;

    public KeyedSerializer(String topic) {
        this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(
            byte[] frame, KafkaSinkContext context, Long timestampMs) {
        int valueStart =
                Integer.BYTES + ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getInt();
        byte[] key = Arrays.copyOfRange(frame, Integer.BYTES, valueStart);
        byte[] value = Arrays.copyOfRange(frame, valueStart, frame.length);
        return new ProducerRecord<>(topic, key, value);
    }
}
