package org.apache.flink.metrics.prometheus;

import io.prometheus.client.Collector;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Exports RTEA's own metrics under their own names, as the sinks and the generator name theirs: {@code
 * rtea_job_records_total} instead of {@code flink_taskmanager_job_task_operator_...}, counters as counters, times in
 * seconds.
 *
 * <p>A metric is RTEA's if its name begins with {@code rtea_}. Its labels are the name of the job, the subtask, and
 * what its own groups name, for example a partition: nothing that is new with each submission. So jobs of one name share
 * their series: counters are added up, and keep what ended tasks have counted; of gauges the greatest one is shown.
 */
final class RteaMetrics extends Collector {
    private static final Logger LOG = LoggerFactory.getLogger(RteaMetrics.class);
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

    private final Map<Metric, Series> all = new HashMap<>();

    /** What the counters of ended tasks came to. */
    private final Map<Series, Double> ended = new HashMap<>();

    /** A name with labels. */
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
                            labels.put(variable.replaceAll("^<|>$", "").replaceAll("[^A-Za-z0-9_]", "_"), value);
                        }
                    });
        }

        boolean isCounter() {
            return name.endsWith(COUNTER_SUFFIX);
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Series && name.equals(((Series) other).name) && labels.equals(((Series) other).labels);
        }

        @Override
        public int hashCode() {
            return 31 * name.hashCode() + labels.hashCode();
        }
    }

    /** Whether a metric of this name is RTEA's. */
    static boolean isOwn(String name) {
        return name.startsWith(PREFIX);
    }

    synchronized void add(Metric metric, String name, Map<String, String> variables) {
        all.put(metric, new Series(name, variables));
    }

    synchronized void remove(Metric metric) {
        Series series = all.remove(metric);
        Double last = series != null && series.isCounter() ? value(metric, series) : null;
        if (last != null) {
            ended.merge(series, last, Double::sum);
        }
    }

    @Override
    public synchronized List<MetricFamilySamples> collect() {
        Map<Series, Double> values = new HashMap<>(ended);
        all.forEach(
                (metric, series) -> {
                    Double value = value(metric, series);
                    if (value != null) {
                        values.merge(series, value, series.isCounter() ? Double::sum : Math::max);
                    }
                });
        Map<String, List<MetricFamilySamples.Sample>> samples = new TreeMap<>();
        values.forEach(
                (series, value) ->
                        samples.computeIfAbsent(series.name, name -> new ArrayList<>())
                                .add(
                                        new MetricFamilySamples.Sample(
                                                series.name,
                                                List.copyOf(series.labels.keySet()),
                                                List.copyOf(series.labels.values()),
                                                value)));
        List<MetricFamilySamples> families = new ArrayList<>();
        samples.forEach(
                (name, mine) ->
                        families.add(
                                new MetricFamilySamples(
                                        name,
                                        name.endsWith(COUNTER_SUFFIX) ? Type.COUNTER : Type.GAUGE,
                                        "docs/observability.md explains it.",
                                        mine)));
        return families;
    }

    /** The value of a metric, or null when it is not known. */
    private static Double value(Metric metric, Series series) {
        try {
            Object value =
                    metric instanceof Counter ? (Object) ((Counter) metric).getCount() : ((Gauge<?>) metric).getValue();
            boolean isKnown = value instanceof Number && ((Number) value).longValue() != Long.MIN_VALUE;
            return isKnown ? Double.valueOf(((Number) value).doubleValue() * series.factor) : null;
        } catch (RuntimeException failure) {
            // One broken metric must not hide the others.
            LOG.warn("metric {} cannot be read", series.name, failure);
            return null;
        }
    }
}
