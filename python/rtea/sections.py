"""The sections of the configuration: every setting with its default, its bounds and its meaning.

`rtea.config` resolves them; docs/configuration.md is generated from them (`rtea config docs`).
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator


class Section(BaseModel):
    """A table of the configuration file; unknown keys are errors, values never change, and numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _fits(cls, value: Any) -> Any:
        # Java and Rust take no longer integers; a seed is one without a sign.
        if isinstance(value, int) and value >= 2**64:
            raise ValueError(f"{value} is too large: expected an integer below 2^64")
        return value


def _parsed(value: Any) -> Any:
    """A table or list given as text, on the command line or in the environment, is JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        # The value may hold a secret: it is not repeated.
        raise ValueError(f'expected JSON, such as ["a", "b"] or {{"a": "b"}}: {error}') from error


Strings = Annotated[tuple[str, ...], BeforeValidator(_parsed)]
UInt32 = Annotated[int, Field(ge=0, lt=2**32)]


class KafkaSection(Section):
    """Where events, dead letters and results live."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Comma-separated brokers, host:port."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka security protocol of the generator, the job, the sinks and the tools."""
    ssl_ca: Path | None = None
    """PEM file of the authorities that may have signed the brokers' certificates; by default the system's."""
    ssl_identity: Path | None = None
    """PEM file of the client's private key (PKCS 8) and certificates, for brokers that ask for them."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """SASL mechanism."""
    sasl_username: str | None = None
    """The user."""
    sasl_password: SecretStr | None = None
    """The password: best given as RTEA_KAFKA__SASL_PASSWORD. It is never printed."""
    timeout_ms: int = Field(10_000, ge=1)
    """How long a broker may take to answer a request."""
    events_topic: str = "ecommerce_clickstream"
    """Topic of the events."""
    dead_letter_topic: str = "ecommerce_clickstream_dlq"
    """Topic of refused events."""
    results_topic: str = "ecommerce_metrics"
    """Compacted topic of the windows' results."""
    partitions: int = Field(4, ge=1)
    """Partitions of the events topic when RTEA makes it."""

    @model_validator(mode="after")
    def _is_complete(self) -> "KafkaSection":
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"{self.security_protocol} needs kafka.sasl_username and kafka.sasl_password")
        return self


class JobSection(Section):
    """The Flink job."""

    window_ms: int = Field(60_000, ge=1_000)
    """Length of the tumbling event-time windows."""
    watermark_delay_ms: int = Field(2_000, ge=0)
    """How far events may be out of order before a window closes."""
    idle_timeout_ms: int = Field(5_000, ge=1)
    """A partition without events for this long no longer holds the watermark back."""
    allowed_lateness_ms: int = Field(60_000, ge=0)
    """How long after its end a window still takes late events, each batch correcting its rows."""
    timestamp_tolerance_ms: int = Field(300_000, ge=0)
    """How far `event_time` may be from the Kafka record's timestamp."""
    max_skew_ms: int = Field(300_000, ge=0)
    """How far a Kafka record's timestamp may be ahead of the TaskManager's clock; later ones do not advance the
    watermark and are refused."""
    max_event_bytes: int = Field(262_144, ge=1)
    """Longest value that is decoded; longer ones are refused as `too_large`."""
    max_dimensions: int = Field(1_000, ge=1, le=20_000)
    """Event types beside the schema's that a window keeps, and pairs of currency and category; the rest is added up
    as `(other)`."""
    event_types: Strings = ()
    """Event types beside the schema's that are kept before others."""
    categories: Strings = (
        *("electronics", "fashion", "home", "beauty", "sports", "toys"),
        *("books", "grocery", "garden", "automotive", "health", "pet_supplies"),
    )
    """Categories that are kept before others; these are the generator's model's."""
    currencies: Strings = ("USD", "EUR", "GBP")
    """Currencies in which those categories are kept before others."""
    deduplicate_orders: bool = False
    """Count purchases with the same order id once in a window: for producers that may send one twice."""
    parallelism: int = Field(2, ge=1)
    """Parallel subtasks that read and fold; at most the number of partitions is useful."""
    pack_records: int = Field(4_000, ge=1)
    """Most records of a packed batch."""
    pack_bytes: int = Field(2_097_152, ge=1_024)
    """Most bytes of a packed batch; a longer record travels alone."""
    pack_interval_ms: int = Field(200, ge=1)
    """Longest wait of a record in an unfinished batch."""
    checkpoint_interval_ms: int = Field(5_000, ge=100)
    """Time between checkpoints: what a restarted job has to read again."""
    start_from: Literal["earliest", "latest"] = "earliest"
    """Where a job without a checkpoint starts; from the earliest event every window is exact."""
    python_mode: Literal["auto", "thread", "process"] = "auto"
    """Where the Python UDFs run: in the TaskManager's JVM, or in processes of their own."""


