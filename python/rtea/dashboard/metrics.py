"""The page's metrics for Prometheus, served beside it as `/metrics`: docs/observability.md lists them."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rtea.dashboard.feed import Feed
from rtea.dashboard.health import Health
from rtea.dashboard.store import Store


class PageCollector(Collector):
    """What the page has read, and what it says of the pipeline."""

    def __init__(self, store: Store, feed: Feed, health: Health) -> None:
        self._store, self._feed, self._health = store, feed, health

    def collect(self) -> Iterator[Metric]:
        """All metrics, with their current values."""
        results = CounterMetricFamily("rtea_dashboard_results", "Results read from the results topic.")
        results.add_metric([], self._feed.results)
        yield results
        found = self._health.found
        verified = found["verified"] or {}
        gauges = {
            "rtea_dashboard_windows": ("Windows in memory.", len(self._store.windows())),
            "rtea_dashboard_newest_result_seconds": (
                "Unix time at which the newest result was written; 0: none yet.",
                self._feed.last_result_ms / 1000,
            ),
            "rtea_dashboard_problem": (
                "1 while the page says that the pipeline is down or cannot be read, else 0.",
                float(bool(found["problem"] or self._feed.problem)),
            ),
            "rtea_dashboard_compared_windows": ("Windows compared with the manifest.", verified.get("windows")),
            "rtea_dashboard_equal_windows": ("Windows that equal the manifest.", verified.get("matching")),
        }
        for name, (text, value) in gauges.items():
            if value is not None:
                gauge = GaugeMetricFamily(name, text)
                gauge.add_metric([], value)
                yield gauge
