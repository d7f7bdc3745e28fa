"""The generator and its faults."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rtea.sections.section import Section, Strings, UInt32, parsed


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
    transitions: Annotated[dict[str, dict[str, dict[str, UInt32]]], BeforeValidator(parsed)] = {}
    """Weights of the next step, by walker (mobile, website, bot) and state. Rows given here replace the model's rows;
    `rtea-gen --dry-run` prints the rows in force."""
    devices: Annotated[dict[str, list[tuple[str, str, str, UInt32]]], BeforeValidator(parsed)] = {}
    """Devices by source, instead of the model's: operating system, app version or browser, screen, weight."""
    countries: Annotated[list[tuple[str, str, str, UInt32]], BeforeValidator(parsed)] = []
    """Countries of the visitors, instead of the model's: code, locale, currency of the prices, weight."""
    referrers: Annotated[list[tuple[str, UInt32]], BeforeValidator(parsed)] = []
    """Pages that lead to sessions on the website, instead of the model's: address (empty for none), weight."""
    campaigns: Annotated[dict[str, list[tuple[str, UInt32]]], BeforeValidator(parsed)] = {}
    """Campaigns by source, instead of the model's: name, weight."""
    search_terms: Strings = ()
    """Search terms, instead of the model's; all are equally frequent."""
    categories: Annotated[list[tuple[str, UInt32, UInt32]], BeforeValidator(parsed)] = []
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
