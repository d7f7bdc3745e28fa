"""Runs a sink: reads the results topic, cuts batches, passes them to the sink, then commits the offsets."""

import hashlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_when_event_set, wait_random_exponential

from rtea import topics
from rtea.config import Config
from rtea.errors import BrokerError
from rtea.sinks import metrics, result
from rtea.sinks.contract import AbandonedError, Batch, Sink
from rtea.sinks.identity import TopicIdentity
from rtea.sinks.result import NotAResultError, WindowResult

logger = logging.getLogger(__name__)

T = TypeVar("T")

READ_RECORDS = 10
"""Most records in one read from the consumer; a batch may exceed its limits by as many."""

POLL_SECONDS = 0.1

REASSIGNED = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._NO_OFFSET,
    }
)
"""Errors of a commit when the consumer is losing its partitions, or has lost them."""

UNAVAILABLE = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""Errors while brokers are unreachable or starting. A sink that has started waits until they answer."""

Observer = Callable[[Sequence[WindowResult], int], None]
"""Called with the results of each written batch, and the time at which they became readable (ms since the epoch)."""


def run(config: Config, sink: Sink, stop: threading.Event, observe: Observer | None = None) -> None:
    """Feed a sink until `stop` is set.

    Raises:
        BrokerError, MissingTopicError: the results topic cannot be read.
        SinkError: the sink cannot write; the next run reads what was not written again.
    """
    topic = config.kafka.results_topic
    group = config.sink.group_id
    identity = TopicIdentity(config, topic, f"to read the new one, choose another sink.group_id than {group}")
    with ExitStack() as ending:
        ending.callback(identity.close)
        ending.callback(sink.close)
        sink.open()
        consumer = Consumer(_settings(config, sink))
        ending.callback(consumer.close)
        try:
            _feed(consumer, config, sink, identity, stop, observe)
        except KafkaException as error:
            if not (stop.is_set() and _is_unavailable(error)):
                raise BrokerError(f"results topic {topic} cannot be read: {error.args[0].str()}") from error
        except AbandonedError:
            pass  # Asked to stop: the next run reads the batch again.


def _feed(
    consumer: Consumer,
    config: Config,
    sink: Sink,
    identity: TopicIdentity,
    stop: threading.Event,
    observe: Observer | None,
) -> None:
    """Write batch after batch until `stop` is set."""
    reader = _Reader(consumer, config.kafka.results_topic, sink)

    def start(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Ask again: another sink may have filled the table while this one waited.
        if partitions and sink.open(stop):
            timeout_s = config.kafka.timeout_ms / 1000
            for partition in partitions:
                partition.offset, _ = _patiently(stop, consumer.get_watermark_offsets, partition, timeout=timeout_s)
            named = [TopicPartition(each.topic, each.partition, each.offset, identity.id) for each in partitions]
            _patiently(stop, consumer.commit, offsets=named, asynchronous=False)
        elif partitions:
            for known in _patiently(stop, consumer.committed, partitions, timeout=config.kafka.timeout_ms / 1000):
                identity.require(known.metadata or identity.id)
        else:
            logger.warning("another sink writes to %s: this one waits to take over", sink.destination)
        consumer.assign(partitions)

    def forget(*_: object) -> None:
        reader.clear()  # The next owner of the partitions reads these records again.

    consumer.subscribe([config.kafka.results_topic], on_assign=start, on_revoke=forget, on_lost=forget)
    while not stop.is_set():
        identity.check()
        batch = reader.read()
        if batch is None:
            continue
        sink.write(batch, stop)
        readable_ms = time.time_ns() // 1_000_000
        if observe:
            observe([result for result in batch.results if result.is_of_events], readable_ms)
        _commit(consumer, reader.offsets(identity.id), stop)
        reader.count_written(batch, readable_ms)


def _patiently(stop: threading.Event, ask: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Ask the brokers; while they do not answer, retry until `stop` is set."""
    asking = Retrying(
        retry=retry_if_exception(_is_unavailable),
        stop=stop_when_event_set(stop),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        before_sleep=_warn,
        reraise=True,
    )
    return asking(ask, *arguments, **options)


