"""Checks of the windows' results: what the job has written, whether a sink reads it, and whether it is in the table."""

import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from rtea import plugins, topics
from rtea.config import Config
from rtea.doctor.finding import Found, of_error, ok, show_time
from rtea.errors import BrokerError, RteaError
from rtea.sinks import result, runner
from rtea.sinks.contract import Sink
from rtea.sinks.registry import make_sink
from rtea.sinks.result import NotAResultError, WindowResult

READ = 50
"""Records that are read from the end of the results topic."""

QUIET_SECONDS = 180


def newest(config: Config) -> WindowResult | None:
    """The final result of the newest window in the topic's last records."""
    found: list[WindowResult] = []
    for message in topics.read(config.kafka, config.kafka.results_topic, last=READ):
        value = message.value()
        if value is not None:
            try:
                decoded = result.decode(value, f"{message.topic()}-{message.partition()} offset {message.offset()}")
            except NotAResultError:
                continue
            if decoded.is_of_events and decoded.is_final:
                found.append(decoded)
    # Of a window's results, the last one is the newest.
    return max(reversed(found), key=lambda each: each.window_start_ms, default=None)


def written(config: Config) -> Iterator[Found]:
    """The newest final window that the job has written."""
    last = newest(config)
    if last is None:
        ends = topics.end_offsets(config.kafka, config.kafka.results_topic)
        what = "only early rows" if any(ends.values()) else "no results"
        delay_s, idle_s = config.job.watermark_delay_ms / 1000, config.job.idle_timeout_ms / 1000
        yield (
            "failed",
            f"topic {config.kafka.results_topic} has {what}: no window is final",
            f"wait: a window is final {delay_s:.0f} s of event time after its end, or when all partitions were idle "
            f"for {idle_s:.0f} s; partitions above that hold the watermark back must go on first",
        )
        return
    yield ok(f"the newest final window ends at {show_time(last.window_end_ms)}, {last.revision:,} events")


def tables(config: Config) -> list[Sink]:
    """The sinks whose tables the results topic was written to, or that run now."""
    found = []
    for name in plugins.names():
        try:
            kind = plugins.sink(name)
            if not kind.is_set_up(getattr(config, kind.section)):
                continue
            sink = make_sink(config, name)
        except (RteaError, ImportError):
            continue  # It cannot be used here, so nobody uses it.
        if _committed(config, sink) or _members(config, sink):
            found.append(sink)
    return found


def _committed(config: Config, sink: Sink) -> dict[int, int]:
    kafka = config.kafka
    settings = topics.connection(kafka) | {"group.id": runner.group_id(config, sink), "enable.auto.commit": False}
    count = topics.list_partitions(kafka).get(kafka.results_topic, 0)
    places = [TopicPartition(kafka.results_topic, number) for number in range(count)]
    with closing(Consumer(settings)) as consumer:
        try:
            found = consumer.committed(places, timeout=kafka.timeout_ms / 1000)
        except KafkaException as error:
            raise BrokerError(f"the offsets of the sinks cannot be read: {error.args[0].str()}") from error
    return {place.partition: place.offset for place in found if place.offset >= 0}


def _members(config: Config, sink: Sink) -> int:
    group = runner.group_id(config, sink)
    admin = AdminClient(topics.connection(config.kafka))  # Keep the client alive until the answer arrives.
    (answer,) = admin.describe_consumer_groups([group]).values()
    try:
        described = answer.result(timeout=config.kafka.timeout_ms / 1000)
    except (KafkaException, FutureTimeoutError):
        return 0
    return 0 if described.state == ConsumerGroupState.DEAD else len(described.members)


def sinks(config: Config) -> Iterator[Found]:
    """Whether a sink runs, and how far behind it is."""
    found = tables(config)
    if not found:
        yield (
            "failed",
            f"no sink has read topic {config.kafka.results_topic}",
            "start one with these settings, for example `rtea sink duckdb`",
        )
    ends = topics.end_offsets(config.kafka, config.kafka.results_topic)
    for sink in found:
        committed = _committed(config, sink)
        behind = sum(max(0, end - committed.get(number, 0)) for number, end in ends.items())
        where = f"{sink.name} ({sink.destination})"
        if not _members(config, sink):
            yield (
                "failed" if behind else "warning",
                f"no sink runs for {where}, {behind:,} results wait",
                f"start `rtea sink {sink.name}`",
            )
        elif behind > READ:
            yield (
                "warning",
                f"the sink of {where} is {behind:,} results behind",
                "see its log: the table may be slow, locked or away",
            )
        else:
            yield ok(f"{where} is {behind} results behind")


def stored(config: Config) -> Iterator[Found]:
    """Whether the newest final window is in each table."""
    last = newest(config)
    if last is None:
        return
    for sink in tables(config):
        try:
            with closing(sink):
                rows = sink.read(last.window_start_ms, last.window_start_ms + 1)
        except RteaError as error:
            yield of_error(error)
            continue
        ages = {(row.generation, row.revision) for row in rows if row.is_final and row.metric != result.DEAD_LETTERS}
        if (last.generation, last.revision) < max(ages, default=(-1, -1)) or (last.generation, last.revision) in ages:
            yield ok(f"{sink.name}: windows up to {show_time(last.window_end_ms)} are in the table")
        else:
            yield (
                "failed",
                f"{sink.name}: the window that ends at {show_time(last.window_end_ms)} is not in {sink.destination} as "
                "the job wrote it last",
                "see whether its sink runs; if rows were deleted, restart it with another sink.group_id",
            )


def freshness(config: Config) -> Iterator[Found]:
    """How old the newest final window is."""
    last = newest(config)
    if last is not None:
        age_s = time.time() - last.window_end_ms / 1000
        if age_s > QUIET_SECONDS:
            yield (
                "warning",
                f"the newest final window ended {age_s / 60:,.0f} min ago",
                "see the warnings above; without events, or with old event times, this is as expected",
            )
        else:
            yield ok(f"the newest final window ended {age_s:.0f} s ago")
