"""Going on with a run that was killed or interrupted: nothing repeated, nothing missing.

The manifest says how far every event is acknowledged; what the topic holds beyond is read from there, by
the events' ids. The run then starts at the last whole window and leaves out what is there already.
"""

import dataclasses
import math
from pathlib import Path

from rtea import _core, manifest, topics
from rtea.config import Config
from rtea.errors import ConfigError
from rtea.sections import KafkaSection
from rtea_gen import plan as plans
from rtea_gen.outlet import FAULT_HEADER
from rtea_gen.plan import Plan
from rtea_gen.truth import Totals


@dataclasses.dataclass(frozen=True)
class Resumed:
    """A run to go on with: its plan, how much of the manifest stays, what its windows add up to, and the numbers
    that the topic holds already.
    """

    plan: Plan
    keep_bytes: int
    totals: Totals
    already: _core.SentNumbers


def read(config: Config, path: Path, events: int | None) -> Resumed:
    """Find out where a run stands; `events` in all, or None for as many as it was to have.

    Raises:
        ConfigError: it is complete, was made with other settings, or went to a file.
        RteaError: the manifest cannot be read.
        BrokerError: the topic cannot be read.
    """
    cut = manifest.read_cut(path)
    header, end = cut.header, cut.end
    wanted = events if events is not None else header.events
    if end is not None and end.complete and wanted is not None and end.next_number >= wanted:
        raise ConfigError(f"manifest {path} is complete: nothing is left to resume: start a new run without --resume")
    if config.generator.sink != "kafka":
        raise ConfigError(f"--resume with the sink {config.generator.sink}: only runs to Kafka can be resumed")
    _compare(header, config, path)
    # What was written at a run's end may be part of a window only; what was written before is whole.
    over_ms = end.last_event_ms - plans.hold_ms(config) if end else math.inf
    windows = [window for window in cut.windows if window.window_end_ms <= over_ms]
    totals = Totals()
    for window in windows:
        totals.add(window)
    first_ms = windows[-1].window_end_ms if windows else header.start_ms
    plan = Plan(config, header.start_ms, header.began_ms / 1000, wanted)
    plan = dataclasses.replace(plan, first=plans.Schedule(plan).number_at(max(first_ms, header.start_ms)))
    already = _read_topic(config.kafka, config.generator.seed, first_ms)
    return Resumed(plan, cut.sizes[len(windows)], totals, already)


def _compare(header: manifest.Header, config: Config, path: Path) -> None:
    wanted = plans.settings(config)
    for section, values in header.settings.items():
        for key, value in values.items():
            if wanted.get(section, {}).get(key) != value:
                found = wanted.get(section, {}).get(key)
                raise ConfigError(
                    f"{section}.{key} is {found!r}, but {path} was begun with {value!r}: resume with the same settings"
                )
    if header.topic != config.kafka.events_topic:
        raise ConfigError(
            f"topic is {config.kafka.events_topic}, but {path} was begun with {header.topic}: resume there"
        )
    found = topics.find_id(config.kafka, header.topic)
    if header.topic_id and found != header.topic_id:
        raise ConfigError(
            f"topic {header.topic} was deleted and made again since {path} was begun: its id is {found}, not "
            f"{header.topic_id}: start a new run without --resume"
        )


def _read_topic(kafka: KafkaSection, seed: int, first_ms: int) -> _core.SentNumbers:
    """The numbers of the events with a timestamp from `first_ms` on. A few bytes an event at most."""
    found = _core.SentNumbers(seed=seed)
    for message in topics.read(kafka, kafka.events_topic, from_ms=first_ms):
        marks = dict(message.headers() or [])
        if mark := marks.get(FAULT_HEADER):
            fault, _, number = (mark if isinstance(mark, str) else mark.decode()).partition(" ")
            found.add(int(number), fault == "duplicate")
        else:
            found.add_value(message.value() or b"")
    return found
