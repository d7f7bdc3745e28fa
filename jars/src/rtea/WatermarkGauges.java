package rtea;

import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;
import org.apache.flink.metrics.MetricGroup;

/**
 * What {@link Watermarks} shows of itself. Flink's REST interface gives the names and values of here; the Prometheus
 * reporter gives seconds instead. The least number stands for what is not known yet.
 */
final class WatermarkGauges {
    private static final long UNKNOWN = Long.MIN_VALUE;

    /** The group of gauges for each partition. */
    private static final String PARTITION_GROUP = "partition";

    private static final List<String> OF_PARTITION =
            List.of("rtea_job_next_offset", "rtea_job_event_time_milliseconds", "rtea_job_is_idle", "rtea_job_lag_records");

    private final MetricGroup group;
    private final Map<Integer, long[]> partitions = new ConcurrentHashMap<>();
    private volatile long watermarkMs = UNKNOWN;
    private volatile long risenAtMs;
    private volatile long lookedAtMs = UNKNOWN;
    private volatile int slowest = -1;
    private volatile long spreadMs;

    /** Registers the gauge that every job has: the free space where the TaskManager writes its files. */
    static void ofDisk(MetricGroup group, File folder) {
        group.gauge("rtea_job_disk_free_bytes", folder::getUsableSpace);
    }

    /**
     * Registers the gauges.
     *
     * @param clockMs gives ms since the epoch
     * @param restoredMs the watermark of the checkpoint; the least number without one
     */
    WatermarkGauges(MetricGroup group, LongSupplier clockMs, long restoredMs) {
        this.group = group;
        watermarkMs = restoredMs;
        risenAtMs = clockMs.getAsLong();
        group.gauge("rtea_job_watermark_milliseconds", () -> watermarkMs);
        group.gauge("rtea_job_watermark_held_milliseconds", () -> Math.max(0, clockMs.getAsLong() - risenAtMs));
        group.gauge("rtea_job_slowest_partition", () -> slowest);
        group.gauge("rtea_job_partition_spread_milliseconds", () -> spreadMs);
        group.gauge(
                "rtea_job_topic_look_age_milliseconds",
                () -> lookedAtMs == UNKNOWN ? UNKNOWN : Math.max(0, clockMs.getAsLong() - lookedAtMs));
    }

    /** The watermark rose. */
    void rise(long newWatermarkMs, long nowMs) {
        watermarkMs = newWatermarkMs;
        risenAtMs = nowMs;
    }

    /** Takes over what is known of the partitions; {@code last} is null before the first look at the topic. */
    void show(Partitions known, Look last) {
        slowest = known.slowest();
        spreadMs = known.spreadMs();
        boolean isNew = last != null && last.beganMs != lookedAtMs;
        if (isNew) {
            lookedAtMs = last.beganMs;
        }
        for (long[] state : known.shown()) {
            int number = (int) state[0];
            long[] shown = partitions.get(number);
            // The end of an old look would give less and less, until the next one.
            long lag = isNew ? lag(state[1], last.ends.get(number)) : shown == null ? UNKNOWN : shown[3];
            if (partitions.put(number, new long[] {state[1], state[2], state[3], lag}) == null) {
                MetricGroup own = group.addGroup(PARTITION_GROUP, Integer.toString(number));
                for (int place = 0; place < OF_PARTITION.size(); place++) {
                    int at = place;
                    own.gauge(OF_PARTITION.get(place), () -> partitions.get(number)[at]);
                }
            }
        }
    }

    private static long lag(long nextOffset, Long end) {
        return end == null || nextOffset == UNKNOWN ? UNKNOWN : Math.max(0, end - nextOffset);
    }
}
