package rtea;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.TopicPartition;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.record.TimestampType;
import org.junit.jupiter.api.Test;

/** Promise: what a poll returns comes whole into batches, each record once and in order, and nothing beyond a stop. */
final class PackerTest {
    private static final TopicPartition PLACE = new TopicPartition("events", 3);

    private static ConsumerRecord<byte[], ByteBuffer> record(long offset, long timestampMs, String value) {
        ByteBuffer bytes = value == null ? null : ByteBuffer.wrap(("<" + value + ">").getBytes(UTF_8));
        if (bytes != null) {
            // A slice of a larger buffer, as the consumer hands them out.
            bytes = bytes.position(1).limit(bytes.limit() - 1).slice();
        }
        return new ConsumerRecord<>(
                PLACE.topic(), PLACE.partition(), offset, timestampMs, TimestampType.CREATE_TIME, 0, 0, null, bytes,
                new RecordHeaders(), java.util.Optional.empty());
    }

    private static List<String> values(byte[] batch) {
        ByteBuffer buffer = ByteBuffer.wrap(batch).order(ByteOrder.LITTLE_ENDIAN);
        buffer.getInt();
        buffer.getLong();
        List<String> found = new ArrayList<>();
        while (buffer.hasRemaining()) {
            long offset = buffer.getLong();
            long timestampMs = buffer.getLong();
            int length = buffer.getInt();
            byte[] value = new byte[Math.max(length, 0)];
            buffer.get(value);
            found.add(offset + "@" + timestampMs + "=" + (length < 0 ? null : new String(value, UTF_8)));
        }
        return found;
    }

    @Test
    void theLayoutIsWhatRustReads() {
        List<Packer.Batch> batches =
                new Packer(10, 1_000).pack(3, List.of(record(7, 60_000, "{}"), record(9, -1, null)), 12);
        byte[] expected =
                ByteBuffer.allocate(12 + 22 + 20)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putInt(3).putLong(12)
                        .putLong(7).putLong(60_000).putInt(2).put((byte) '{').put((byte) '}')
                        .putLong(9).putLong(-1).putInt(-1)
                        .array();
        assertEquals(1, batches.size());
        assertArrayEquals(expected, batches.get(0).bytes);
        assertEquals(2, batches.get(0).records);
        assertEquals(60_000, batches.get(0).timestampMs);
    }

    @Test
    void fullBatchesAreCutAndEachSaysWhatComesNext() {
        List<ConsumerRecord<byte[], ByteBuffer>> records = new ArrayList<>();
        for (int number = 0; number < 7; number++) {
            records.add(record(10 + 2 * number, number, "v" + number));
        }
        List<Packer.Batch> batches = new Packer(3, 1_000).pack(3, records, 99);
        assertEquals(3, batches.size());
        assertEquals(15, batches.get(0).nextOffset);
        assertEquals(21, batches.get(1).nextOffset);
        assertEquals(99, batches.get(2).nextOffset);
        List<String> found = new ArrayList<>();
        batches.forEach(batch -> found.addAll(values(batch.bytes)));
        assertEquals(List.of("10@0=v0", "12@1=v1", "14@2=v2", "16@3=v3", "18@4=v4", "20@5=v5", "22@6=v6"), found);
    }

    @Test
    void aRecordLongerThanABatchGetsOneOfItsOwn() {
        List<Packer.Batch> batches =
                new Packer(10, 60).pack(3, List.of(record(0, 0, "a"), record(1, 0, "b".repeat(500)), record(2, 0, "c")), 3);
        assertEquals(3, batches.size());
        assertEquals(1, values(batches.get(1).bytes).size());
    }

    private static PackInterceptor interceptor(String stops) {
        PackInterceptor made = new PackInterceptor();
        Map<String, Object> settings = new HashMap<>();
        settings.put(PackInterceptor.MAX_RECORDS, "10");
        settings.put(PackInterceptor.MAX_BYTES, "1000");
        settings.put(PackInterceptor.STOP_OFFSETS, stops);
        made.configure(settings);
        return made;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static List<ConsumerRecord<byte[], byte[]>> intercept(
            String stops, List<ConsumerRecord<byte[], ByteBuffer>> records, long nextOffset) {
        Map<TopicPartition, List<ConsumerRecord<byte[], ByteBuffer>>> polled = new HashMap<>();
        if (!records.isEmpty()) {
            polled.put(PLACE, records);
        }
        Map<TopicPartition, OffsetAndMetadata> next = Map.of(PLACE, new OffsetAndMetadata(nextOffset));
        ConsumerRecords packed = interceptor(stops).onConsume(new ConsumerRecords<>(polled, next));
        return packed.records(PLACE);
    }

    @Test
    void kafkaSourceSeesTheLastOffsetThatABatchCovers() {
        List<ConsumerRecord<byte[], byte[]>> batches =
                intercept(null, List.of(record(5, 1, "a"), record(6, 2, "b")), 9);
        assertEquals(1, batches.size());
        assertEquals(8, batches.get(0).offset());
        assertEquals(2, ((PackInterceptor.BatchRecord) batches.get(0)).records);
    }

    @Test
    void marksOfTransactionsGiveABatchWithoutRecords() {
        List<ConsumerRecord<byte[], byte[]>> batches = intercept(null, List.of(), 9);
        assertEquals(8, batches.get(0).offset());
        assertTrue(values(batches.get(0).value()).isEmpty());
    }

    @Test
    void aBatchThatCrossesTheStopIsCutThere() {
        List<ConsumerRecord<byte[], byte[]>> batches =
                intercept("2:1,3:7", List.of(record(5, 1, "a"), record(6, 2, "b"), record(7, 3, "c")), 8);
        assertEquals(List.of("5@1=a", "6@2=b"), values(batches.get(0).value()));
        // KafkaSource drops a record at or beyond the stop.
        assertEquals(6, batches.get(0).offset());
    }

    @Test
    void aTimeToComeDoesNotPauseOtherPartitions() {
        long beforeMs = System.currentTimeMillis();
        long timestampMs = intercept(null, List.of(record(5, Long.MAX_VALUE, "a")), 6).get(0).timestamp();
        assertTrue(timestampMs >= beforeMs && timestampMs <= System.currentTimeMillis());
    }
}
