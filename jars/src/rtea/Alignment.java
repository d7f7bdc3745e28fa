package rtea;

import java.util.function.LongSupplier;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkAlignmentParams;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.util.clock.RelativeClock;

/**
 * Lets the source pause a partition that is far ahead of the slowest one while that one catches up: every window between
 * the two stays in memory.
 *
 * <p>It goes by the records' timestamps, since the source does not know the events' own times. That decides only what is
 * read first: {@link Watermarks} ignores these watermarks. Timestamps may be wrong, so a partition counts only while they
 * rise much faster than the clock. One that is quiet, or up to date, or whose producer writes no times, is where the clock
 * is, and holds nobody back. It is not marked as idle after its first record: Flink does not resume an idle partition.
 */
public final class Alignment implements WatermarkStrategy<byte[]> {
    private static final long serialVersionUID = 1L;

    /** So many updates in the lead, but a second to a minute apart: Flink logs each. */
    private static final long UPDATES = 1_440;

    private static final long LEAST_INTERVAL_MS = 1_000;
    private static final long MOST_INTERVAL_MS = 60_000;

    private static final long SAMPLE_NANOS = 1_000_000_000L;

    /** So much faster than the clock rise the timestamps of a partition that catches up. */
    private static final long CATCHING_UP = 2;

    private final long maxAheadMs;

    Alignment(long maxAheadMs) {
        this.maxAheadMs = maxAheadMs;
    }

    /** The strategy of a source whose partitions may lie so far apart. */
    public static WatermarkStrategy<byte[]> of(long maxAheadMs) {
        return new Alignment(maxAheadMs);
    }

    @Override
    public WatermarkAlignmentParams getAlignmentParameters() {
        long intervalMs = Math.max(LEAST_INTERVAL_MS, Math.min(MOST_INTERVAL_MS, maxAheadMs / UPDATES));
        return new WatermarkAlignmentParams(maxAheadMs, "events", intervalMs);
    }

    @Override
    public WatermarkGenerator<byte[]> createWatermarkGenerator(WatermarkGeneratorSupplier.Context context) {
        return new Rising(context.getInputActivityClock(), System::currentTimeMillis);
    }

    /** Follows the timestamps of one partition. */
    static final class Rising implements WatermarkGenerator<byte[]> {
        /** Stands still while the partition is paused. */
        private final RelativeClock activity;

        private final LongSupplier clockMs;
        private long greatestMs = Long.MIN_VALUE;
        private long sampledMs = Long.MIN_VALUE;
        private long sampledAtNanos;
        private boolean isSampled;
        private boolean isCatchingUp;

        Rising(RelativeClock activity, LongSupplier clockMs) {
            this.activity = activity;
            this.clockMs = clockMs;
            sampledAtNanos = activity.relativeTimeNanos();
        }

        @Override
        public void onEvent(byte[] batch, long timestampMs, WatermarkOutput output) {
            greatestMs = Math.max(greatestMs, timestampMs);
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {
            sample();
            if (greatestMs == Long.MIN_VALUE) {
                // Also Flink's generator for the source as a whole, which sees no record. Nobody pauses what said nothing.
                output.markIdle();
            } else if (isSampled) {
                output.emitWatermark(new Watermark(isCatchingUp ? greatestMs : clockMs.getAsLong()));
            }
        }

        private void sample() {
            long elapsedNanos = activity.relativeTimeNanos() - sampledAtNanos;
            if (elapsedNanos < SAMPLE_NANOS) {
                return;
            }
            long risenMs = sampledMs == Long.MIN_VALUE ? 0 : greatestMs - sampledMs;
            isSampled |= sampledMs != Long.MIN_VALUE;
            isCatchingUp = risenMs > CATCHING_UP * elapsedNanos / 1_000_000;
            sampledMs = greatestMs;
            sampledAtNanos += elapsedNanos;
        }
    }
}
