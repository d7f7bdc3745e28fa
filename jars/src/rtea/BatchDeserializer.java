package rtea;

import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.flink.metrics.Counter;
import org.apache.flink.util.Collector;

/**
 * Hands on what {@link PackInterceptor} packed, and counts the records in it: Flink's own numRecordsOut counts batches. A
 * record that is not packed fails the job, since Kafka only logs an interceptor's exception.
 */
public final class BatchDeserializer implements KafkaRecordDeserializationSchema<byte[]> {
    private static final long serialVersionUID = 1L;

    private transient Counter records;
    private transient Counter bytes;
    private transient Counter batches;

    @Override
    public void open(DeserializationSchema.InitializationContext context) {
        records = context.getMetricGroup().counter("rtea_job_records_total");
        bytes = context.getMetricGroup().counter("rtea_job_batch_bytes_total");
        batches = context.getMetricGroup().counter("rtea_job_batches_total");
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<byte[]> out) {
        if (!(record instanceof PackInterceptor.BatchRecord)) {
            throw new IllegalStateException(
                    "record " + record.topic() + "-" + record.partition() + "-" + record.offset()
                            + " was not packed: the log of the TaskManager has the reason (PackInterceptor)");
        }
        records.inc(((PackInterceptor.BatchRecord) record).records);
        bytes.inc(record.value().length);
        batches.inc();
        out.collect(record.value());
    }

    @Override
    public TypeInformation<byte[]> getProducedType() {
        return PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
    }
}
