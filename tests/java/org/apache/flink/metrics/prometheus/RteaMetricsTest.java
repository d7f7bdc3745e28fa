package org.apache.flink.metrics.prometheus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.prometheus.client.CollectorRegistry;
import java.util.Map;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.SimpleCounter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Promise: RTEA's metrics have names and labels that stay, times are seconds, and no counter goes back. */
final class RteaMetricsTest {
    private static final Map<String, String> OF_A_JOB =
            Map.of("<job_id>", "4f", "<job_name>", "rtea", "<task_attempt_num>", "3", "<tm_id>", "127.0.0.1:4");

    private final RteaMetrics metrics = new RteaMetrics();
    private final CollectorRegistry registry = new CollectorRegistry();

    @BeforeEach
    void register() {
        metrics.register(registry);
    }

    private Double shown(String name) {
        return registry.getSampleValue(name, new String[] {"job_name"}, new String[] {"rtea"});
    }

    private static Counter counted(long count) {
        Counter counter = new SimpleCounter();
        counter.inc(count);
        return counter;
    }

    @Test
    void timesAreSeconds() {
        metrics.add(counted(1_500_000_000), "rtea_job_fold_nanoseconds_total", OF_A_JOB);
        metrics.add((Gauge<Long>) () -> 2_500L, "rtea_job_watermark_held_milliseconds", OF_A_JOB);
        assertEquals(1.5, shown("rtea_job_fold_seconds_total"));
        assertEquals(2.5, shown("rtea_job_watermark_held_seconds"));
    }

    @Test
    void countersOfJobsOfOneNameAddUpAndNeverGoBack() {
        Counter first = counted(3);
        metrics.add(first, "rtea_job_records_total", OF_A_JOB);
        metrics.add(counted(4), "rtea_job_records_total", OF_A_JOB);
        assertEquals(7.0, shown("rtea_job_records_total"));
        metrics.remove(first);
        assertEquals(7.0, shown("rtea_job_records_total"));
        metrics.add(counted(1), "rtea_job_records_total", OF_A_JOB);
        assertEquals(8.0, shown("rtea_job_records_total"));
    }

    @Test
    void theGreatestGaugeIsShownAndGoesWithItsTask() {
        Gauge<Long> first = () -> 9L;
        metrics.add(first, "rtea_job_lag_records", OF_A_JOB);
        metrics.add((Gauge<Long>) () -> 5L, "rtea_job_lag_records", OF_A_JOB);
        assertEquals(9.0, shown("rtea_job_lag_records"));
        metrics.remove(first);
        assertEquals(5.0, shown("rtea_job_lag_records"));
    }

    @Test
    void whatIsUnknownOrBrokenHidesNothingElse() {
        metrics.add((Gauge<Long>) () -> Long.MIN_VALUE, "rtea_job_next_offset", OF_A_JOB);
        metrics.add(
                (Gauge<Long>)
                        () -> {
                            throw new IllegalStateException("closed");
                        },
                "rtea_job_is_idle",
                OF_A_JOB);
        metrics.add((Gauge<String>) () -> "text", "rtea_job_text", OF_A_JOB);
        metrics.add((Gauge<Long>) () -> 1L, "rtea_job_lag_records", OF_A_JOB);
        assertNull(shown("rtea_job_next_offset"));
        assertNull(shown("rtea_job_is_idle"));
        assertNull(shown("rtea_job_text"));
        assertEquals(1.0, shown("rtea_job_lag_records"));
    }

    @Test
    void labelsAreValidNames() {
        metrics.add((Gauge<Long>) () -> 1L, "rtea_job_lag_records", Map.of("<data-center>", "eu-1"));
        assertEquals(
                1.0, registry.getSampleValue("rtea_job_lag_records", new String[] {"data_center"}, new String[] {"eu-1"}));
    }
}