class SinkSection(Section):
    """The sinks."""

    duckdb_path: Path = Path("rtea.duckdb")
    """The DuckDB file."""
    table: str = Field("ecommerce_metrics", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    """The table, the same in every sink."""
    group_id: str = "rtea-sink"
    """Consumer group of the results topic; each table has one of its own with this prefix."""


class BigQuerySection(Section):
    """The BigQuery sink."""

    project: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.:-]{0,62}$")
    """Project of the table and of the jobs; by default the one of the credentials."""
    table: str = Field("rtea.ecommerce_metrics", pattern=r"^[A-Za-z0-9_]{1,1024}\.[A-Za-z_][A-Za-z0-9_]{0,255}$")
    """The table, DATASET.TABLE."""
    location: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,63}$")
    """Location of a dataset that `create` makes; by default BigQuery's own choice, US."""
    endpoint: str | None = Field(None, pattern=r"^https?://\S+$")
    """Address of an emulator; no credentials are sent to it."""
    create: bool = False
    """Make dataset and table when they are missing."""
    add_columns: bool = False
    """Add nullable columns that an existing table lacks."""
    partition_expiration_days: int = Field(0, ge=0)
    """Partitions of a table that `create` makes are dropped after so many days; 0: never."""
    batch_interval_ms: int = Field(5_000, ge=0)
    """Least time between the starts of two batches. Unless batches are full or jobs fail, 5 s make at
    most 17,280 load jobs a day; a project may have 100,000."""
    batch_records: int = Field(1_000, ge=1)
    """Most windows of a batch."""
    batch_bytes: int = Field(16_777_216, ge=1)
    """Most bytes of a batch's result records; they grow by a third or so on their way."""

    @property
    def table_id(self) -> str:
        """project.dataset.table, or dataset.table when the credentials name the project."""
        return f"{self.project}.{self.table}" if self.project else self.table


