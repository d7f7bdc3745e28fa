package rtea;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.util.clock.ManualClock;
import org.junit.jupiter.api.Test;

/** Promise: only a partition that catches up can hold others back; wrong timestamps hold nobody back. */
final class AlignmentTest {
    private static final long NOW_MS = 1L << 41;
    private static final long NOTHING = -1;
    private static final long IDLE = -2;

    private final ManualClock activity = new ManualClock();
    private final Alignment.Rising rising = new Alignment.Rising(activity, () -> NOW_MS);
    private long said;

    private final WatermarkOutput output =
            new WatermarkOutput() {
                @Override
                public void emitWatermark(Watermark watermark) {
                    said = watermark.getTimestamp();
                }

                @Override
                public void markIdle() {
                    said = IDLE;
                }

                @Override
                public void markActive() {}
            };

    /** Lets a second pass in which the timestamps rise from one to another; what is said then. */
    private long second(long fromMs, long toMs) {
        said = NOTHING;
        rising.onEvent(new byte[0], fromMs, output);
        rising.onEvent(new byte[0], toMs, output);
        activity.advanceTime(Duration.ofSeconds(1));
        rising.onPeriodicEmit(output);
        return said;
    }

    @Test
    void aPartitionCountsWhileItCatchesUp() {
        assertEquals(NOTHING, second(0, 60_000), "nothing to compare with yet");
        assertEquals(120_000, second(60_000, 120_000));
        assertEquals(180_000, second(120_000, 180_000));
        assertEquals(NOW_MS, second(180_000, 181_000), "it is up to date");
    }

    @Test
    void aPausedPartitionStaysWhereItIs() {
        second(0, 60_000);
        second(60_000, 120_000);
        rising.onPeriodicEmit(output);
        assertEquals(120_000, said);
    }

    @Test
    void aSteadyPartitionHoldsNobodyBackHoweverWrongItsClock() {
        second(0, 1_000);
        for (long second = 1; second < 10; second++) {
            assertEquals(NOW_MS, second(second * 1_000, second * 1_000 + 1_000));
        }
    }

    @Test
    void recordsWithoutTimesHoldNobodyBack() {
        second(-1, -1);
        assertEquals(NOW_MS, second(-1, -1));
    }

    @Test
    void theGeneratorOfTheWholeSourceSaysNothing() {
        // It gets no record. A time from it would hide those of the partitions.
        activity.advanceTime(Duration.ofSeconds(1));
        rising.onPeriodicEmit(output);
        assertEquals(IDLE, said);
    }
}
