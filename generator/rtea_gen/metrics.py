"""The figures of a run for Prometheus; each scrape reads them."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from rtea import exporter
from rtea_gen.figures import BOUNDS_MS, Figures
from rtea_gen.plan import Plan

COUNTERS = {
    "rtea_gen_records": ("sent", 1, "Records handed to the sink."),
    "rtea_gen_failed": ("failed", 1, "Records that were not delivered."),
    "rtea_gen_size_bytes": ("size_bytes", 1, "Bytes of the records' values."),
    "rtea_gen_cpu_seconds": ("cpu_us", 1e-6, "CPU time."),
}
GAUGES = {
    "rtea_gen_behind_seconds": ("behind_us", 1e-6, "How long the next event has been due."),
    "rtea_gen_most_behind_seconds": ("most_behind_us", 1e-6, "The longest time an event was sent after it was due."),
}


class RunCollector(Collector):
    """The metrics of one run, by shard."""

    def __init__(self, plan: Plan, figures: Figures) -> None:
        self._plan, self._figures = plan, figures

    def collect(self) -> Iterator[Metric]:
        """All metrics, with their current values."""
        for kind, metrics in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
            for name, (field, factor, text) in metrics.items():
                family = kind(name, text, labels=["shard"])
                for shard, value in enumerate(self._figures.all(field)):
                    family.add_metric([str(shard)], value * factor)
                yield family
        target = GaugeMetricFamily("rtea_gen_target_rate_hz", "Records per second in the settings; 0: no limit.")
        generator = self._plan.config.generator
        target.add_metric([], generator.rate * generator.speed)
        yield target
        yield self._latency()

    def _latency(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            "rtea_gen_delivery_latency_seconds", "Time from sending to acknowledgement.", labels=["shard"]
        )
        bounds = [*(f"{bound / 1000:.4g}" for bound in BOUNDS_MS), "+Inf"]
        for shard in range(self._figures.shards):
            buckets, seen, total_s = self._figures.latencies(shard), 0, 0.0
            cumulated = []
            for bound, count, limit_ms in zip(bounds, buckets, (*BOUNDS_MS, BOUNDS_MS[-1]), strict=True):
                seen += count
                total_s += count * limit_ms / 1000
                cumulated.append((bound, float(seen)))
            family.add_metric([str(shard)], cumulated, total_s)
        return family


@contextmanager
def serving(plan: Plan, figures: Figures) -> Iterator[None]:
    """Serve the metrics during a block, if the settings name a port.

    Raises:
        PortInUseError: the port is in use.
    """
    registry = CollectorRegistry()
    registry.register(RunCollector(plan, figures))
    with exporter.serving(plan.config.generator.metrics_port, registry):
        yield
