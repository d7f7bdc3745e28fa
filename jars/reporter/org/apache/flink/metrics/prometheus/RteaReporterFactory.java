package org.apache.flink.metrics.prometheus;

import java.util.Properties;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;
import org.apache.flink.util.PortRange;

/** Makes the reporter. Its settings: {@code host}, and {@code port}, a port or a range of ports as in Flink's own one. */
public class RteaReporterFactory implements MetricReporterFactory {
    @Override
    public MetricReporter createMetricReporter(Properties properties) {
        MetricConfig config = (MetricConfig) properties;
        PortRange ports = new PortRange(config.getString("port", "9250-9260"));
        return new RteaReporter(config.getString("host", "127.0.0.1"), ports);
    }
}
