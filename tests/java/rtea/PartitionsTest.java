package rtea;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** Promise: the watermark's time follows the slowest partition that may still have something to say. */
final class PartitionsTest {
    private static final long WINDOW_MS = 60_000;
    private static final long DELAY_MS = 2_000;
    private static final long IDLE_MS = 5_000;
    private static final long NO_EVENT = Long.MIN_VALUE;

    private final Partitions partitions = new Partitions(WINDOW_MS, DELAY_MS, IDLE_MS, Map.of());
    private long nowMs = 1_000_000;

    /** Kafka says that the partitions begin at 0 and end there. */
    private void look(long... ends) {
        Map<Integer, Long> beginnings = new HashMap<>();
        Map<Integer, Long> found = new HashMap<>();
        for (int partition = 0; partition < ends.length; partition++) {
            beginnings.put(partition, 0L);
            found.put(partition, ends[partition]);
        }
        partitions.compare(new Look(nowMs, found.keySet(), beginnings, found, Map.of()), nowMs);
    }

    private void batch(int partition, long nextOffset, long eventTimeMs) {
        partitions.add(partition, nextOffset, eventTimeMs, nowMs);
    }

    private OptionalLong reached() {
        return partitions.eventTimeMs(nowMs);
    }

    private void assertReached(long expectedMs) {
        assertEquals(OptionalLong.of(expectedMs), reached());
    }

    private void assertUnknown() {
        assertEquals(OptionalLong.empty(), reached());
    }

    @Test
    void nothingIsKnownBeforeKafkaHasSaidWhichPartitionsThereAre() {
        batch(0, 10, 500_000);
        assertUnknown();
        assertTrue(partitions.wantsLook(nowMs));
        look(10);
        assertReached(500_000);
        assertFalse(partitions.wantsLook(nowMs));
    }

    @Test
    void theSlowestPartitionCounts() {
        look(10, 10);
        batch(0, 10, 500_000);
        batch(1, 10, 400_000);
        assertReached(400_000);
        assertEquals(1, partitions.slowest());
        assertEquals(100_000, partitions.spreadMs());
    }

    @Test
    void aPartitionWithUnreadRecordsIsNeverIdle() {
        look(10, 10);
        batch(0, 10, 900_000);
        for (int second = 0; second < 90; second++) {
            nowMs += 1_000;
            batch(0, 11 + second, 900_000 + second * 1_000);
            // An open transaction, or no leader: partition 1 has 10 records, and none can be read.
            look(11 + second, 10);
            assertUnknown();
        }
        batch(1, 10, 905_000);
        assertReached(905_000);
    }

    @Test
    void aPartitionWhoseLeaderDoesNotAnswerIsNotIdle() {
        look(10, 10);
        batch(0, 10, 900_000);
        batch(1, 9, 900_000);
        nowMs += 60_000;
        batch(0, 20, 960_000);
        partitions.compare(new Look(nowMs, Map.of(0, 0L, 1, 0L).keySet(), Map.of(0, 0L), Map.of(0, 20L), Map.of()), nowMs);
        assertReached(900_000);
    }

    @Test
    void anIdlePartitionHoldsBackOnlyWhatCameAfterTheLookThatFoundItRead() {
        look(10, 10);
        batch(0, 10, 1_000_000);
        batch(1, 10, 1_000_000);
        nowMs += 4_999;
        look(10, 10);
        batch(0, 20, nowMs);
        assertReached(1_000_000);
        nowMs += 1;
        look(20, 10);
        batch(0, 21, nowMs + 700);
        nowMs += 1_000;
        assertReached(nowMs - 1_000);
        // Kafka falls silent: time stands still, whatever the clock says.
        nowMs += 600_000;
        assertReached(nowMs - 601_000);
    }

    @Test
    void malformedAndOldEventsDoNotKeepAPartitionFromBeingIdle() {
        look(10, 10);
        batch(0, 10, 1_000_000);
        batch(1, 10, 1_000_000);
        long offset = 10;
        for (int step = 0; step < 20; step++) {
            nowMs += 500;
            batch(0, ++offset, nowMs);
            batch(1, offset, step % 2 == 0 ? NO_EVENT : 3_600);
            look(offset, offset);
        }
        assertReached(nowMs);
    }

    @Test
    void aSourceThatIsAlwaysALittleBehindIsUpToDateAllTheSame() {
        look(10, 10);
        batch(0, 10, 1_000_000);
        batch(1, 10, 1_000_000);
        long end = 10;
        for (int step = 0; step < 40; step++) {
            nowMs += 250;
            end += 5;
            // Partition 1 has only malformed events, and each look finds more than the source has read.
            look(end, end);
            batch(0, end, nowMs);
            batch(1, end - 3, NO_EVENT);
        }
        assertTrue(reached().getAsLong() > nowMs - 1_000);
    }

    @Test
    void anEmptyPartitionHoldsNobodyBackForLongerThanTheTimeout() {
        look(10, 0);
        batch(0, 10, 900_000);
        assertUnknown();
        nowMs += IDLE_MS;
        batch(0, 10, 901_000);
        look(10, 0);
        assertReached(901_000);
    }

    @Test
    void aQuietTopicClosesTheWindowOfItsLastEvent() {
        look(1, 0);
        batch(0, 1, 990_000);
        nowMs += 4_000;
        look(1, 0);
        assertUnknown();
        nowMs += 1_000;
        look(1, 0);
        assertReached(nowMs);
        // The window [960 000, 1 020 000) closes when the clock has passed its end and the delay, not sooner.
        nowMs = 1_021_999;
        look(1, 0);
        assertEquals(1_021_999, reached().getAsLong());
        nowMs = 1_022_000;
        look(1, 0);
        assertReached(1_022_000);
    }

