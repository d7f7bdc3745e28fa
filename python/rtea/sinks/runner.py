"""Runs a sink: reads the results topic, writes, then commits the offsets."""

import hashlib
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from rtea import topics
from rtea.config import Config
from rtea.errors import BrokerError, MissingTopicError
from rtea.sinks import result
from rtea.sinks.contract import Sink
from rtea.sinks.result import WindowResult

BATCH_RECORDS = 100
POLL_SECONDS = 0.1

Observer = Callable[[list[WindowResult], int], None]
"""Told of what was written, and when it became readable (ms since the epoch)."""


def run(config: Config, sink: Sink, stop: threading.Event, observe: Observer | None = None) -> None:
    """Feed a sink until `stop` is set.

    Raises:
        BrokerError, MissingTopicError: the results topic cannot be read.
        SinkError: the sink cannot write; what was not written is read again by the next run.
    """
    topic = config.kafka.results_topic
    if topic not in topics.list_partitions(config.kafka):
        raise MissingTopicError(
            f"topic {topic} is missing at {config.kafka.bootstrap_servers}: run `rtea topics create`"
        )
    is_empty = sink.open()

    def start(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if is_empty:
            for partition in partitions:
                partition.offset, _ = consumer.get_watermark_offsets(partition, timeout=config.kafka.timeout_ms / 1000)
            consumer.commit(offsets=partitions, asynchronous=False)
        consumer.assign(partitions)

    consumer = Consumer(_settings(config, sink))
    try:
        consumer.subscribe([topic], on_assign=start)
        while not stop.is_set():
            messages = consumer.consume(BATCH_RECORDS, POLL_SECONDS)
            results = [decoded for message in messages if (decoded := _decoded(message))]
            if results:
                sink.write(results)
                if observe:
                    observe(results, time.time_ns() // 1_000_000)
                consumer.commit(asynchronous=False)
    except KafkaException as error:
        raise BrokerError(f"results topic {topic} cannot be read: {error.args[0].str()}") from error
    finally:
        sink.close()
        consumer.close()


def _settings(config: Config, sink: Sink) -> topics.ClientSettings:
    digest = hashlib.sha256(sink.destination.encode()).hexdigest()[:12]
    return topics.connection(config.kafka) | {
        "group.id": f"{config.sink.group_id}-{digest}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 50,
        # The default of 1000 leaves a full local queue unattended for that long.
        "fetch.queue.backoff.ms": 2,
    }


def _decoded(message: Message) -> WindowResult | None:
    """The message's result; None for a tombstone, which says nothing of a window."""
    if error := message.error():
        raise KafkaException(error)
    place = f"{message.topic()}-{message.partition()} offset {message.offset()}"
    value = message.value()
    return None if value is None else result.decode(value, place)


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set: the batch at hand is finished, then the runner ends."""
    stop = threading.Event()

    def handle(_: int, __: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop
