package org.apache.flink.metrics.prometheus;

import io.prometheus.client.exporter.HTTPServer;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.util.Iterator;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.util.PortRange;

/**
 * Flink's Prometheus reporter on one address, by default the loopback: Flink's own one listens on every address of the
 * machine. It exports RTEA's metrics under their own names ({@link RteaMetrics}). It lies in Flink's package because the
 * registry of the metrics is visible only there.
 */
public class RteaReporter extends AbstractPrometheusReporter {
    private final HTTPServer server;
    private final RteaMetrics own = new RteaMetrics();

    /** Listens on the first free port. Without one it reports nothing: no job stops for want of metrics. */
    RteaReporter(String host, PortRange ports) {
        server = listen(host, ports.getPortsIterator());
        if (server == null) {
            log.warn("metrics are not served: no port of {} is free", ports);
        }
        own.register(registry);
    }

    private HTTPServer listen(String host, Iterator<Integer> ports) {
        while (ports.hasNext()) {
            int port = ports.next();
            try {
                HTTPServer started = new HTTPServer(new InetSocketAddress(host, port), registry, true);
                log.info("metrics are served at http://{}:{}", host, port);
                return started;
            } catch (BindException error) {
                log.debug("port {} is in use", port);
            } catch (IOException error) {
                log.warn("metrics cannot be served on port {}", port, error);
            }
        }
        return null;
    }

    @Override
    public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
        if (RteaMetrics.isOwn(name)) {
            own.add(metric, name, group.getAllVariables());
        } else {
            super.notifyOfAddedMetric(metric, name, group);
        }
    }

    @Override
    public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {
        if (RteaMetrics.isOwn(name)) {
            own.remove(metric);
        } else {
            super.notifyOfRemovedMetric(metric, name, group);
        }
    }

    @Override
    public void close() {
        if (server != null) {
            server.stop();
        }
        super.close();
    }
}
