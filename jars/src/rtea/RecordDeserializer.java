package rtea;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.typeutils.GenericTypeInfo;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.flink.util.Collector;

/**
 * Hands Kafka records on whole, so that partition, offset, timestamp and null values reach {@link
 * PackOperator}. Records stay within the chain of source and pack and are never serialized.
 */
public final class RecordDeserializer
        implements KafkaRecordDeserializationSchema<ConsumerRecord<byte[], byte[]>> {
    private static final long serialVersionUID = 1L;

    @Override
    public void deserialize(
            ConsumerRecord<byte[], byte[]> record, Collector<ConsumerRecord<byte[], byte[]>> out) {
        out.collect(record);
    }

    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public TypeInformation<ConsumerRecord<byte[], byte[]>> getProducedType() {
        return (TypeInformation) new GenericTypeInfo<>(ConsumerRecord.class);
    }
}
