"""Reads dead letters, and sends corrected ones back to the events topic.

The job writes the dead letters (`rtea-core`'s module `letter` describes them). A replay sends events to their topic and
marks to the dead letter topic in one Kafka transaction, so that it sends none back twice.
"""

import base64
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import msgspec
from confluent_kafka import KafkaException, Producer

from rtea import events, maps, topics
from rtea.config import Config
from rtea.errors import DeliveryError, InputError, InvalidEventError
from rtea.maps import EventMap
from rtea.sections import JobSection

VERSION = 1

REPLAYED = "replayed"
"""Reason in the mark of a dead letter that was sent back."""

BATCH = 1_000
"""Most dead letters in one transaction."""


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dead letter, or the mark that it was sent back. A truncated dead letter holds the first part of a value;
    `size_bytes` and `sha256` describe the whole value, which is in the topic at `place`.

    A dead letter with the reason `late` represents `events` events of the window at `window_start_ms`. It has no place
    and no bytes; the others have both. `value` is the record's value as text, for a person to correct. It takes
    precedence over `raw_base64`. `places` says where the event map looked for the field.
    """

    version: int
    reason: str
    topic: str
    field: str = ""
    expected: str = ""
    places: str = ""
    partition: int = -1
    offset: int = -1
    timestamp_ms: int = -1
    raw_base64: str | None = None
    value: str | None = None
    window_start_ms: int | None = None
    events: int = 1
    partial_base64: str | None = None
    is_truncated: bool = False
    size_bytes: int = -1
    sha256: str = ""

    @property
    def place(self) -> str:
        """topic-partition-offset of the refused record; the key of its dead letter."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    @property
    def raw(self) -> bytes | None:
        """The record's value: the corrected one if there is one, else the refused one."""
        if self.value is not None:
            return self.value.encode()
        return None if self.raw_base64 is None else base64.b64decode(self.raw_base64)

    def with_text(self) -> "DeadLetter":
        """The same dead letter, with its value as text if it is valid UTF-8."""
        try:
            text = (self.raw or b"").decode()
        except UnicodeDecodeError:
            return self
        return msgspec.structs.replace(self, raw_base64=None, value=text) if self.raw else self


_decoder = msgspec.json.Decoder(DeadLetter)


def decode(text: bytes, where: str) -> DeadLetter:
    """Read one dead letter; errors name `where`.

    Raises:
        InputError: it is not a dead letter, or a newer release wrote it.
    """
    try:
        letter = _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise InputError(
            f"{where} is not a dead letter: {error}: expected a line that `rtea dlq show --json` prints"
        ) from error
    if letter.version != VERSION:
        raise InputError(f"{where} has version {letter.version}, this release reads {VERSION}: upgrade it")
    return letter


def read(config: Config) -> Iterator[DeadLetter]:
    """Every dead letter that was not sent back yet, oldest first.

    Raises:
        BrokerError, MissingTopicError: the dead letter topic cannot be read.
        InputError: it contains something else.
    """
    return waiting(_records(config))


def waiting(records: Iterable[tuple[str, DeadLetter]]) -> Iterator[DeadLetter]:
    """The dead letters that were not sent back yet. `records` are keys and dead letters in the topic's order. Each
    dead letter comes once, even if a recovery or a backfill repeated it. Memory grows with their number.
    """
    letters: dict[str, DeadLetter] = {}
    sent = set()
    for key, letter in records:
        if letter.reason == REPLAYED:
            sent.add(key)
        else:
            letters[key] = letter
    return (letter for key, letter in letters.items() if key not in sent)


def _records(config: Config) -> Iterator[tuple[str, DeadLetter]]:
    for message in topics.read(config.kafka, config.kafka.dead_letter_topic):
        where = f"record at {message.topic()}-{message.partition()} offset {message.offset()}"
        yield (message.key() or b"").decode(errors="replace"), decode(message.value() or b"", where)


Outcome = Literal["sent", "still refused", "late", "sent before", "counts already"]


@dataclass(frozen=True)
class Replayed:
    """The outcome for one dead letter; `problem` says why it was not sent."""

    letter: DeadLetter
    outcome: Outcome
    problem: str = ""


def judge(config: Config, letters: Iterable[DeadLetter]) -> Iterator[Replayed]:
    """Tell for each dead letter, corrected or not, whether a replay would send it back; send nothing.

    Raises:
        BrokerError, MissingTopicError, InputError: as `read`.
    """
    event_map = maps.load(config.events.map)
    originals = {letter.place: letter for letter in read(config)}
    for letter in letters:
        if letter.reason == "late":
            problem = "its events are in their topic: recompute the window with `rtea job submit --from --to`"
            yield Replayed(letter, "late", problem)
        elif letter.place not in originals:
            yield Replayed(letter, "sent before", "the topic has no such dead letter left to send back")
        else:
            yield _judge(letter, originals.pop(letter.place), config.job, event_map)