    @Test
    void theWindowOfAnOldEventClosesAtOnceAndTheLagOfACollectorStays() {
        look(1);
        batch(0, 1, 30_000);
        nowMs += IDLE_MS;
        look(1);
        assertReached(60_000 + DELAY_MS);
        nowMs += 100_000;
        look(1);
        assertReached(30_000 + IDLE_MS + 100_000);
    }

    @Test
    void aPartitionThatWasAddedIsUnknownAndNotAtTheBeginningOfTime() {
        look(10);
        batch(0, 10, 900_000);
        assertReached(900_000);
        look(10, 5);
        assertUnknown();
        batch(1, 5, 950_000);
        assertReached(900_000);
    }

    @Test
    void aJobFromTheLatestEventsStartsBehindTheRecordsThatItSkips() {
        Partitions late = new Partitions(WINDOW_MS, DELAY_MS, IDLE_MS, Map.of(0, 100L, 1, 50L));
        late.compare(new Look(nowMs, Map.of(0, 0, 1, 0).keySet(), Map.of(0, 0L, 1, 0L), Map.of(0, 100L, 1, 50L), Map.of()), nowMs);
        late.add(0, 101, 900_000, nowMs);
        nowMs += IDLE_MS;
        late.add(0, 102, 905_000, nowMs);
        late.compare(new Look(nowMs, Map.of(0, 0, 1, 0).keySet(), Map.of(0, 0L, 1, 0L), Map.of(0, 102L, 1, 50L), Map.of()), nowMs);
        assertEquals(OptionalLong.of(905_000), late.eventTimeMs(nowMs));
    }

    @Test
    void recordsThatRetentionDeletesAreNotUnread() {
        look(0);
        nowMs += IDLE_MS;
        partitions.compare(new Look(nowMs, Map.of(0, 0).keySet(), Map.of(0, 70L), Map.of(0, 70L), Map.of()), nowMs);
        partitions.add(1, 1, 900_000, nowMs);
        assertReached(900_000);
    }

    @Test
    void aRestoredJobGoesOnFromItsPartitions() {
        look(10, 10);
        batch(0, 10, 900_000);
        batch(1, 4, 800_000);
        Partitions restored = new Partitions(WINDOW_MS, DELAY_MS, IDLE_MS, Map.of());
        nowMs += 3_600_000;
        partitions.states().forEach(state -> restored.restore(state, nowMs));
        assertEquals(OptionalLong.empty(), restored.eventTimeMs(nowMs));
        Map<Integer, Long> ends = Map.of(0, 10L, 1, 10L);
        restored.compare(new Look(nowMs, ends.keySet(), Map.of(0, 0L, 1, 0L), ends, Map.of()), nowMs);
        assertEquals(OptionalLong.of(800_000), restored.eventTimeMs(nowMs), "partition 1 has unread records");
        restored.add(1, 10, 850_000, nowMs);
        nowMs += IDLE_MS;
        restored.compare(new Look(nowMs, ends.keySet(), Map.of(0, 0L, 1, 0L), ends, Map.of()), nowMs);
        // The hour of the pause does not count: nobody knows how far behind the events of the job were.
        assertEquals(OptionalLong.of(960_000 + DELAY_MS), restored.eventTimeMs(nowMs));
    }

    @Test
    void aCheckpointWithoutPartitionsGoesOnFromItsWatermark() {
        partitions.restore(899_999, nowMs);
        Map<Integer, Long> ends = Map.of(0, 10L);
        partitions.compare(new Look(nowMs, ends.keySet(), Map.of(0, 0L), ends, Map.of(0, 10L)), nowMs);
        assertUnknown();
        nowMs += IDLE_MS;
        partitions.compare(new Look(nowMs, ends.keySet(), Map.of(0, 0L), ends, Map.of()), nowMs);
        assertReached(900_000 + DELAY_MS + IDLE_MS);
    }

    @Test
    void offsetsThatAnEarlierReleaseCommitsLateAreSeenToo() {
        partitions.restore(899_999, nowMs);
        Map<Integer, Long> ends = Map.of(0, 10L);
        partitions.compare(new Look(nowMs, ends.keySet(), Map.of(0, 0L), ends, Map.of(0, 8L)), nowMs);
        nowMs += 2 * IDLE_MS;
        partitions.compare(new Look(nowMs, ends.keySet(), Map.of(0, 0L), ends, Map.of(0, 8L)), nowMs);
        assertUnknown();
        partitions.compare(new Look(nowMs, ends.keySet(), Map.of(0, 0L), ends, Map.of(0, 10L)), nowMs);
        assertTrue(reached().isPresent());
    }

    @Test
    void anEndThatABrokerLostIsNotWaitedFor() {
        look(10);
        batch(0, 8, 900_000);
        nowMs += 2 * IDLE_MS;
        look(8);
        look(8);
        assertTrue(reached().getAsLong() > 900_000);
    }

    @Test
    void aClockThatIsSetBackDoesNotStopTheWatermark() {
        look(1);
        batch(0, 1, 990_000);
        long beforeMs = nowMs;
        nowMs -= 3_600_000;
        assertReached(990_000);
        Map<Integer, Long> ends = Map.of(0, 1L);
        partitions.compare(new Look(beforeMs, ends.keySet(), Map.of(0, 0L), ends, Map.of()), nowMs);
        look(1);
        nowMs += IDLE_MS;
        look(1);
        assertTrue(reached().isPresent());
        batch(0, 2, 991_000);
        assertReached(991_000);
    }
}
