"""Resumes a run that was killed or interrupted, so that no event is repeated or missing.

The manifest says up to which window all events are acknowledged. From there on, the topic says which events it has
already. The resumed run starts at the end of the last complete window, and leaves out these events.
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
    """A run to resume: its plan, how many bytes of the manifest to keep, the totals of its windows, and the numbers of
    the events that the topic has already.
    """

    plan: Plan
    keep_bytes: int
    totals: Totals
    already: _core.SentNumbers


def read(config: Config, path: Path, events: int | None) -> Resumed:
    """Find out how far a run got. `events` is the new total, or None for the total that the run had.

    Raises:
        ConfigError: the run is complete, had other settings, or went to a file.
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
    # Windows that the manifest got at the end of the run may be incomplete; all earlier ones are complete.
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
                    f"{section}.{key} is {found!r}, but the run of {path} had {value!r}: resume with the same settings"
                )
    if header.topic != config.kafka.events_topic:
        raise ConfigError(
            f"topic is {config.kafka.events_topic}, but the run of {path} sent to {header.topic}: "
            f"resume with --topic {header.topic}"
        )
    found = topics.find_id(config.kafka, header.topic)
    if header.topic_id and found != header.topic_id:
        raise ConfigError(
            f"topic {header.topic} was deleted and recreated since the run of {path}: its id is {found}, not "
            f"{header.topic_id}: start a new run without --resume"
        )


def _read_topic(kafka: KafkaSection, seed: int, first_ms: int) -> _core.SentNumbers:
    """Read the numbers of the events with a timestamp of at least `first_ms`. They take a few bytes per event."""
    found = _core.SentNumbers(seed=seed)
    for message in topics.read(kafka, kafka.events_topic, from_ms=first_ms):
        marks = dict(message.headers() or [])
        if mark := marks.get(FAULT_HEADER):
            fault, _, number = (mark if isinstance(mark, str) else mark.decode()).partition(" ")
            found.add(int(number), fault == "duplicate")
        else:
            found.add_value(message.value() or b"")
    return found