def _judge(letter: DeadLetter, original: DeadLetter, job: JobSection, event_map: EventMap | None) -> Replayed:
    now_ms = time.time_ns() // 1_000_000
    counts_already = not find_problem(original, job, now_ms, event_map)
    if original.is_truncated:
        # The whole value is not here. If the limit was raised since, it may be a valid event now.
        counts_already = original.size_bytes <= job.max_event_bytes
    if counts_already:
        # A backfill would count both the original and the copy.
        problem = (
            "the original record would count now, because its time is no longer in the future or a limit was raised: "
            "recompute its window with `rtea job submit --from --to`"
        )
        return Replayed(letter, "counts already", problem)
    problem = find_problem(letter, job, now_ms, event_map)
    return Replayed(letter, "still refused" if problem else "sent", problem)


def find_problem(letter: DeadLetter, job: JobSection, now_ms: int, event_map: EventMap | None = None) -> str:
    """Why the job would refuse the value of a dead letter again; empty if it would accept it."""
    raw = letter.raw
    if not raw:
        return "it has no value"
    if letter.is_truncated:
        return (
            f"it holds the first part of {letter.size_bytes} bytes: take the whole value from {letter.place}, put it "
            "into `value` and remove `is_truncated`"
        )
    if len(raw) > job.max_event_bytes:
        return f"it has {len(raw)} bytes, job.max_event_bytes is {job.max_event_bytes}"
    try:
        event = _decode(raw, event_map)
    except InvalidEventError as error:
        return str(error)
    if event is None:
        return "the event map leaves such events out"
    event_ms = event.event_time
    if event_ms > now_ms + job.max_skew_ms:
        return f"its event_time {event_ms} lies in the future"
    return ""


def _decode(value: bytes, event_map: EventMap | None) -> events.Event | None:
    return event_map.decode(value) if event_map else events.decode(value)


def replay(config: Config, letters: Iterable[DeadLetter]) -> Iterator[Replayed]:
    """Send dead letters back to their topic, to the partition that they came from, with the timestamp that they name.
    Those that the job would refuse again are not sent. What is reported as sent is in the topic exactly once. After an
    error, call it again with the same dead letters.

    Raises:
        BrokerError, MissingTopicError, InputError: as `read`.
        DeliveryError: Kafka refused a transaction.
    """
    # This comes first: it ends any other replay, so no new mark can appear after the dead letters are read.
    producer = _producer(config)
    judged, event_map = judge(config, letters), maps.load(config.events.map)
    while batch := list(islice(judged, BATCH)):
        _send(producer, [each.letter for each in batch if each.outcome == "sent"], config, event_map)
        yield from batch


def _producer(config: Config) -> Producer:
    kafka = config.kafka
    settings = {
        "transactional.id": f"rtea-dlq-{kafka.dead_letter_topic}",
        # If a replay is killed, the job waits this long before it reads on.
        "transaction.timeout.ms": kafka.timeout_ms,
        "message.timeout.ms": kafka.timeout_ms,
        "message.max.bytes": 16_777_216,
    }
    producer = Producer(topics.connection(kafka) | settings)
    try:
        producer.init_transactions(kafka.timeout_ms / 1000)
    except KafkaException as error:
        raise DeliveryError(f"Kafka refused to start a transaction: {error.args[0].str()}") from error
    return producer


def _send(producer: Producer, letters: list[DeadLetter], config: Config, event_map: EventMap | None) -> None:
    if not letters:
        return
    timeout_s = config.kafka.timeout_ms / 1000
    try:
        producer.begin_transaction()
        for letter in letters:
            value = letter.raw or b""
            event = _decode(value, event_map)
            key = event.visitor_id if event else None
            producer.produce(letter.topic, value, key, letter.partition, timestamp=letter.timestamp_ms)
            mark = DeadLetter(VERSION, REPLAYED, letter.topic, partition=letter.partition, offset=letter.offset)
            producer.produce(config.kafka.dead_letter_topic, msgspec.json.encode(mark), letter.place)
        producer.commit_transaction(timeout_s)
    except KafkaException as error:
        with suppress(KafkaException):
            # An open transaction would block every reader of committed records until it times out.
            producer.abort_transaction(timeout_s)
        raise DeliveryError(
            f"dead letters could not be sent back: {error.args[0].str()}: run the same command again, "
            "which sends none twice"
        ) from error
