"""The generation of a submission: it tells which of two results with different settings is newer.

Revisions count events, so they can only compare results with equal settings. A submission with settings that give
other rows from the same events gets a greater generation. `rtea.sinks.result` says how sinks use it. The newest
results in the topic name the settings and the generation of the last submission.
"""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from rtea import maps, topics
from rtea.config import Config
from rtea.errors import ConfigError
from rtea.sinks import result
from rtea.sinks.result import NotAResultError, WindowResult

READ_RESULTS = 100
"""How many of the newest records in each partition are read."""

SETTINGS_OF_ROWS = {
    *("window_ms", "max_skew_ms", "max_event_bytes", "max_dimensions"),
    *("event_types", "categories", "currencies", "deduplicate_orders"),
}
"""The job's settings that decide the rows."""

FIRST_DEFAULTS = {"metrics": ["event_count", "revenue", "unique_visitors"], "top_products": 100}
"""Settings of later releases that decide the rows too. With their first default they are not part of the digest, so
that an upgrade alone does not begin a new generation."""


def digest(config: Config) -> str:
    """A digest of the settings that decide the rows.

    >>> from rtea import config
    >>> digest(config.load()) == digest(config.load(flags={"job.parallelism": 7}))
    True
    >>> digest(config.load()) == digest(config.load(flags={"job.max_dimensions": 7}))
    False
    """
    values = config.job.model_dump(mode="json", include=SETTINGS_OF_ROWS)
    later = config.job.model_dump(mode="json", include=set(FIRST_DEFAULTS))
    values |= {name: value for name, value in later.items() if value != FIRST_DEFAULTS[name]}
    event_map = maps.read(config.events.map)
    if event_map is not None:
        values["event_map"] = event_map
    if config.events.format != "auto":
        values["format"] = config.events.format
    values |= {name: sorted(value) for name, value in values.items() if isinstance(value, list)}
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:16]


@dataclass(frozen=True)
class Known:
    """A generation, and the digest of its settings."""

    generation: int
    settings: str


def choose(config: Config, running: Iterable[Known] = (), *, replace: bool = False) -> int:
    """Choose the generation of a submission: the newest one among the results in the topic and the running jobs. If its
    settings differ, or with `replace`, choose a new and greater one.

    Raises:
        BrokerError, MissingTopicError: the results topic cannot be read.
        ConfigError: the results topic holds windows of another length.
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
    """Check that a job without a savepoint does not replace whole windows by the parts that it reads.

    Raises:
        ConfigError: it starts from the latest event, and its results would be newer than those in the topic.
    """
    results = _newest_results(config)
    if config.job.start_from == "latest" and results and generation > max(each.generation for each in results):
        raise ConfigError(
            "job.start_from=latest with other settings than the results in the topic would replace whole windows by "
            "parts of them: submit with --savepoint, set job.start_from=earliest, or choose another kafka.results_topic"
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
