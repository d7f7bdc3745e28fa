"""Prometheus metrics of the sinks, served by `rtea sink ... --metrics-port`.

The sinks set retries and bytes billed; the runner sets all others.
"""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("rtea_sink_rows", "Rows handed to the table.", ["sink"])
BATCHES = Counter("rtea_sink_batches", "Batches written.", ["sink"])
SET_ASIDE = Counter("rtea_sink_set_aside", "Records left out because no table can hold them.", ["sink"])
RETRIES = Counter("rtea_sink_retries", "Retries of requests and jobs.", ["sink"])
BYTES_BILLED = Counter("rtea_sink_bytes_billed", "Bytes the server billed for.", ["sink"])
WINDOW_END = Gauge(
    "rtea_sink_newest_window_end_seconds",
    "End of the newest final window written since the start, Unix time.",
    ["sink"],
)
SECONDS_BEHIND = Gauge(
    "rtea_sink_seconds_behind",
    "Time since the oldest final result was read that is not yet written; 0 if there is none.",
    ["sink"],
)
FRESHNESS = Histogram(
    "rtea_sink_freshness_seconds",
    "Time from a window's end until its first final rows can be read.",
    ["sink"],
    buckets=(1, 2, 2.5, 3, 4, 5, 7.5, 10, 15, 30, 60, 120, 300, 900),
)


def begin(sink: str) -> None:
    """Let every metric of a sink begin at 0: Prometheus sees no increase in a series that begins with more."""
    for metric in (ROWS, BATCHES, SET_ASIDE, RETRIES, BYTES_BILLED, WINDOW_END, FRESHNESS):
        metric.labels(sink)
