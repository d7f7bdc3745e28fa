"""Checks of what is in the events topic: how many events come, in which formats, how many are refused, and when they
happened.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from confluent_kafka import Message

from rtea import events, maps, topics
from rtea.config import Config
from rtea.doctor.finding import Found, ok, show_time
from rtea.errors import InvalidEventError

SAMPLE = 200
"""Records that are read from the end of each partition."""

MOST_REFUSED = 0.01
MOST_LATE = 0.01
QUIET_SECONDS = 60
HOUR_MS = 3_600_000


@dataclass
class Sample:
    """The newest records of the topic."""

    records: int = 0
    skipped: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    first_refused: str = ""
    newest_ms: int = 0
    events: list[tuple[int, int]] = field(default_factory=list)
    """Time of the record and of the event, of each valid one."""
    rate_hz: float = 0.0

    @property
    def refused_share(self) -> float:
        """Share of the records that are refused."""
        return sum(self.refused.values()) / self.records


def seen(config: Config) -> Iterator[Found]:
    """What producers have sent last."""
    sample = take(config)
    if not sample.records:
        yield (
            "failed",
            f"topic {config.kafka.events_topic} has no events",
            "send some: `rtea-gen --duration 60`, `rtea send FILE`, or your own producer",
        )
        return
    problems = [*_refused(sample), *_times(sample, config), *_quiet(sample)]
    yield from problems
    if not problems:
        formats = ", ".join(f"{count / sample.records:.0%} {name}" for name, count in sample.formats.most_common())
        rate = f"about {sample.rate_hz:,.3g} records/s, " if sample.rate_hz else ""
        yield ok(f"{rate}{formats}; {sample.refused_share:.1%} refused of the last {sample.records:,}")


def take(config: Config) -> Sample:
    """Read the newest records of each partition."""
    event_map = maps.load(config.events.map)
    decode = event_map.decode if event_map else events.decode
    sample = Sample()
    spans: dict[int, list[int]] = {}
    for message in topics.read(config.kafka, config.kafka.events_topic, last=SAMPLE):
        sample.records += 1
        time_ms = message.timestamp()[1]
        sample.newest_ms = max(sample.newest_ms, time_ms)
        spans.setdefault(message.partition() or 0, []).append(time_ms)
        value = message.value()
        sample.formats[_format(value)] += 1
        try:
            if value is None or len(value) > config.job.max_event_bytes:
                raise InvalidEventError("null_value" if value is None else "too_large", "", "an event")
            wanted = config.events.format
            if wanted != "auto" and value and events.sniff(value) != wanted:
                raise InvalidEventError(
                    "invalid_json" if wanted == "json" else "invalid_msgpack", "", f"events.format {wanted}"
                )
            event = decode(value)
        except InvalidEventError as error:
            sample.refused[error.reason] += 1
            sample.first_refused = sample.first_refused or f"{_place(message)}: {error}"
            continue
        if event is None:
            sample.skipped += 1
        else:
            sample.events.append((time_ms, event.event_time))
    # Each partition has its own share of the records, and so its own span.
    for times in spans.values():
        seconds = (max(times) - min(times)) / 1000
        sample.rate_hz += len(times) / seconds if seconds > 1 else 0
    return sample


def _place(message: Message) -> str:
    return f"{message.topic()}-{message.partition()} offset {message.offset()}"


def _format(value: bytes | None) -> str:
    if not value:
        return "empty"
    if events.sniff(value) == "json":
        return "JSON"
    return "MessagePack" if 0x80 <= value[0] <= 0x9F or 0xDC <= value[0] <= 0xDF else "unknown"


def _refused(sample: Sample) -> Iterator[Found]:
    share = sample.refused_share
    if share > MOST_REFUSED:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sample.refused.most_common(3))
        is_all = sum(sample.refused.values()) + sample.skipped == sample.records
        yield (
            "failed" if is_all else "warning",
            f"{share:.0%} of the last {sample.records:,} records are refused ({reasons}), for example "
            f"{sample.first_refused}",
            "see `rtea dlq show`; for another layout, try `rtea schema guess` and set events.map",
        )
    elif sample.skipped == sample.records:
        yield "failed", "the event map leaves out all of the last records", "change what the map skips"


def _times(sample: Sample, config: Config) -> Iterator[Found]:
    job, now_ms = config.job, time.time_ns() // 1_000_000
    latest_ms = now_ms + job.max_skew_ms
    future = [event_ms for _, event_ms in sample.events if event_ms > latest_ms]
    if len(future) > MOST_REFUSED * len(sample.events):
        yield (
            "failed" if len(future) == len(sample.events) else "warning",
            f"{len(future) / len(sample.events):.0%} of the last events are ahead of the clock by more than "
            f"job.max_skew_ms, up to {(max(future) - now_ms) / HOUR_MS:,.1f} h",
            "set the producers' clocks, or raise job.max_skew_ms",
        )
    late = list(_late([each for each in sample.events if each[1] <= latest_ms], config))
    if len(late) > MOST_LATE * len(sample.events):
        yield (
            "warning",
            f"{len(late) / len(sample.events):.0%} of the last events came after the allowed lateness; the oldest "
            f"happened at {show_time(min(late))}",
            "raise job.allowed_lateness_ms, or recompute their windows with `rtea job submit --from --to`",
        )


def _late(sent: list[tuple[int, int]], config: Config) -> Iterator[int]:
    """Times of events that came when the newest event before them was beyond their lateness."""
    job, newest_ms = config.job, 0
    for _, event_ms in sorted(sent):
        window_end_ms = event_ms // job.window_ms * job.window_ms + job.window_ms
        if newest_ms - job.watermark_delay_ms > window_end_ms + job.allowed_lateness_ms:
            yield event_ms
        newest_ms = max(newest_ms, event_ms)


def _quiet(sample: Sample) -> Iterator[Found]:
    quiet_s = time.time() - sample.newest_ms / 1000
    if sample.newest_ms > 0 and quiet_s > QUIET_SECONDS:
        yield (
            "warning",
            f"the newest record is of {show_time(sample.newest_ms)}, {quiet_s / 60:,.0f} min ago",
            "start the producer, unless that is expected",
        )
