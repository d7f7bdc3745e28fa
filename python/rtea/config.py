"""The one configuration, shared by generator, job, sink and the local stack.

Precedence: defaults < `rtea.toml` < environment (`RTEA_SECTION__KEY`) < flags. docs/configuration.md
is generated from this module (`rtea config docs`), so it cannot drift.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from rtea.errors import ConfigError

DEFAULT_FILE = Path("rtea.toml")


class Section(BaseModel):
    """A table of the configuration file; unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _parsed(value: Any) -> Any:
    """A table or list given as text, on the command line or in the environment, is JSON."""
    return json.loads(value) if isinstance(value, str) else value


Strings = Annotated[tuple[str, ...], BeforeValidator(_parsed)]


class KafkaSection(Section):
    """Where events, dead letters and results live."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Comma-separated brokers, host:port."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the brokers are spoken to, by generator, job, sink and tools alike."""
    ssl_ca: Path | None = None
    """PEM file of the authorities that may have signed the brokers' certificates; by default the system's."""
    ssl_identity: Path | None = None
    """PEM file of the client's private key (PKCS 8) and certificates, for brokers that ask for them."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How user and password are proven."""
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
    """Categories that are kept before others; these are the generator's."""
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
    rate: int = Field(50_000, ge=1)
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
    transitions: Annotated[dict[str, dict[str, dict[str, int]]], BeforeValidator(_parsed)] = {}
    """Weights of what follows what, by walker (mobile, website, bot) and state; rows given here replace the
    model's, which `rtea-gen --dry-run` prints."""
    devices: Annotated[dict[str, list[tuple[str, str, str, int]]], BeforeValidator(_parsed)] = {}
    """Devices by source, in place of the model's: operating system, app version or browser, screen, weight."""
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
    def spoil(self) -> bool:
        """Whether events are spoiled at all."""
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
    kafka_properties: Annotated[dict[str, str], BeforeValidator(_parsed)] = {}
    """Settings of the broker beside or in place of the stack's own, for example listeners with TLS."""
    slots: int = Field(4, ge=1)
    """Task slots of the TaskManager."""
    taskmanager_memory: str = Field("1728m", pattern=r"^\d+[kmg]$")
    """Total memory of the TaskManager."""
    metrics_interval_ms: int = Field(1_000, ge=10)
    """How often the JobManager asks for the metrics that its REST interface shows."""
    min_free_bytes: int = Field(1_073_741_824, ge=0)
    """The stack does not start with less room on the disk."""


class JarsSection(Section):
    """Jars from Maven."""

    mirror: str = Field("https://repo1.maven.org/maven2", pattern=r"^(https?|file)://\S+$")
    """Base address of a Maven repository: Maven Central or a mirror of it."""
    cache_dir: Path | None = None
    """Directory of downloaded jars; by default the user's cache directory."""
    retries: int = Field(4, ge=0)
    """Further tries of a failed download."""


class Config(Section):
    """Every setting, resolved."""

    kafka: KafkaSection = KafkaSection()
    job: JobSection = JobSection()
    sink: SinkSection = SinkSection()
    bigquery: BigQuerySection = BigQuerySection()
    generator: GeneratorSection = GeneratorSection()
    faults: FaultsSection = FaultsSection()
    stack: StackSection = StackSection()
    jars: JarsSection = JarsSection()


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """Resolve the configuration.

    Args:
        file: a TOML file that must exist; by default `rtea.toml` where there is one.
        flags: values by dotted name, for example `{"job.window_ms": 10_000}`; None is "not given".

    Raises:
        ConfigError: the file cannot be read, or a value does not fit.

    >>> load(flags={"job.window_ms": 10_000}).job.window_ms
    10000
    """
    chosen = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    if chosen is not None and not chosen.is_file():
        raise ConfigError(f"configuration file {chosen} not found: name an existing file with --config")

    class Loader(BaseSettings, Config):
        model_config = SettingsConfigDict(env_prefix="RTEA_", env_nested_delimiter="__", extra="forbid")

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            *_: PydanticBaseSettingsSource,
            **__: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=chosen)

    try:
        resolved = Loader(**_nested(flags or {}))  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_first_problem(error, chosen)) from error
    except ValueError as error:
        raise ConfigError(f"configuration file {chosen} is not valid TOML: {error}") from error
    return Config(**{name: getattr(resolved, name) for name in Config.model_fields})


def _nested(flags: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in flags.items():
        section, _, key = name.partition(".")
        if not key:
            raise ConfigError(f"setting {name!r} is unknown: expected section.key, as in docs/configuration.md")
        if value is not None:
            sections.setdefault(section, {})[key] = value
    return sections


def _first_problem(error: ValidationError, file: Path | None) -> str:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"setting {name!r} is unknown: docs/configuration.md lists every setting (file: {file or 'none'})"
    if problem["type"] == "value_error":
        return f"setting {name}: {problem['ctx']['error']}"
    found = "not valid" if "password" in name else f"{problem['input']!r}"
    return f"setting {name} is {found}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def save(config: Config, path: Path) -> None:
    """Write the resolved configuration as JSON, readable by its owner alone, for the job to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(_revealed(config), file, indent=2)


def _revealed(config: Config) -> dict[str, dict[str, Any]]:
    """Every setting as plain data, the password with them: for our own processes only."""
    values = config.model_dump(mode="json")
    if config.kafka.sasl_password:
        values["kafka"]["sasl_password"] = config.kafka.sasl_password.get_secret_value()
    return values


def restore(path: Path) -> Config:
    """Read what `save` wrote, ignoring file, environment and flags."""
    return Config.model_validate_json(path.read_text())


def as_environment(config: Config) -> dict[str, str]:
    """Environment variables that give another process this configuration.

    >>> as_environment(load())["RTEA_JOB__WINDOW_MS"]
    '60000'
    """
    return {
        f"RTEA_{section}__{key}".upper(): json.dumps(value) if isinstance(value, dict | list) else str(value)
        for section, values in _revealed(config).items()
        for key, value in values.items()
        if value is not None
    }


class Request:
    """What a command line asks for: a file and flags, to be resolved with further flags."""

    def __init__(self, file: Path | None, flags: Mapping[str, Any]) -> None:
        self.file = file
        self.flags = dict(flags)

    def resolve(self, flags: Mapping[str, Any]) -> Config:
        """Load with these flags over the earlier ones.

        Raises:
            ConfigError: as `load`.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        return load(self.file, self.flags | given)


def parse_flags(settings: tuple[str, ...]) -> dict[str, str]:
    """Parse `section.key=value` settings.

    >>> parse_flags(("job.window_ms=5000",))
    {'job.window_ms': '5000'}
    """
    flags = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"setting {setting!r} has no value: expected section.key=value")
        flags[name] = value
    return flags
