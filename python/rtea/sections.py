"""The sections of the configuration: every setting with its default, its bounds and its meaning.

`rtea.config` resolves them; docs/configuration.md is generated from them (`rtea config docs`).
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from rtea import metrics


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
    """Where the Python UDFs run: in the TaskManager's JVM (`thread`) or in processes of their own (`process`)."""

    @field_validator("metrics")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in metrics.registry()]
        if unknown or not names:
            known = ", ".join(metrics.registry())
            raise ValueError(f"{', '.join(unknown) or 'nothing'} is no metric: expected some of {known}")
        return names


class SinkSection(Section):
    """The sinks."""

    duckdb_path: Path = Path("rtea.duckdb")
    """The DuckDB file."""
    table: str = Field("ecommerce_metrics", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    """Name of the table in the DuckDB file."""
    group_id: str = "rtea-sink"
    """Prefix of the consumer groups of the results topic; each table has its own group."""


class BigQuerySection(Section):
    """The BigQuery sink."""

    project: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.:-]{0,62}$")
    """Project of the table and of the jobs; default: the project of the credentials."""
    table: str = Field("rtea.ecommerce_metrics", pattern=r"^[A-Za-z0-9_]{1,1024}\.[A-Za-z_][A-Za-z0-9_]{0,255}$")
    """The table, DATASET.TABLE."""
    location: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,63}$")
    """Location of a dataset that `create` makes; default: BigQuery's own choice, US."""
    endpoint: str | None = Field(None, pattern=r"^https?://\S+$")
    """Address of an emulator; RTEA sends no credentials to it."""
    create: bool = False
    """Make the dataset and the table if they are missing."""
    add_columns: bool = False
    """Add nullable columns that an existing table lacks."""
    partition_expiration_days: int = Field(0, ge=0)
    """Number of days after which BigQuery drops partitions of a table that `create` makes; 0: never."""
    batch_interval_ms: int = Field(5_000, ge=0)
    """Minimum time between the starts of two batches. Unless batches are full or jobs fail, 5 s gives at most 17,280
    load jobs a day; a project may run 100,000."""
    early_interval_ms: int = Field(60_000, ge=0)
    """Minimum time between the starts of two batches if the second one has nothing but early rows. BigQuery bills each
    batch, so early rows mostly come along with final ones."""
    batch_records: int = Field(1_000, ge=1)
    """Maximum number of windows in a batch."""
    batch_bytes: int = Field(16_777_216, ge=1)
    """Maximum size of a batch's result records, in bytes; they grow by about a third on their way to BigQuery."""

    @property
    def table_id(self) -> str:
        """project.dataset.table, or dataset.table when the credentials name the project."""
        return f"{self.project}.{self.table}" if self.project else self.table


