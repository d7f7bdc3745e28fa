"""The generation of a submission: which of two results with other settings is the newer one.

Revisions count events, so they compare results of equal settings only. A submission with settings that give other
rows from the same events raises the generation; `rtea.sinks.result` says how sinks use it. The newest results of
the topic say which settings and which generation came last.
"""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from rtea import topics
from rtea.config import Config
from rtea.errors import ConfigError
from rtea.sinks import result
from rtea.sinks.result import NotAResultError, WindowResult

READ_RESULTS = 100
"""Newest records of each partition that are looked at."""

OF_THE_ROWS = {
    *("window_ms", "timestamp_tolerance_ms", "max_skew_ms", "max_event_bytes", "max_dimensions"),
    *("event_types", "categories", "currencies", "deduplicate_orders"),
}
"""The job's settings on which rows depend."""


def digest(config: Config) -> str:
    """What tells settings that give other rows apart.

    >>> from rtea import config
    >>> digest(config.load()) == digest(config.load(flags={"job.parallelism": 7}))
    True
    >>> digest(config.load()) == digest(config.load(flags={"job.max_dimensions": 7}))
    False
    """
    values = config.job.model_dump(mode="json", include=OF_THE_ROWS)
    values |= {name: sorted(value) for name, value in values.items() if isinstance(value, list)}
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:16]


@dataclass(frozen=True)
class Known:
    """A generation and the settings it stands for."""

    generation: int
    settings: str


def choose(config: Config, running: Iterable[Known] = (), *, replace: bool = False) -> int:
    """The generation of a submission: that of the newest results, or of a running job that has made none yet; a new
    one with other settings than theirs, or to replace results of the same settings.

    Raises:
        BrokerError, MissingTopicError: the results topic cannot be read.
        ConfigError: the results topic holds windows of another length, or the job would replace them by parts.
    """
    found = _newest_results(config)
    for each in found:
        length_ms = each.window_end_ms - each.window_start_ms
        if length_ms != config.job.window_ms:
            raise ConfigError(
                f"job.window_ms is {config.job.window_ms}, but topic {config.kafka.results_topic} holds windows of "
                f"{length_ms} ms: choose another kafka.results_topic, and another table for its sink"
            )
    known = [*running, *(Known(each.generation, each.settings) for each in found)]
    newest = max(known, key=lambda each: each.generation, default=None)
    if newest and newest.settings == digest(config) and not replace:
        return newest.generation
    now_ms = time.time_ns() // 1_000_000
    return max(now_ms, newest.generation + 1) if newest else now_ms


def require_whole_windows(config: Config, generation: int) -> None:
    """Check that a job without a savepoint does not replace windows by the part that it reads.

    Raises:
        ConfigError: it starts from the latest event, and its results would be newer than those in the topic.
    """
    results = _newest_results(config)
    if config.job.start_from == "latest" and results and generation > max(each.generation for each in results):
        raise ConfigError(
            "job.start_from=latest with other settings than the results in the topic would replace windows by parts of "
            "them: submit with --savepoint or from the earliest event, or choose another kafka.results_topic"
        )


def _newest_results(config: Config) -> list[WindowResult]:
    found = []
    topic = config.kafka.results_topic
    for message in topics.read(config.kafka, topic, last=READ_RESULTS):
        value = message.value()
        if value is not None:
            try:
                found.append(result.decode(value, f"{topic}-{message.partition()} offset {message.offset()}"))
            except NotAResultError:
                continue
    return found