class GeneratorSection(Section):
    """The generator `rtea-gen`."""

    procs: int = Field(2, ge=1, le=256)
    """Processes that encode and send; one with the sink `stdout`."""
    sink: Literal["kafka", "stdout", "file"] = "kafka"
    """Where events go."""
    path: Path = Path("events.ndjson")
    """File of the sink `file`; with several processes each writes one, numbered: `events-0.ndjson`."""
    compression: Literal["none", "gzip", "zstd"] = "none"
    """Compression of the sinks `stdout` and `file`."""
    metrics_port: int | None = Field(None, ge=1, le=65535)
    """Serve Prometheus metrics on 127.0.0.1 at this port."""
    rate: int = Field(50_000, ge=1, le=100_000_000)
    """Events per second of event time."""
    speed: float = Field(1.0, ge=0)
    """Event time per real time; 0 sends as fast as possible."""
    seed: int = Field(1, ge=0, lt=2**64)
    """Seed: with equal settings, equal seeds give equal events."""
    format: Literal["json", "msgpack", "ga4-json"] = "json"
    """Format of the events; the job reads the first two."""
    visitors: int = Field(2_000_000, ge=1, le=2_000_000_000)
    """Size of the population."""
    activity: float = Field(0.5, ge=0, le=0.99)
    """Exponent of the power law by which some visitors come more often; 0: all alike."""
    products: int = Field(20_000, ge=1, lt=2**32)
    """Size of the catalogue."""
    popularity: float = Field(0.9, ge=0, le=0.99)
    """Exponent of the power law of the products' popularity; 0: all alike."""
    mobile_share: float = Field(0.45, ge=0, le=1)
    """Share of the visitors that only use the app."""
    both_share: float = Field(0.15, ge=0, le=1)
    """Share of the visitors that use app and website under one visitor id; the rest only use the website."""
    account_share: float = Field(0.33, ge=0, le=1)
    """Share of the visitors with an account."""
    login_share: float = Field(0.75, ge=0, le=1)
    """Share of the account holders' sessions in which they log in, and so have a user id."""
    second_device_share: float = Field(0.2, ge=0, le=1)
    """Share of the account holders with a second device, whose visitor id differs; it has a third of their sessions."""
    bot_share: float = Field(0.01, ge=0, le=1)
    """Share of the sessions that are crawlers': long, on the website, never buying."""
    campaign_share: float = Field(0.2, ge=0, le=1)
    """Share of the sessions that a campaign brought."""
    transitions: Annotated[dict[str, dict[str, dict[str, UInt32]]], BeforeValidator(_parsed)] = {}
    """Weights of what follows what, by walker (mobile, website, bot) and state; rows given here replace the
    model's, which `rtea-gen --dry-run` prints."""
    devices: Annotated[dict[str, list[tuple[str, str, str, UInt32]]], BeforeValidator(_parsed)] = {}
    """Devices by source, in place of the model's: operating system, app version or browser, screen, weight."""
    countries: Annotated[list[tuple[str, str, str, UInt32]], BeforeValidator(_parsed)] = []
    """Countries of the visitors, in place of the model's: code, locale, currency of the prices, weight."""
    referrers: Annotated[list[tuple[str, UInt32]], BeforeValidator(_parsed)] = []
    """Pages that sessions on the website came from, in place of the model's: address, empty for none, and weight."""
    campaigns: Annotated[dict[str, list[tuple[str, UInt32]]], BeforeValidator(_parsed)] = {}
    """Campaigns by source, in place of the model's: name, weight."""
    search_terms: Strings = ()
    """What is searched for, in place of the model's terms, each as often."""
    categories: Annotated[list[tuple[str, UInt32, UInt32]], BeforeValidator(_parsed)] = []
    """Categories of the catalogue, in place of the model's: name, lowest and highest price in minor units of
    the currency. More than `job.max_dimensions` pairs of currency and category are not all kept by the job."""
    lanes: int = Field(200_000, ge=1, le=4_000_000)
    """Visitors active at a time, in steps of 256; each acts every `lanes / rate` seconds on average."""
    daily: float = Field(0.0, ge=0, le=1)
    """Rhythm of the day: share by which the busiest hour exceeds `rate`, and the quietest falls short."""
    peak_hour: float = Field(20.0, ge=0, lt=24)
    """The busiest hour of the day, UTC."""
    weekly: float = Field(0.0, ge=-1, le=1)
    """Rhythm of the week: by how much a weekend day exceeds a working day, as a part of `rate`."""
    sale_every_s: int = Field(0, ge=0)
    """Time between the starts of flash sales, from the first event on; 0 for none."""
    sale_length_s: int = Field(300, ge=0)
    """Length of a flash sale."""
    sale_factor: float = Field(5.0, ge=0.01, le=1000)
    """Factor of the rate during a flash sale."""
    hot_products: int = Field(20, ge=0, lt=2**32)
    """Products that each flash sale is about."""
    hot_share: float = Field(0.5, ge=0, le=1)
    """Share of the products looked at during a flash sale that are hot ones."""
    ramp_s: int = Field(0, ge=0)
    """Time in which the rate rises evenly from nothing."""
    pause_sigma: float = Field(1.0, ge=0, le=3)
    """Spread of the log-normal pauses between a visitor's events: standard deviation of their logarithm."""


