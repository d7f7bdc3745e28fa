package rtea;

import org.apache.flink.api.common.eventtime.TimestampAssigner;
import org.apache.flink.api.common.eventtime.TimestampAssignerSupplier;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Marks records from the future, so that none of them advances the watermark and makes honest events
 * late. {@link PackOperator} passes the mark on to the fold, which refuses them.
 */
public final class SkewBound
        implements TimestampAssigner<ConsumerRecord<byte[], byte[]>>,
                TimestampAssignerSupplier<ConsumerRecord<byte[], byte[]>> {
    private static final long serialVersionUID = 1L;

    /** The timestamp of a marked record: before all others, but not Flink's "no timestamp". */
    static final long FUTURE = Long.MIN_VALUE + 1;

    private final long maxSkewMs;
    private long latestAllowedMs = Long.MIN_VALUE;

    public SkewBound(long maxSkewMs) {
        this.maxSkewMs = maxSkewMs;
    }

    @Override
    public long extractTimestamp(ConsumerRecord<byte[], byte[]> record, long timestampMs) {
        // The clock is asked only when the last answer does not settle it: once in maxSkewMs.
        if (timestampMs > latestAllowedMs) {
            latestAllowedMs = System.currentTimeMillis() + maxSkewMs;
        }
        return timestampMs > latestAllowedMs ? FUTURE : timestampMs;
    }

    @Override
    public TimestampAssigner<ConsumerRecord<byte[], byte[]>> createTimestampAssigner(
            Context context) {
        return new SkewBound(maxSkewMs);
    }
}
