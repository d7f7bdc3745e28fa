"""What the sinks count, for Prometheus: served by `rtea sink ... --metrics-port`.

Rows, batches and the delay are set by the runner, retries and bytes billed by the sinks.
"""

from prometheus_client import Counter, Gauge

ROWS = Counter("rtea_sink_rows", "Rows handed to the table.", ["sink"])
BATCHES = Counter("rtea_sink_batches", "Batches written.", ["sink"])
SET_ASIDE = Counter("rtea_sink_set_aside", "Records left out because no table can hold them.", ["sink"])
RETRIES = Counter("rtea_sink_retries", "Requests and jobs tried again.", ["sink"])
BYTES_BILLED = Counter("rtea_sink_bytes_billed", "Bytes the server billed for.", ["sink"])
WINDOW_END = Gauge("rtea_sink_newest_window_end_seconds", "End of the newest window written, Unix time.", ["sink"])
SECONDS_BEHIND = Gauge(
    "rtea_sink_seconds_behind",
    "Age of the oldest result that is read but not yet written; 0 when there is none.",
    ["sink"],
)
