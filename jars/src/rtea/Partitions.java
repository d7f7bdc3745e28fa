package rtea;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;

/**
 * How far each partition of the topic has come in event time, and which of them hold the watermark back.
 *
 * <p>The watermark follows the slowest partition that is not idle. A partition is idle when its event time has not risen
 * for {@code idleTimeoutMs} although all its records were read: that is known from a {@link Look} whose end the source
 * has reached. Malformed events, old events and the marks of transactions do not keep a partition from being idle; an
 * unread record does.
 *
 * <p>When all partitions are idle, time goes on with the clock from the last event time, so that the windows of a quiet
 * topic close; the window of the last event closes at once if its end has passed. So events that arrive with a steady
 * lag, as those of a collector or a replay, are not late after a pause, as they would be if time jumped to the clock.
 *
 * <p>An idle partition holds back what came after the look that found it read: as long as Kafka does not answer, time
 * stands still.
 */
final class Partitions {
    private static final long UNKNOWN = Long.MIN_VALUE;

    private final long windowMs;
    private final long delayMs;
    private final long idleTimeoutMs;
    private final Map<Integer, Long> startOffsets;
    private final Map<Integer, Partition> partitions = new TreeMap<>();
    private boolean hasLooked;
    private boolean usesCommitted;

    /** The event time from which a job goes on that was restored without partitions. */
    private long restoredMs = UNKNOWN;

    private long restoredAtMs;
    private long clockMs = UNKNOWN;
    private int slowest = -1;

    private static final class Partition {
        long nextOffset = UNKNOWN;
        long eventTimeMs = UNKNOWN;

        /** When a batch last raised the event time, by the clock. Before the first batch: since when it is known. */
        long risenAtMs;

        /** All records that existed at this time, by the clock, were read. */
        long readUpToMs = UNKNOWN;

        /** Where the partition ended when a look began that the source has not caught up with yet. */
        long end = UNKNOWN;

        long endAtMs;

        Partition(long nowMs) {
            risenAtMs = nowMs;
        }
    }

    /**
     * @param startOffsets where a job without a checkpoint starts, by partition; partitions without one start at their
     *     beginning
     */
    Partitions(long windowMs, long delayMs, long idleTimeoutMs, Map<Integer, Long> startOffsets) {
        this.windowMs = windowMs;
        this.delayMs = delayMs;
        this.idleTimeoutMs = idleTimeoutMs;
        this.startOffsets = startOffsets;
    }

    /** Takes over a partition from a checkpoint: number, next offset, event time. */
    void restore(long[] state, long nowMs) {
        Partition partition = new Partition(nowMs);
        partition.nextOffset = state[1];
        partition.eventTimeMs = state[2];
        partitions.put((int) state[0], partition);
    }

    /**
     * Takes over a checkpoint of a release that kept no partitions: committed offsets say how far the source came, and
     * the watermark says how far the events came.
     */
    void restore(long watermarkMs, long nowMs) {
        usesCommitted = true;
        restoredMs = watermarkMs + 1 + delayMs;
        restoredAtMs = nowMs;
    }

    /** All partitions, as {@link #restore(long[], long)} takes them. */
    List<long[]> states() {
        List<long[]> states = new ArrayList<>();
        partitions.forEach(
                (number, partition) ->
                        states.add(new long[] {number, partition.nextOffset, partition.eventTimeMs}));
        return states;
    }

    /** Number, next offset, event time of each partition, and 1 if it is idle. */
    List<long[]> shown() {
        List<long[]> shown = new ArrayList<>();
        partitions.forEach(
                (number, partition) ->
                        shown.add(
                                new long[] {
                                    number, partition.nextOffset, partition.eventTimeMs, isIdle(partition) ? 1 : 0
                                }));
        return shown;
    }

    /** Notes a batch: {@code eventTimeMs} is the least number when it has no valid event. */
    void add(int number, long nextOffset, long eventTimeMs, long nowMs) {
        watchClock(nowMs);
        Partition partition = partitions.computeIfAbsent(number, any -> new Partition(nowMs));
        partition.nextOffset = nextOffset;
        if (eventTimeMs > partition.eventTimeMs) {
            partition.eventTimeMs = eventTimeMs;
            partition.risenAtMs = nowMs;
        }
    }

    /** Whether a look could find a partition idle soon. */
    boolean wantsLook(long nowMs) {
        return !hasLooked
                || partitions.values().stream()
                        .anyMatch(partition -> nowMs - partition.risenAtMs >= idleTimeoutMs / 2);
    }