class FaultsSection(Section):
    """Faults that `rtea-gen` makes on request; the manifest counts each."""

    duplicate_share: float = Field(0.0, ge=0, le=1)
    """Share of the events that are sent twice, with the same id; both count, but orders with
    `job.deduplicate_orders`."""
    disorder_share: float = Field(0.0, ge=0, le=1)
    """Share of the events that are sent late, but within the allowed lateness."""
    disorder_ms: int = Field(1_000, ge=1)
    """How much later those are sent at most, in event time."""
    late_share: float = Field(0.0, ge=0, le=1)
    """Share of the events that are sent after the allowed lateness of their window, so that they do not count."""
    late_by_ms: int = Field(10_000, ge=0)
    """How long after the end of the allowed lateness those are sent, beside the watermark's delay."""
    future_share: float = Field(0.0, ge=0, le=1)
    """Share of the events whose device's clock runs ahead."""
    future_by_ms: int = Field(600_000, ge=1)
    """How far those clocks run ahead; beyond `job.timestamp_tolerance_ms` such events are dead letters."""
    malformed_share: float = Field(0.0, ge=0, le=1)
    """Share of malformed messages: cut off, wrong type, bad UTF-8, missing field, huge, empty, null, each as often."""
    hot_key_share: float = Field(0.0, ge=0, le=1)
    """Share of the records with one and the same key."""
    idle_partition: int | None = Field(None, ge=0)
    """A partition that gets no records: they go to the next one."""

    @property
    def is_active(self) -> bool:
        """Whether any fault is injected."""
        shares = (self.duplicate_share, self.disorder_share, self.late_share, self.future_share)
        return any((*shares, self.malformed_share, self.hot_key_share))


class StackSection(Section):
    """The local Kafka and Flink of `rtea stack`."""

    state_dir: Path = Path(".rtea")
    """Directory of every file of the stack: logs, topics, checkpoints."""
    kafka_port: int = Field(9092, ge=1, le=65535)
    """Port of the broker."""
    controller_port: int = Field(9093, ge=1, le=65535)
    """Port of Kafka's controller."""
    zookeeper_port: int = Field(2181, ge=1, le=65535)
    """Port of the ZooKeeper that remembers Flink's jobs."""
    rest_port: int = Field(8081, ge=1, le=65535)
    """Port of Flink's REST interface and web page."""
    rpc_port: int = Field(6123, ge=1, le=65535)
    """Port of the JobManager."""
    blob_port: int = Field(6124, ge=1, le=65535)
    """Port of the JobManager's file server."""
    kafka_properties: Annotated[dict[str, SecretStr], BeforeValidator(_parsed)] = {}
    """Settings of the broker beside or in place of the stack's own, for example listeners with TLS. Their values may
    be passwords: they are never printed."""
    slots: int = Field(4, ge=1)
    """Task slots of the TaskManager."""
    taskmanager_memory: str = Field("1728m", pattern=r"^\d+[kmg]$")
    """Total memory of the TaskManager."""
    metrics_interval_ms: int = Field(1_000, ge=10)
    """How often the JobManager asks for the metrics that its REST interface shows."""
    min_free_bytes: int = Field(1_073_741_824, ge=0)
    """The stack does not start with less room on the disk."""


def user_jar_cache() -> Path:
    """Where jars lie by default. Without a home directory it begins with "~"."""
    return platformdirs.user_cache_path("rtea") / "jars"


class JarsSection(Section):
    """Jars from Maven."""

    mirror: str = Field("https://repo1.maven.org/maven2", pattern=r"^(https?|file)://\S+$")
    """Base address of a Maven repository: Maven Central or a mirror of it."""
    cache_dir: Path | None = None
    """Directory of downloaded jars; by default in the user's cache directory, or beside stack.state_dir if that is not
    writable."""
    retries: int = Field(4, ge=0)
    """Further tries of a failed download."""
