"""Checks of the windows' results: what the job has written, whether a sink reads it, and whether it is in the table."""

import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from rtea import plugins, topics
from rtea.config import Config
from rtea.doctor.finding import Found, of_error, ok, show_time
from rtea.errors import BrokerError, RteaError
from rtea.sinks import result, runner
from rtea.sinks.contract import Sink
from rtea.sinks.registry import make_sink
from rtea.sinks.result import NotAResultError, WindowResult

READ = (50, 2_000)
"""Records that are read from the end of each partition: first few, then more if no final result is among them."""

QUIET_SECONDS = 180

MOST_BEHIND_SECONDS = 120
"""A sink whose oldest unread result is older is behind."""


@dataclass(frozen=True)
class Written:
    """A final result of counted events, and where and when it was written."""

    result: WindowResult
    partition: int
    offset: int
    written_ms: int


def final(config: Config) -> list[Written]:
    """Final results at the end of the topic, in its order."""
    found: list[Written] = []
    for last in READ:
        messages = topics.read(config.kafka, config.kafka.results_topic, last=last)
        found = [written for message in messages if (written := _final(message)) is not None]
        if found:
            break
    return found


def _final(message: Message) -> Written | None:
    value, place = message.value(), f"{message.topic()}-{message.partition()} offset {message.offset()}"
    if value is None:
        return None
    try:
        decoded = result.decode(value, place)
    except NotAResultError:
        return None
    if not decoded.is_of_events or not decoded.is_final:
        return None
    return Written(decoded, message.partition() or 0, message.offset() or 0, message.timestamp()[1])


def newest(found: list[Written]) -> WindowResult | None:
    """The result that was written last: of the live job's windows, the newest one."""
    return max(found, key=lambda each: (each.written_ms, each.result.window_start_ms)).result if found else None


def written(config: Config) -> Iterator[Found]:
    """The final window that the job has written last, and how old it is."""
    last = newest(final(config))
    job = config.job
    if last is None:
        ends = topics.end_offsets(config.kafka, config.kafka.results_topic)
        what = "only early rows at its end" if any(ends.values()) else "no results"
        delay_s, idle_s = job.watermark_delay_ms / 1000, job.idle_timeout_ms / 1000
        yield (
            "failed",
            f"topic {config.kafka.results_topic} has {what}: no window is final",
            f"wait: a window is final {delay_s:.0f} s of event time after its end, or when all partitions were idle "
            f"for {idle_s:.0f} s; partitions above that hold the watermark back must go on first",
        )
        return
    length_s = (last.window_end_ms - last.window_start_ms) / 1000
    age_s = time.time() - last.window_end_ms / 1000
    found = f"the newest final window ended at {show_time(last.window_end_ms)}, {last.revision:,} events"
    if age_s > QUIET_SECONDS + length_s + job.watermark_delay_ms / 1000:
        yield (
            "warning",
            f"{found}: {age_s / 60:,.0f} min ago",
            "see the warnings above; without events, or with old event times, this is as expected",
        )
    else:
        yield ok(found)


def used_sinks(config: Config) -> Iterator[tuple[Sink, dict[int, int], int | None]]:
    """The sinks that read the results topic once or run now: with their committed offsets and their number of running
    processes, None if that is not known. A sink that cannot be asked is nobody's.
    """
    for name in plugins.names():
        try:
            kind = plugins.sink(name)
            if not kind.is_set_up(getattr(config, kind.section)):
                continue
            sink = make_sink(config, name)
            committed, members = _committed(config, sink), _members(config, sink)
        except BrokerError:
            raise
        except Exception:  # noqa: S112 (of another package, perhaps; without it the others are still checked)
            continue
        if committed or members:
            yield sink, committed, members


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


def _members(config: Config, sink: Sink) -> int | None:
    group = runner.group_id(config, sink)
    admin = AdminClient(topics.connection(config.kafka))  # Keep the client alive until the answer arrives.
    (answer,) = admin.describe_consumer_groups([group]).values()
    try:
        described = answer.result(timeout=config.kafka.timeout_ms / 1000)
    except (KafkaException, FutureTimeoutError):
        return None
    return 0 if described.state == ConsumerGroupState.DEAD else len(described.members)


def sinks(config: Config) -> Iterator[Found]:
    """Whether a sink runs for each table, and how far behind it is."""
    found = list(used_sinks(config))
    if not found:
        yield (
            "failed",
            f"no sink has read topic {config.kafka.results_topic}",
            "start one with these settings, for example `rtea sink duckdb`",
        )
        return
    latest, is_any_running = final(config), any(members for *_, members in found)
    for sink, committed, members in found:
        unread = [each for each in latest if each.offset >= committed.get(each.partition, 0)]
        where = f"{sink.name} ({sink.destination})"
        if members == 0:
            yield (
                "failed" if unread and not is_any_running else "warning",
                f"no sink runs for {where}, {len(unread)} final results wait at least",
                f"start `rtea sink {sink.name}`, if you still want this table",
            )
        elif unread and time.time() - unread[0].written_ms / 1000 > MOST_BEHIND_SECONDS:
            yield (
                "warning",
                f"the sink of {where} is {time.time() - unread[0].written_ms / 1000:,.0f} s behind",
                "see its log: the table may be slow, locked or away",
            )
        else:
            yield ok(f"{where} has read all but {len(unread)} of the last final results")


def stored(config: Config) -> Iterator[Found]:
    """Whether each table has the newest final window that its sink has read."""
    latest = final(config)
    for sink, committed, _ in used_sinks(config):
        last = newest([each for each in latest if each.offset < committed.get(each.partition, 0)])
        if last is None:
            yield "warning", f"{sink.name}: its sink has read none of the last final results", "see the check above"
            continue
        try:
            with closing(sink):
                rows = sink.read(last.window_start_ms, last.window_start_ms + 1)
        except RteaError as error:
            yield of_error(error)
            continue
        ages = [(row.generation, row.revision) for row in rows if row.is_final and row.metric != result.DEAD_LETTERS]
        if ages and max(ages) >= (last.generation, last.revision):
            yield ok(f"{sink.name}: windows up to {show_time(last.window_end_ms)} are in the table")
        else:
            yield (
                "failed",
                f"{sink.name}: the window that ends at {show_time(last.window_end_ms)} is not in {sink.destination} as "
                "the job wrote it last",
                "if rows were deleted, restart the sink with another sink.group_id",
            )
