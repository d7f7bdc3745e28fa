"""The plan of a run: everything that all shards must agree on."""

import math
import time
from dataclasses import dataclass
from typing import Any

from rtea import _core, metrics
from rtea.config import Config
from rtea.errors import ConfigError
from rtea.sections import GeneratorSection

SETTINGS_OF_MANIFEST = {
    "window_ms",
    "allowed_lateness_ms",
    "watermark_delay_ms",
    "max_event_bytes",
    "deduplicate_orders",
    "metrics",
    "top_products",
}
"""The job's settings on which the manifest's rows depend."""

START_DELAY_S = 1.5
"""Time for the shards to start before the first event is due."""


@dataclass(frozen=True)
class Plan:
    """A run. Event `number` belongs to shard `number % procs`; times are ms since the epoch."""

    config: Config
    start_ms: int
    """Event time of the first event."""
    began_s: float
    """Wall-clock time at which the first event is due, in seconds since the epoch."""
    events: int | None
    """Number of events; None runs until interrupted."""
    first: int = 0
    """Number of the first event in this run: above 0 if it resumes another run."""

    @property
    def procs(self) -> int:
        """Number of shards; only one writes to standard output."""
        generator = self.config.generator
        return 1 if generator.sink == "stdout" else generator.procs


class Schedule:
    """When the events of a plan happen, and when they are due. A stall does not delay the schedule (open loop)."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._clock = clock(plan.config.generator, plan.start_ms)

    def time_ms(self, number: int) -> int:
        """Event time of an event."""
        return self._clock.time_ms(number)

    def number_at(self, time_ms: int) -> int:
        """Number of the first event at or after a time."""
        return self._clock.number_at(time_ms)

    def due_at_s(self, number: int) -> float:
        """Wall-clock time at which an event is due; always in the past if speed is 0."""
        speed = self._plan.config.generator.speed
        return self._plan.began_s + (self.time_ms(number) - self._plan.start_ms) / 1000 / speed if speed else 0.0

    def due_number(self, now_s: float) -> float:
        """Number of the first event that is not due yet."""
        speed = self._plan.config.generator.speed
        if not speed:
            return math.inf
        since_ms = math.floor((now_s - self._plan.began_s) * 1000 * speed)
        return self.number_at(self._plan.start_ms + since_ms + 1) if since_ms >= 0 else 0


def rhythm(generator: GeneratorSection) -> _core.Rhythm:
    """How the rate changes over time, according to the settings."""
    return _core.Rhythm(
        daily=generator.daily,
        peak_hour=generator.peak_hour,
        weekly=generator.weekly,
        sale_every_ms=generator.sale_every_s * 1000,
        sale_length_ms=generator.sale_length_s * 1000 if generator.sale_every_s else 0,
        sale_factor=generator.sale_factor,
        ramp_ms=generator.ramp_s * 1000,
    )


def faults(config: Config) -> _core.Faults | None:
    """The fault injection in the settings; None if there is none.

    Raises:
        ConfigError: the shares add up to more than 1, or an event out of order would be too late to count.
    """
    section, job = config.faults, config.job
    if not section.is_active:
        return None
    if section.disorder_share and section.disorder_ms > job.allowed_lateness_ms:
        raise ConfigError(
            f"faults.disorder_ms is {section.disorder_ms}, beyond job.allowed_lateness_ms {job.allowed_lateness_ms}: "
            "set it lower, or use faults.late_share"
        )
    try:
        return _core.Faults(
            duplicate=section.duplicate_share,
            disorder=section.disorder_share,
            late=section.late_share,
            future=section.future_share,
            malformed=section.malformed_share,
            hot_key=section.hot_key_share,
            disorder_ms=section.disorder_ms,
            late_ms=job.allowed_lateness_ms + job.watermark_delay_ms + section.late_by_ms,
            future_ms=section.future_by_ms,
            huge_bytes=job.max_event_bytes,
            orders_once=job.deduplicate_orders,
        )
    except ValueError as error:
        raise ConfigError(f"faults: {error}") from error


def population_settings(generator: GeneratorSection) -> _core.PopulationSettings:
    """The population of visitors, according to the settings.

    Raises:
        ConfigError: transitions, mixes or the catalogue are not valid.
    """
    try:
        return _core.PopulationSettings(
            mobile_share=generator.mobile_share,
            both_share=generator.both_share,
            account_share=generator.account_share,
            second_device_share=generator.second_device_share,
            login_share=generator.login_share,
            bot_share=generator.bot_share,
            campaign_share=generator.campaign_share,
            hot_share=generator.hot_share,
            hot_products=generator.hot_products,
            transitions=generator.transitions,
            devices=generator.devices,
            countries=generator.countries,
            referrers=generator.referrers,
            campaigns=generator.campaigns,
            search_terms=generator.search_terms,
            categories=generator.categories,
        )
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"generator: {error}") from error


def categories(generator: GeneratorSection) -> list[str]:
    """The names of the catalogue's categories, in the order of their numbers."""
    return [name for name, *_ in population_settings(generator).model()["categories"]]


def stream(config: Config, start_ms: int) -> _core.EventStream:
    """The stream of events with these settings, from `start_ms` on.

    Raises:
        ConfigError: settings do not fit together.
    """
    generator = config.generator
    return _core.EventStream(
        seed=generator.seed,
        start_ms=start_ms,
        rate_hz=generator.rate,
        window_ms=config.job.window_ms,
        has_shop=not metrics.OF_EVERY_MANIFEST.issuperset(config.job.metrics),
        lanes=generator.lanes,
        visitors=generator.visitors,
        products=generator.products,
        pause_sigma=generator.pause_sigma,
        activity=generator.activity,
        popularity=generator.popularity,
        rhythm=rhythm(generator),
        population_settings=population_settings(generator),
        faults=faults(config),
    )


def hold_ms(config: Config) -> int:
    """How long after its end a window may still get events or faults."""
    injected = faults(config)
    return injected.hold_ms if injected else 0


def settings(config: Config) -> dict[str, dict[str, Any]]:
    """The settings that determine the stream, for the manifest's header."""
    outside = {"procs", "speed", "sink", "path", "compression", "metrics_port"}
    return {
        "generator": config.generator.model_dump(mode="json", exclude=outside),
        "faults": config.faults.model_dump(mode="json"),
        "job": config.job.model_dump(mode="json", include=SETTINGS_OF_MANIFEST),
    }


def clock(generator: GeneratorSection, start_ms: int) -> _core.EventClock:
    """The event times of a stream that starts at `start_ms`."""
    return _core.EventClock(start_ms=start_ms, rate_hz=generator.rate, rhythm=rhythm(generator))


def make(config: Config, *, start_ms: int | None, events: int | None, duration_s: float | None) -> Plan:
    """Plan a run. Without a start, the event time of a live run (speed 1) starts in a moment. That of any other run
    starts so early that its last event is in the past.
    """
    generator = config.generator
    began_s = time.time() + (START_DELAY_S if generator.speed else 0.0)
    if start_ms is None:
        start_ms = int(began_s * 1000)
        if generator.speed != 1:
            length_ms = (events or 0) * 1000 // generator.rate if duration_s is None else round(duration_s * 1000)
            start_ms -= length_ms
    if events is None and duration_s is not None:
        events = clock(generator, start_ms).number_at(start_ms + round(duration_s * 1000))
    return Plan(config, start_ms, began_s, events)
