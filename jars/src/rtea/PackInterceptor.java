package rtea;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerInterceptor;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.TopicPartition;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.record.TimestampType;

/**
 * Turns what a poll of Kafka's consumer returns into packed batches, in the fetcher's thread: nothing after it handles
 * single records. KafkaSource sees records that are batches, whose offset is the last one that the batch covers, so its
 * offsets, checkpoints and commits stay its own.
 *
 * <p>A poll that only passes marks of transactions gives a batch without records, so that those behind it know how far
 * the source has come.
 */
public final class PackInterceptor implements ConsumerInterceptor<byte[], ByteBuffer> {
    /** Names of the settings, as properties of the consumer. */
    public static final String MAX_RECORDS = "rtea.pack.records";

    public static final String MAX_BYTES = "rtea.pack.bytes";

    /** Where a bounded source stops: {@code partition:offset,...}; records from there on are left out. */
    public static final String STOP_OFFSETS = "rtea.stop.offsets";

    private Packer packer;
    private Map<Integer, Long> stopOffsets = Map.of();

    @Override
    public void configure(Map<String, ?> settings) {
        packer =
                new Packer(
                        Integer.parseInt(settings.get(MAX_RECORDS).toString()),
                        Integer.parseInt(settings.get(MAX_BYTES).toString()));
        Object stops = settings.get(STOP_OFFSETS);
        if (stops != null) {
            stopOffsets = Offsets.parse(stops.toString());
        }
    }

    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public ConsumerRecords<byte[], ByteBuffer> onConsume(ConsumerRecords<byte[], ByteBuffer> polled) {
        Set<TopicPartition> partitions = new HashSet<>(polled.partitions());
        partitions.addAll(polled.nextOffsets().keySet());
        Map<TopicPartition, List<ConsumerRecord<byte[], byte[]>>> batches = new HashMap<>();
        for (TopicPartition partition : partitions) {
            batches.put(partition, pack(partition, polled));
        }
        return (ConsumerRecords) new ConsumerRecords<>(batches, polled.nextOffsets());
    }

    private List<ConsumerRecord<byte[], byte[]>> pack(
            TopicPartition partition, ConsumerRecords<byte[], ByteBuffer> polled) {
        List<ConsumerRecord<byte[], ByteBuffer>> records = polled.records(partition);
        OffsetAndMetadata next = polled.nextOffsets().get(partition);
        long nextOffset = next != null ? next.offset() : records.get(records.size() - 1).offset() + 1;
        long stopOffset = stopOffsets.getOrDefault(partition.partition(), Long.MAX_VALUE);
        if (nextOffset > stopOffset) {
            records = before(stopOffset, records);
            nextOffset = stopOffset;
        }
        List<ConsumerRecord<byte[], byte[]>> packed = new ArrayList<>();
        for (Packer.Batch batch : packer.pack(partition.partition(), records, nextOffset)) {
            packed.add(new BatchRecord(partition, batch));
        }
        return packed;
    }

    private static List<ConsumerRecord<byte[], ByteBuffer>> before(
            long stopOffset, List<ConsumerRecord<byte[], ByteBuffer>> records) {
        int end = records.size();
        while (end > 0 && records.get(end - 1).offset() >= stopOffset) {
            end--;
        }
        return records.subList(0, end);
    }

    @Override
    public void onCommit(Map<TopicPartition, OffsetAndMetadata> offsets) {}

    @Override
    public void close() {}

    /** A batch as KafkaSource sees it. */
    static final class BatchRecord extends ConsumerRecord<byte[], byte[]> {
        final int records;

        private BatchRecord(TopicPartition partition, Packer.Batch batch) {
            super(
                    partition.topic(),
                    partition.partition(),
                    batch.nextOffset - 1,
                    // A time to come says nothing about how far the partition is.
                    Math.min(batch.timestampMs, System.currentTimeMillis()),
                    TimestampType.CREATE_TIME,
                    NULL_SIZE,
                    batch.bytes.length,
                    null,
                    batch.bytes,
                    new RecordHeaders(),
                    Optional.empty());
            records = batch.records;
        }
    }
}
