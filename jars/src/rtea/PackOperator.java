package rtea;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * Copies Kafka records of one window into one byte array, in the layout that {@code pack.rs} of
 * rtea-core documents.
 *
 * <p>A batch ends when it is full, when the next record lies in another window, after {@code
 * intervalMs}, before each watermark, before going idle, and before each checkpoint barrier. So it
 * holds no state across a barrier, sees one watermark, and is late exactly when its records are.
 *
 * <p>Records outside {@code [fromMs, toMs)} are left out: a backfill of some windows must not make
 * rows of their neighbours, of which it sees a part. Records from the future are in no span.
 */
public final class PackOperator extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<ConsumerRecord<byte[], byte[]>, byte[]>, BoundedOneInput {
    private static final long serialVersionUID = 1L;
    private static final int FRAME_HEADER_BYTES = 24;
    private static final int NULL_VALUE = -1;

    private final int maxRecords;
    private final int maxBytes;
    private final long windowMs;
    private final long intervalMs;
    private final long fromMs;
    private final long toMs;

    private transient ByteBuffer batch;
    private transient int records;
    private transient long window;
    private transient long timestampMs;

    public PackOperator(
            int maxRecords, int maxBytes, long windowMs, long intervalMs, long fromMs, long toMs) {
        this.maxRecords = maxRecords;
        this.maxBytes = maxBytes;
        this.windowMs = windowMs;
        this.intervalMs = intervalMs;
        this.fromMs = fromMs;
        this.toMs = toMs;
    }

    @Override
    public void open() throws Exception {
        super.open();
        batch = allocate(maxBytes);
        records = 0;
        scheduleFlush();
    }

    private static ByteBuffer allocate(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private void scheduleFlush() {
        long next = getProcessingTimeService().getCurrentProcessingTime() + intervalMs;
        getProcessingTimeService()
                .registerTimer(
                        next,
                        time -> {
                            flush();
                            scheduleFlush();
                        });
    }

    @Override
    public void processElement(StreamRecord<ConsumerRecord<byte[], byte[]>> element) {
        ConsumerRecord<byte[], byte[]> record = element.getValue();
        byte[] value = record.value();
        boolean isFuture = element.getTimestamp() == SkewBound.FUTURE;
        if (isFuture ? fromMs != Long.MIN_VALUE : isOutside(element.getTimestamp())) {
            return;
        }
        int frameBytes = FRAME_HEADER_BYTES + (value == null ? 0 : value.length);
        long recordWindow = Math.floorDiv(element.getTimestamp(), windowMs);
        if (records > 0
                && (recordWindow != window
                        || records == maxRecords
                        || frameBytes > batch.remaining())) {
            flush();
        }
        if (frameBytes > batch.capacity()) {
            // A record larger than a batch travels alone; the buffer returns to its size after it.
            batch = allocate(frameBytes);
        }
        window = recordWindow;
        timestampMs = element.getTimestamp();
        // Records from the future share the window of the mark; their frames keep the true time.
        batch.putInt(isFuture ? ~record.partition() : record.partition());
        batch.putLong(record.offset()).putLong(record.timestamp());
        if (value == null) {
            batch.putInt(NULL_VALUE);
        } else {
            batch.putInt(value.length).put(value);
        }
        records++;
    }

    private boolean isOutside(long timestampMs) {
        return timestampMs < fromMs || timestampMs >= toMs;
    }

    private void flush() {
        if (records == 0) {
            return;
        }
        byte[] packed = Arrays.copyOf(batch.array(), batch.position());
        records = 0;
        batch = batch.capacity() > maxBytes ? allocate(maxBytes) : batch.clear();
        output.collect(new StreamRecord<>(packed, timestampMs));
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        flush();
        super.processWatermark(mark);
    }

    @Override
    public void processWatermarkStatus(WatermarkStatus status) throws Exception {
        // Once idle, this subtask no longer holds the watermark back.
        flush();
        super.processWatermarkStatus(status);
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpointId) {
        flush();
    }

    @Override
    public void endInput() {
        flush();
    }
}
