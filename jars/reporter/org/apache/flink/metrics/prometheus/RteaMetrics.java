package org.apache.flink.metrics.prometheus;

import io.prometheus.client.Collector;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;

/**
 * Exports RTEA's own metrics under their own names, as the sinks and the generator name theirs: {@code
 * rtea_job_records_total} instead of {@code flink_taskmanager_job_task_operator_...}, counters as counters, times in
 * seconds.
 *
 * <p>A metric is RTEA's if its name begins with {@code rtea_}. Its labels are the name of the job, the subtask, and
 * what its own groups name, for example a partition: nothing that is new with each submission.
 */
final class RteaMetrics extends Collector {
    private static final String PREFIX = "rtea_";
    private static final String COUNTER_SUFFIX = "_total";

    /** Flink counts whole numbers only; Prometheus wants seconds. */
    private static final Map<String, Double> FRACTIONS = Map.of("_nanoseconds", 1e-9, "_milliseconds", 1e-3);

    private static final Set<String> LEFT_OUT =
            Set.of(
                    "<host>",
                    "<tm_id>",
                    "<job_id>",
                    "<task_id>",
                    "<task_name>",
                    "<task_attempt_id>",
                    "<task_attempt_num>",
                    "<operator_id>",
                    "<operator_name>");

    private final Map<Metric, Series> all = new ConcurrentHashMap<>();

    private static final class Series {
        final String name;
        final double factor;
        final Map<String, String> labels = new TreeMap<>();

        Series(String name, Map<String, String> variables) {
            String unit = FRACTIONS.keySet().stream().filter(name::contains).findFirst().orElse("");
            this.name = unit.isEmpty() ? name : name.replace(unit, "_seconds");
            factor = FRACTIONS.getOrDefault(unit, 1.0);
            variables.forEach(
                    (variable, value) -> {
                        if (!LEFT_OUT.contains(variable)) {
                            labels.put(variable.substring(1, variable.length() - 1), value);
                        }
                    });
        }
    }

    /** Whether a metric of this name is RTEA's. */
    static boolean isOwn(String name) {
        return name.startsWith(PREFIX);
    }

    void add(Metric metric, String name, Map<String, String> variables) {
        all.put(metric, new Series(name, variables));
    }

    void remove(Metric metric) {
        all.remove(metric);
    }

    @Override
    public List<MetricFamilySamples> collect() {
        Map<String, Map<Map<String, String>, Double>> values = new TreeMap<>();
        all.forEach(
                (metric, series) -> {
                    Double value = value(metric);
                    if (value != null) {
                        // A task that ends and the one that follows it may be there together for a moment.
                        values.computeIfAbsent(series.name, name -> new ConcurrentHashMap<>())
                                .merge(series.labels, value * series.factor, Math::max);
                    }
                });
        List<MetricFamilySamples> families = new ArrayList<>();
        values.forEach((name, samples) -> families.add(family(name, samples)));
        return families;
    }

    private static MetricFamilySamples family(String name, Map<Map<String, String>, Double> values) {
        boolean isCounter = name.endsWith(COUNTER_SUFFIX);
        List<MetricFamilySamples.Sample> samples = new ArrayList<>();
        values.forEach(
                (labels, value) ->
                        samples.add(
                                new MetricFamilySamples.Sample(
                                        name, List.copyOf(labels.keySet()), List.copyOf(labels.values()), value)));
        return new MetricFamilySamples(
                name, isCounter ? Type.COUNTER : Type.GAUGE, "docs/observability.md explains it.", samples);
    }

    /** The value of a metric, or null when it is not known yet. */
    private static Double value(Metric metric) {
        if (metric instanceof Counter) {
            return (double) ((Counter) metric).getCount();
        }
        Object value = metric instanceof Gauge ? ((Gauge<?>) metric).getValue() : null;
        boolean isKnown = value instanceof Number && ((Number) value).longValue() != Long.MIN_VALUE;
        return isKnown ? Double.valueOf(((Number) value).doubleValue()) : null;
    }
}