    /**
     * Compares where the source is with where the partitions end. An end stays the one to reach until it is reached: with
     * a new end at each look, a source that is always a little behind would never be up to date.
     */
    void compare(Look look, long nowMs) {
        watchClock(nowMs);
        if (look.beganMs > nowMs) {
            // The clock was set back meanwhile.
            return;
        }
        for (int number : look.partitions) {
            Partition partition = partitions.computeIfAbsent(number, any -> new Partition(nowMs));
            Long beginning = look.beginnings.get(number);
            if (beginning != null) {
                // Retention may delete records before the source reads them.
                partition.nextOffset = Math.max(nextOffset(number, partition, beginning), beginning);
            }
            if (usesCommitted && look.committed.containsKey(number)) {
                partition.nextOffset = Math.max(partition.nextOffset, look.committed.get(number));
            }
            catchUp(partition);
            Long end = look.ends.get(number);
            // An end that lies before the one to reach: a broker lost records that another one had not copied.
            boolean isNew = end != null && (partition.end == UNKNOWN || end < partition.end);
            if (isNew && look.beganMs > partition.readUpToMs) {
                partition.end = end;
                partition.endAtMs = look.beganMs;
                catchUp(partition);
            }
        }
        hasLooked = true;
    }

    private static void catchUp(Partition partition) {
        if (partition.end != UNKNOWN && partition.nextOffset >= partition.end) {
            partition.readUpToMs = partition.endAtMs;
            partition.end = UNKNOWN;
        }
    }

    private long nextOffset(int number, Partition partition, long beginning) {
        return partition.nextOffset != UNKNOWN ? partition.nextOffset : startOffsets.getOrDefault(number, beginning);
    }

    /** The event time that all partitions have reached, or nothing while it is not known. */
    OptionalLong eventTimeMs(long nowMs) {
        watchClock(nowMs);
        slowest = -1;
        if (!hasLooked) {
            return OptionalLong.empty();
        }
        long reachedMs = Long.MAX_VALUE;
        boolean isQuiet = true;
        for (Map.Entry<Integer, Partition> entry : partitions.entrySet()) {
            Partition partition = entry.getValue();
            boolean isIdle = isIdle(partition);
            isQuiet &= isIdle;
            long partitionMs = isIdle ? partition.readUpToMs : partition.eventTimeMs;
            if (partitionMs < reachedMs) {
                reachedMs = partitionMs;
                slowest = entry.getKey();
            }
        }
        if (isQuiet) {
            reachedMs = Math.min(reachedMs, goOnMs(nowMs));
        }
        return reachedMs == UNKNOWN ? OptionalLong.empty() : OptionalLong.of(reachedMs);
    }

    private boolean isIdle(Partition partition) {
        return partition.readUpToMs != UNKNOWN && partition.readUpToMs - partition.risenAtMs >= idleTimeoutMs;
    }

    /** The last event time, moved on by the time that has passed since, and at least to where its window closes. */
    private long goOnMs(long nowMs) {
        long wentOnMs = restoredMs == UNKNOWN ? UNKNOWN : restoredMs + nowMs - restoredAtMs;
        for (Partition partition : partitions.values()) {
            if (partition.eventTimeMs != UNKNOWN) {
                long windowEndMs = (Math.floorDiv(partition.eventTimeMs, windowMs) + 1) * windowMs;
                long byClockMs = partition.eventTimeMs + nowMs - partition.risenAtMs;
                wentOnMs = Math.max(wentOnMs, Math.max(byClockMs, windowEndMs + delayMs));
            }
        }
        return wentOnMs;
    }

    /** After a clock was set back, times from before mean nothing: counts them from now on. */
    private void watchClock(long nowMs) {
        if (nowMs < clockMs) {
            for (Partition partition : partitions.values()) {
                partition.risenAtMs = Math.min(partition.risenAtMs, nowMs);
                partition.readUpToMs = Math.min(partition.readUpToMs, nowMs);
                partition.end = UNKNOWN;
            }
            restoredAtMs = Math.min(restoredAtMs, nowMs);
        }
        clockMs = nowMs;
    }

    /** The partition that holds the watermark back; -1 when none is known. */
    int slowest() {
        return slowest;
    }

    /** How far the event times of the partitions lie apart, in ms: all windows between them are open. */
    long spreadMs() {
        long leastMs = Long.MAX_VALUE;
        long greatestMs = UNKNOWN;
        for (Partition partition : partitions.values()) {
            if (partition.eventTimeMs != UNKNOWN && !isIdle(partition)) {
                leastMs = Math.min(leastMs, partition.eventTimeMs);
                greatestMs = Math.max(greatestMs, partition.eventTimeMs);
            }
        }
        return greatestMs == UNKNOWN ? 0 : greatestMs - leastMs;
    }
}
