package rtea;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Copies records of one partition into byte arrays, in the layout that {@code pack.rs} of rtea-core documents. A batch
 * ends when it is full; a record longer than a batch gets one of its own.
 */
final class Packer {
    private static final int BATCH_HEADER_BYTES = 12;
    private static final int RECORD_HEADER_BYTES = 20;
    private static final int NULL_VALUE = -1;

    private final int maxRecords;
    private final int maxBytes;

    Packer(int maxRecords, int maxBytes) {
        this.maxRecords = maxRecords;
        this.maxBytes = maxBytes;
    }

    /** One batch, and what a Kafka record of it has to say. */
    static final class Batch {
        final byte[] bytes;
        final int records;
        final long nextOffset;

        /** The greatest timestamp of the records; -1 when there is none. */
        final long timestampMs;

        private Batch(byte[] bytes, int records, long nextOffset, long timestampMs) {
            this.bytes = bytes;
            this.records = records;
            this.nextOffset = nextOffset;
            this.timestampMs = timestampMs;
        }
    }

    /** Packs records of a partition whose next offset, after all of them, is given. */
    List<Batch> pack(int partition, List<? extends ConsumerRecord<?, ByteBuffer>> records, long nextOffset) {
        List<Batch> batches = new ArrayList<>();
        int from = 0;
        do {
            int to = endOfBatch(records, from);
            long next = to == records.size() ? nextOffset : records.get(to - 1).offset() + 1;
            List<? extends ConsumerRecord<?, ByteBuffer>> packed = records.subList(from, to);
            batches.add(new Batch(bytes(partition, next, packed), to - from, next, greatestTimestampMs(packed)));
            from = to;
        } while (from < records.size());
        return batches;
    }

    private int endOfBatch(List<? extends ConsumerRecord<?, ByteBuffer>> records, int from) {
        int last = (int) Math.min(records.size(), (long) from + maxRecords);
        long size = BATCH_HEADER_BYTES;
        int to = from;
        while (to < last) {
            size += RECORD_HEADER_BYTES + length(records.get(to).value());
            if (size > maxBytes && to > from) {
                break;
            }
            to++;
        }
        return to;
    }

    private static long greatestTimestampMs(List<? extends ConsumerRecord<?, ByteBuffer>> records) {
        long greatestMs = ConsumerRecord.NO_TIMESTAMP;
        for (ConsumerRecord<?, ByteBuffer> record : records) {
            greatestMs = Math.max(greatestMs, record.timestamp());
        }
        return greatestMs;
    }

    private static int length(ByteBuffer value) {
        return value == null ? 0 : value.remaining();
    }

    private static byte[] bytes(
            int partition, long nextOffset, List<? extends ConsumerRecord<?, ByteBuffer>> records) {
        int size = BATCH_HEADER_BYTES;
        for (ConsumerRecord<?, ByteBuffer> record : records) {
            size = Math.addExact(size, RECORD_HEADER_BYTES + length(record.value()));
        }
        ByteBuffer batch = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        batch.putInt(partition).putLong(nextOffset);
        for (ConsumerRecord<?, ByteBuffer> record : records) {
            ByteBuffer value = record.value();
            batch.putLong(record.offset()).putLong(record.timestamp());
            batch.putInt(value == null ? NULL_VALUE : value.remaining());
            if (value != null) {
                batch.put(value.duplicate());
            }
        }
        return batch.array();
    }
}