class GeneratorSection(Section):
    """The generator `rtea-gen`."""

    procs: int = Field(2, ge=1, le=256)
    """Number of processes that encode and send; always one with the sink `stdout`."""
    sink: Literal["kafka", "stdout", "file"] = "kafka"
    """Where events go."""
    path: Path = Path("events.ndjson")
    """File of the sink `file`; with several processes, each writes its own numbered file: `events-0.ndjson`."""
    compression: Literal["none", "gzip", "zstd"] = "none"
    """Compression of the sinks `stdout` and `file`."""
    metrics_port: int | None = Field(None, ge=1, le=65535)
    """Port on 127.0.0.1 that serves metrics for Prometheus."""
    rate: int = Field(50_000, ge=1, le=100_000_000)
    """Events per second of event time."""
    speed: float = Field(1.0, ge=0)
    """Speed of event time relative to real time; 0: as fast as possible."""
    seed: int = Field(1, ge=0, lt=2**64)
    """Random seed: the same settings and seed give the same events."""
    format: Literal["json", "msgpack", "ga4-json"] = "json"
    """Format of the events; the job reads `json` and `msgpack`."""
    visitors: int = Field(2_000_000, ge=1, le=2_000_000_000)
    """Number of visitors in the population."""
    activity: float = Field(0.5, ge=0, le=0.99)
    """Exponent of the power law of the visitors' activity; 0: all come equally often."""
    products: int = Field(20_000, ge=1, lt=2**32)
    """Number of products in the catalogue."""
    popularity: float = Field(0.9, ge=0, le=0.99)
    """Exponent of the power law of the products' popularity; 0: all are equally popular."""
    mobile_share: float = Field(0.45, ge=0, le=1)
    """Share of the visitors who use only the app."""
    both_share: float = Field(0.15, ge=0, le=1)
    """Share of the visitors who use app and website under one visitor id; the rest use only the website."""
    account_share: float = Field(0.33, ge=0, le=1)
    """Share of the visitors with an account."""
    login_share: float = Field(0.75, ge=0, le=1)
    """Share of the account holders' sessions in which they log in, so that the events have a user id."""
    second_device_share: float = Field(0.2, ge=0, le=1)
    """Share of the account holders with a second device. It has its own visitor id and a third of their sessions."""
    bot_share: float = Field(0.01, ge=0, le=1)
    """Share of the sessions of crawlers: long sessions on the website without a purchase."""
    campaign_share: float = Field(0.2, ge=0, le=1)
    """Share of the sessions that come from a campaign."""
    transitions: Annotated[dict[str, dict[str, dict[str, UInt32]]], BeforeValidator(_parsed)] = {}
    """Weights of the next step, by walker (mobile, website, bot) and state. Rows given here replace the model's rows;
    `rtea-gen --dry-run` prints the rows in force."""
    devices: Annotated[dict[str, list[tuple[str, str, str, UInt32]]], BeforeValidator(_parsed)] = {}
    """Devices by source, instead of the model's: operating system, app version or browser, screen, weight."""
    countries: Annotated[list[tuple[str, str, str, UInt32]], BeforeValidator(_parsed)] = []
    """Countries of the visitors, instead of the model's: code, locale, currency of the prices, weight."""
    referrers: Annotated[list[tuple[str, UInt32]], BeforeValidator(_parsed)] = []
    """Pages that lead to sessions on the website, instead of the model's: address (empty for none), weight."""
    campaigns: Annotated[dict[str, list[tuple[str, UInt32]]], BeforeValidator(_parsed)] = {}
    """Campaigns by source, instead of the model's: name, weight."""
    search_terms: Strings = ()
    """Search terms, instead of the model's; all are equally frequent."""
    categories: Annotated[list[tuple[str, UInt32, UInt32]], BeforeValidator(_parsed)] = []
    """Categories of the catalogue, instead of the model's: name, lowest and highest price in minor units of the
    currency. The job keeps at most `job.max_dimensions` pairs of currency and category."""
    lanes: int = Field(200_000, ge=1, le=4_000_000)
    """Number of visitors active at a time, in steps of 256; each acts every `lanes / rate` seconds on average."""
    daily: float = Field(0.0, ge=0, le=1)
    """Daily rhythm: the share of `rate` by which the busiest hour is above it, and the quietest hour below it."""
    peak_hour: float = Field(20.0, ge=0, lt=24)
    """The busiest hour of the day, UTC."""
    weekly: float = Field(0.0, ge=-1, le=1)
    """Weekly rhythm: how much busier a weekend day is than a working day, as a share of `rate`."""
    sale_every_s: int = Field(0, ge=0)
    """Time between the starts of flash sales, counted from the first event; 0: no sales."""
    sale_length_s: int = Field(300, ge=0)
    """Length of a flash sale."""
    sale_factor: float = Field(5.0, ge=0.01, le=1000)
    """Factor by which the rate rises during a flash sale."""
    hot_products: int = Field(20, ge=0, lt=2**32)
    """Number of hot products in each flash sale."""
    hot_share: float = Field(0.5, ge=0, le=1)
    """Share of hot products among those that visitors look at during a flash sale."""
    ramp_s: int = Field(0, ge=0)
    """Time at the start in which the rate rises evenly from zero."""
    pause_sigma: float = Field(1.0, ge=0, le=3)
    """Spread of the log-normal pauses between a visitor's events: standard deviation of their logarithm."""


