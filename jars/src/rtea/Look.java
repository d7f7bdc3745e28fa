package rtea;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** What one look at a topic found. A partition whose leader did not answer has no offsets. */
final class Look {
    /** When the look began, by the clock: what came later may be missing. */
    final long beganMs;

    final Set<Integer> partitions;
    final Map<Integer, Long> beginnings;

    /** The ends of all records, those of open transactions too: they are unread as well. */
    final Map<Integer, Long> ends;

    /** What the job's consumer group committed; empty when nobody asked for it. */
    final Map<Integer, Long> committed;

    Look(
            long beganMs,
            Set<Integer> partitions,
            Map<Integer, Long> beginnings,
            Map<Integer, Long> ends,
            Map<Integer, Long> committed) {
        this.beganMs = beganMs;
        this.partitions = new TreeSet<>(partitions);
        this.beginnings = Map.copyOf(beginnings);
        this.ends = Map.copyOf(ends);
        this.committed = Map.copyOf(committed);
    }
}