def _is_unavailable(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in UNAVAILABLE


def _warn(state: RetryCallState) -> None:
    if state.outcome and state.attempt_number % 10 == 1:
        logger.warning("Kafka does not answer (%s): waiting for it", state.outcome.exception())


def _commit(consumer: Consumer, offsets: list[TopicPartition], stop: threading.Event) -> None:
    """Commit the offsets of what was written. Kafka may refuse this while partitions move to another sink, and may not
    answer when this one has to stop. Then the next sink reads the same results again, which changes nothing.
    """
    try:
        _patiently(stop, consumer.commit, offsets=offsets, asynchronous=False)
    except KafkaException as error:
        if error.args[0].code() not in REASSIGNED and not _is_unavailable(error):
            raise


class _Reader:
    """Cuts the consumer's records into batches within the sink's limits."""

    def __init__(self, consumer: Consumer, topic: str, sink: Sink) -> None:
        self._consumer, self._topic, self._sink = consumer, topic, sink
        self._last_s = float("-inf")
        self.clear()
        self._newest_end_ms = 0
        metrics.begin(sink.name)
        metrics.SECONDS_BEHIND.labels(sink.name).set_function(self._seconds_behind)

    def clear(self) -> None:
        """Forget what was read but not yet written."""
        self._waiting: list[WindowResult] = []
        self._waiting_since_s: float | None = None
        self._next_offsets: dict[int, int] = {}
        self._digest = hashlib.sha256(self._sink.destination.encode())
        self._size_bytes = 0

    def offsets(self, topic_id: str) -> list[TopicPartition]:
        """The offsets to commit when what was read is durable, with the topic's id as metadata."""
        places = self._next_offsets.items()
        return [TopicPartition(self._topic, partition, offset, topic_id) for partition, offset in places]

    def read(self) -> Batch | None:
        """Wait a moment for results; return a batch if one is due."""
        limits = self._sink.limits
        # Waiting for several records would delay the first one until the time is over.
        messages = self._consumer.consume(1, POLL_SECONDS)
        if messages:
            messages += self._consumer.consume(READ_RECORDS - 1, 0)
        for message in messages:
            if not _has_arrived(message):
                continue
            decoded = _decoded(message, self._sink)
            # A message without an error has both.
            partition, offset = message.partition() or 0, message.offset() or 0
            self._next_offsets[partition] = offset + 1
            if decoded:
                value = message.value() or b""
                self._waiting.append(decoded)
                if decoded.is_final and self._waiting_since_s is None:
                    self._waiting_since_s = time.monotonic()
                self._size_bytes += len(value)
                self._digest.update(f"{self._topic}-{partition}-{offset}".encode() + value)
        is_full = len(self._waiting) >= limits.records or self._size_bytes >= limits.size_bytes
        # A full read means that more records wait, as after a slow write: add them to the same batch.
        wait_s = max(limits.interval_s, 0 if any(each.is_final for each in self._waiting) else limits.early_interval_s)
        is_due = len(messages) < READ_RECORDS and time.monotonic() >= self._last_s + wait_s
        if not self._waiting or not (is_full or is_due):
            return None
        self._last_s = time.monotonic()
        return Batch(tuple(self._waiting), self._digest.hexdigest()[:32])

    def count_written(self, batch: Batch, readable_ms: int) -> None:
        """Count a batch that could be read since `readable_ms`, and forget it."""
        name = self._sink.name
        metrics.BATCHES.labels(name).inc()
        metrics.ROWS.labels(name).inc(sum(len(result.rows) for result in batch.results))
        ends_ms = {result.window_end_ms for result in batch.results if result.is_of_events and result.is_final}
        for end_ms in ends_ms:
            # Others are corrections, or come late. Of the first batch that is not known.
            if end_ms > self._newest_end_ms > 0:
                metrics.FRESHNESS.labels(name).observe((readable_ms - end_ms) / 1000)
        self._newest_end_ms = max(self._newest_end_ms, *ends_ms, 0)
        metrics.WINDOW_END.labels(name).set(self._newest_end_ms / 1000)
        self.clear()

    def _seconds_behind(self) -> float:
        since_s = self._waiting_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s


def group_id(config: Config, sink: Sink) -> str:
    """The consumer group of a sink's destination."""
    return f"{config.sink.group_id}-{hashlib.sha256(sink.destination.encode()).hexdigest()[:12]}"


def _settings(config: Config, sink: Sink) -> topics.ClientSettings:
    return topics.connection(config.kafka) | {
        "group.id": group_id(config, sink),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 50,
        # When the local queue is full, librdkafka pauses fetching for this long; the default is 1 s.
        "fetch.queue.backoff.ms": 2,
        # After a sink was killed, the next one waits this long for its partitions; the default is 45 s.
        "session.timeout.ms": 10_000,
        # `write` may wait long for the sink's server. By default, a consumer loses its partitions when it does not ask
        # for records for five minutes.
        "max.poll.interval.ms": 86_400_000,
        # Limit the memory during a backfill: by default, librdkafka reads 64 MiB ahead.
        "queued.max.messages.kbytes": 16_384,
    }


def _has_arrived(message: Message) -> bool:
    """Whether a message is a record, and not a report that Kafka does not answer."""
    error = message.error()
    if error and error.code() not in UNAVAILABLE:
        raise KafkaException(error)
    return not error


def _decoded(message: Message, sink: Sink) -> WindowResult | None:
    """The message's result. None for a tombstone, which has no result, and for a record that no table can hold: the
    sink leaves it out and continues with the next one.
    """
    place = f"{message.topic()}-{message.partition()} offset {message.offset()}"
    value = message.value()
    if value is None:
        return None
    try:
        found = result.decode(value, place)
    except NotAResultError as error:
        problem = str(error)
    else:
        if found.is_storable:
            return found
        span = f"{found.window_start_ms} to {found.window_end_ms} ms"
        problem = f"record at {place} has a window ({span}) or repeated rows that no table can hold"
    metrics.SET_ASIDE.labels(sink.name).inc()
    logger.error("%s: it is left out", problem)
    return None


def stop_on_signals() -> threading.Event:
    """An event that SIGINT, SIGTERM and a closed terminal set. The sink then finishes the batch in progress, or
    abandons it if the server does not answer.
    """
    stop = threading.Event()

    def handle(_: int, __: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores SIGHUP
        signal.signal(signal.SIGHUP, handle)
    return stop