class FaultsSection(Section):
    """Faults that `rtea-gen` injects on request; the manifest counts each."""

    duplicate_share: float = Field(0.0, ge=0, le=1)
    """Share of the events that are sent twice with the same id. Both count, except orders with
    `job.deduplicate_orders`."""
    disorder_share: float = Field(0.0, ge=0, le=1)
    """Share of the events that are sent out of order, but within the allowed lateness."""
    disorder_ms: int = Field(1_000, ge=1)
    """Maximum delay of those events, in event time."""
    late_share: float = Field(0.0, ge=0, le=1)
    """Share of the events that are sent after the allowed lateness of their window, so they do not count."""
    late_by_ms: int = Field(10_000, ge=0)
    """How long after the end of the allowed lateness and the watermark delay those events are sent."""
    future_share: float = Field(0.0, ge=0, le=1)
    """Share of the events from devices whose clock runs ahead."""
    future_by_ms: int = Field(315_360_000_000, ge=1)
    """How far those clocks run ahead; by default ten years. The events must lie further ahead of the job's clock than
    `job.max_skew_ms`: then they become dead letters."""
    malformed_share: float = Field(0.0, ge=0, le=1)
    """Share of malformed events: cut off, wrong type, bad UTF-8, missing field, huge, empty, null, equally often."""
    hot_key_share: float = Field(0.0, ge=0, le=1)
    """Share of the records that all have the key `hot`."""
    idle_partition: int | None = Field(None, ge=0)
    """Partition that gets no records; its records go to the next partition."""

    @property
    def is_active(self) -> bool:
        """Whether any fault is injected."""
        shares = (self.duplicate_share, self.disorder_share, self.late_share, self.future_share)
        return any((*shares, self.malformed_share, self.hot_key_share))


class StackSection(Section):
    """The local Kafka and Flink of `rtea stack`."""

    state_dir: Path = Path(".rtea")
    """Directory for all files of the stack: logs, topics, checkpoints."""
    kafka_port: int = Field(9092, ge=1, le=65535)
    """Port of the broker."""
    controller_port: int = Field(9093, ge=1, le=65535)
    """Port of Kafka's controller."""
    zookeeper_port: int = Field(2181, ge=1, le=65535)
    """Port of the ZooKeeper that stores Flink's jobs."""
    rest_port: int = Field(8081, ge=1, le=65535)
    """Port of Flink's REST interface and web page."""
    rpc_port: int = Field(6123, ge=1, le=65535)
    """Port of the JobManager."""
    blob_port: int = Field(6124, ge=1, le=65535)
    """Port of the JobManager's file server."""
    kafka_properties: Annotated[dict[str, SecretStr], BeforeValidator(_parsed)] = {}
    """Settings of the broker that add to or replace the stack's own, for example listeners with TLS. RTEA never prints
    their values, because they may be passwords."""
    slots: int = Field(4, ge=1)
    """Number of task slots of the TaskManager."""
    taskmanager_memory: str = Field("1728m", pattern=r"^\d+[kmg]$")
    """Total memory of the TaskManager."""
    metrics_interval_ms: int = Field(1_000, ge=10)
    """How often the JobManager updates the metrics that its REST interface shows."""
    min_free_bytes: int = Field(1_073_741_824, ge=0)
    """Free disk space below which the stack does not start."""


class DashboardSection(Section):
    """The live page of `rtea dashboard` and `rtea demo`."""

    host: str = "127.0.0.1"
    """Address to listen on. Another one than the loopback needs a token."""
    port: int = Field(8050, ge=0, le=65535)
    """Port; 0: any free one."""
    token: SecretStr | None = None
    """What a browser must present once, as `?token=`: letters, digits and `._~-`, best set as RTEA_DASHBOARD__TOKEN.
    RTEA never prints it."""

    @field_validator("token")
    @classmethod
    def _is_plain(cls, value: SecretStr | None) -> SecretStr | None:
        # Addresses and cookies would change other characters.
        if value and not re.fullmatch(r"[A-Za-z0-9._~-]{1,256}", value.get_secret_value()):
            raise ValueError("the token has other characters: expected letters, digits and ._~-")
        return value

    manifest: Path | None = None
    """The manifest of a `rtea-gen` run: the page shows how many of its windows equal the table's."""


def user_jar_cache() -> Path:
    """Where jars lie by default. Without a home directory it begins with "~"."""
    return platformdirs.user_cache_path("rtea") / "jars"


class JarsSection(Section):
    """Jars from Maven."""

    mirror: str = Field("https://repo1.maven.org/maven2", pattern=r"^(https?|file)://\S+$")
    """Base address of a Maven repository: Maven Central or a mirror of it."""
    cache_dir: Path | None = None
    """Directory for downloaded jars; default: in the user's cache directory, or next to `stack.state_dir` if the cache
    is not writable."""
    retries: int = Field(4, ge=0)
    """Number of retries of a failed download."""
