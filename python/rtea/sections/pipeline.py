"""What the pipeline reads and computes: brokers, events, the job."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from rtea import metrics
from rtea.sections.section import Section, Strings


class KafkaSection(Section):
    """The Kafka brokers, and the topics of events, dead letters and results."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Brokers as host:port, separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka security protocol of the generator, the job, the sinks and the tools."""
    ssl_ca: Path | None = None
    """PEM file of the authorities that RTEA trusts to sign the brokers' certificates; default: the system's."""
    ssl_identity: Path | None = None
    """PEM file with the client's private key (PKCS 8) and certificates, for brokers that ask for them."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """SASL mechanism."""
    sasl_username: str | None = None
    """User name for SASL."""
    sasl_password: SecretStr | None = None
    """Password for SASL: best set as RTEA_KAFKA__SASL_PASSWORD. RTEA never prints it."""
    timeout_ms: int = Field(10_000, ge=1)
    """How long a broker may take to answer a request."""
    events_topic: str = "ecommerce_clickstream"
    """Topic of the events."""
    dead_letter_topic: str = "ecommerce_clickstream_dlq"
    """Topic of refused events."""
    results_topic: str = "ecommerce_metrics"
    """Compacted topic of the windows' results."""
    partitions: int = Field(4, ge=1)
    """Number of partitions of the events topic, if RTEA makes the topic."""

    @model_validator(mode="after")
    def _is_complete(self) -> "KafkaSection":
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"{self.security_protocol} needs kafka.sasl_username and kafka.sasl_password")
        return self


def is_map_file(name: str) -> bool:
    """Whether an event map is a file, not a preset.

    >>> is_map_file("segment"), is_map_file("my.toml")
    (False, True)
    """
    return "/" in name or name.endswith(".toml")


class EventsSection(Section):
    """The layout of the events."""

    map: str = "rtea"
    """Where our fields are in the events: the name of a preset (docs/event_maps.md), or the path of a map, with a `/`
    or the ending `.toml`."""

    format: Literal["auto", "json", "msgpack"] = "auto"
    """Format of the events; `auto`: the first byte of each event shows it. Events of another format are refused."""

    @field_validator("map")
    @classmethod
    def _is_absolute(cls, name: str) -> str:
        # Flink's client may run in another directory.
        return str(Path(name).expanduser().absolute()) if is_map_file(name) else name


class JobSection(Section):
    """The Flink job."""

    window_ms: int = Field(60_000, ge=1_000)
    """Length of the tumbling event-time windows."""
    watermark_delay_ms: int = Field(2_000, ge=0)
    """How far events may be out of order: a window fires this long after its end, in event time."""
    idle_timeout_ms: int = Field(5_000, ge=1)
    """After this long without events, a partition no longer holds the watermark back."""
    allowed_lateness_ms: int = Field(3_600_000, ge=0)
    """How long after its end a window still takes events, which correct its rows."""
    early_rows_ms: int = Field(5_000, ge=0)
    """How often an open window that has changed gives its present rows, with `is_final` = false; 0: never."""
    late_rows_ms: int = Field(1_000, ge=0)
    """How often a closed window that late events have changed gives corrected rows: at most once in this time, or in a
    tenth of the window's age if that is longer. The last correction always comes."""
    max_skew_ms: int = Field(300_000, ge=0)
    """How far `event_time` may be ahead of the TaskManager's clock. An event further ahead is refused."""
    max_partition_lead_ms: int = Field(86_400_000, ge=60_000)
    """How far a partition may be ahead of one that catches up, by the records' timestamps; then it is paused. The
    windows between the two stay in memory."""
    backfill_slack_ms: int = Field(3_600_000, ge=0)
    """How far a record's timestamp may lie before its event's time, for a backfill to find it: the backfill starts
    reading at this time before its span."""
    backfill_windows: int = Field(3_000, ge=1)
    """Maximum number of windows in a backfill, which keeps them all in memory until its end: about 100 KB each at
    50,000 events/s, much less for a small shop."""
    max_event_bytes: int = Field(262_144, ge=1)
    """Longest value that the job decodes; longer ones are refused as `too_large`."""
    max_dimensions: int = Field(1_000, ge=1, le=20_000)
    """How many event types besides the schema's a window keeps, and how many pairs of currency and category. The rest
    is added up as `(other)`."""
    event_types: Strings = ()
    """Event types besides the schema's that a window keeps first."""
    categories: Strings = (
        *("electronics", "fashion", "home", "beauty", "sports", "toys"),
        *("books", "grocery", "garden", "automotive", "health", "pet_supplies"),
    )
    """Categories that a window keeps first; the default is the list of the generator's model."""
    currencies: Strings = ("USD", "EUR", "GBP")
    """Currencies in which a window keeps those categories first."""
    metrics: Strings = metrics.DEFAULT
    """What a window counts (`rtea.metrics` lists them all)."""
    top_products: int = Field(100, ge=1, le=20_000)
    """How many products of a window have rows of their own, in each series of the metric `products`."""
    deduplicate_orders: bool = False
    """Count purchases with the same order id once in a window, for producers that may send a purchase twice."""
    parallelism: int = Field(2, ge=1)
    """Number of parallel subtasks that read and fold; more than the number of partitions is of no use."""
    pack_records: int = Field(4_000, ge=1)
    """Maximum number of records in a packed batch."""
    pack_bytes: int = Field(2_097_152, ge=1_024)
    """Maximum size of a packed batch, in bytes; a longer record gets a batch of its own."""
    check_crcs: bool = True
    """Check the checksum of each batch of records that the broker sends."""
    checkpoint_interval_ms: int = Field(5_000, ge=100)
    """Time between checkpoints. A restarted job reads again what came after the last checkpoint."""
    start_from: Literal["earliest", "latest"] = "earliest"
    """Where a job without a checkpoint starts. From the earliest event, every window is exact."""
    python_mode: Literal["auto", "thread", "process"] = "auto"
    """Where the Python UDFs run: in the TaskManager's JVM (`thread`) or in processes of their own (`process`). `auto`:
    `thread` where it works, on Linux on x86-64. With `process`, servers of Apache Beam listen on every address of the
    machine for these processes: close their ports to others."""

    @field_validator("metrics")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in metrics.registry()]
        if unknown or not names:
            known = ", ".join(metrics.registry())
            raise ValueError(f"{', '.join(unknown) or 'nothing'} is no metric: expected some of {known}")
        return names
