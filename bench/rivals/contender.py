"""A contender of `bench.drain`: it drains a full topic and answers with the rows of its windows."""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from bench.rivals.answer import METRICS, Answer, differences, expected
from rtea import topics
from rtea.config import Config
from rtea.manifest import Manifest
from rtea.stack import local

QUIET_SECONDS = 30


@dataclass(frozen=True)
class Drained:
    """One round: seconds and CPU seconds, by process, for all events of the topic."""

    seconds: float
    cpu_seconds: dict[str, float]


@dataclass
class Clock:
    """CPU seconds of the stack's processes, and of one more, since a moment."""

    config: Config
    began_s: float = field(default_factory=time.monotonic)
    _before: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {process.name: process.cpu_seconds for process in local.status(self.config)}

    def read(self, share: float = 1.0) -> Drained:
        """What was used since then, for a share of the events; scaled up to all of them."""
        used = {name: (now - self._before.get(name, 0.0)) / share for name, now in self._now().items()}
        return Drained((time.monotonic() - self.began_s) / share, used)


class Contender(ABC):
    """One way to compute the windows."""

    name: str
    note: str = ""
    """How its work differs from RTEA's."""

    metrics: Collection[str] = METRICS
    warms_up: bool = True
    """Whether the first rounds are slower, because a JVM compiles."""

    most_rounds: int | None = None

    def __init__(self, config: Config, sent: Manifest) -> None:
        self.config, self.sent = config, sent
        windows = sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
        self.wanted = self.adapt(expected(windows, self.metrics))

    def adapt(self, wanted: Answer) -> Answer:
        """The part of the manifest's rows that it computes."""
        return wanted

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Be ready for rounds during a block, on a fresh stack."""
        yield

    @abstractmethod
    def drain(self) -> Drained:
        """Drain the topic once, and check the rows."""

    def check(self, answer: Answer) -> None:
        """Fail if rows are missing or wrong."""
        problems = differences(self.wanted, answer)
        if problems:
            raise AssertionError(f"{self.name}: {len(problems)} of {len(self.wanted)} rows differ: {problems[:5]}")

    def make_topics(self, *names: str) -> None:
        """Make topics with one partition, unless they are there."""
        admin = AdminClient(topics.connection(self.config.kafka))
        missing = [name for name in names if name not in topics.list_partitions(self.config.kafka)]
        for future in admin.create_topics([NewTopic(name, 1, 1) for name in missing]).values() if missing else ():
            future.result()

    def end_offset(self, topic: str) -> int:
        """The end of a topic with one partition."""
        return topics.end_offsets(self.config.kafka, topic)[0]

    def consume(self, topic: str, offset: int) -> Iterator[bytes]:
        """Values of a topic with one partition from an offset on, until nothing comes for half a minute."""
        consumer = Consumer(topics.connection(self.config.kafka) | {"group.id": "bench"})
        consumer.assign([TopicPartition(topic, 0, offset)])
        try:
            while messages := consumer.consume(1, QUIET_SECONDS):
                value = messages[0].value()
                if messages[0].error() or value is None:
                    raise AssertionError(f"{topic}: {messages[0].error() or 'a record without a value'}")
                yield value
        finally:
            consumer.close()
