"""Promises: events of each preset's layout, sent from a file, give the rows that a naive reading of the file gives. A
file that is sent again is in the topic once. A corrected dead letter of another layout counts.
"""

import base64
import json
import time
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import pytest

from rtea import dead_letters, maps, sending, topics, verify
from rtea.config import Config
from rtea.manifest import Revenue, Window
from rtea.sinks.registry import make_sink
from rtea.sinks.result import DEAD_LETTERS
from tests import layouts
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(300)

OTHER_LAYOUTS = [preset for preset in maps.presets() if preset != maps.IDENTITY]


def with_map(config: Config, name: str) -> Config:
    return config.model_copy(update={"events": config.events.model_copy(update={"map": name})})


@pytest.mark.parametrize("preset", OTHER_LAYOUTS)
def test_rows_of_another_layout_equal_a_naive_reading(pipeline_config: Config, preset: str) -> None:
    config = with_map(pipeline_config, preset)
    sent = sending.send(config, maps.sample(preset))
    assert (sent.before, sent.events) == (0, len(layouts.sample(preset)))
    with pipeline.submitted(config), pipeline.sinking(config):
        report = verify.wait_for(windows(preset), make_sink(config, "duckdb"), pipeline.ROWS_WITHIN_SECONDS)
        assert report.passed, report.problems
        rows = make_sink(config, "duckdb").read(0, 2**52)
    skipped = layouts.read(preset).count(layouts.SKIPPED)
    refused = Counter({row.dimension: row.event_count or 0 for row in rows if row.metric == DEAD_LETTERS})
    assert refused == Counter({"skipped": skipped} if skipped else {})


def windows(preset: str) -> list[Window]:
    """The rows of a preset's sample, by the naive reading."""
    by_start = defaultdict(list)
    for event in layouts.read(preset):
        if isinstance(event, layouts.Read):
            by_start[event.event_time // 60_000 * 60_000].append(event)
    return [window(start_ms, events) for start_ms, events in sorted(by_start.items())]


def window(start_ms: int, events: list[layouts.Read]) -> Window:
    counts = Counter(f"{event.event_type}_{event.source}" for event in events)
    revenue: Counter[tuple[str, str]] = Counter()
    visitors = defaultdict(set)
    for event in events:
        for source in ("all", event.source):
            visitors[source].add(event.visitor_id)
        for item in event.items if event.event_type == "purchase" else ():
            revenue[item.category, event.currency] += item.price_minor * item.quantity
    sales = [Revenue(category, currency, minor) for (category, currency), minor in revenue.items()]
    distinct = {source: len(ids) for source, ids in visitors.items()}
    return Window(start_ms, start_ms + 60_000, len(events), dict(counts), sales, distinct)


def test_a_file_that_is_sent_again_is_in_the_topic_once(
    pipeline_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the first run is interrupted, and if the file has grown."""
    config = with_map(pipeline_config, "segment")
    monkeypatch.setattr(sending, "BATCH", 7)
    values = layouts.sample("segment")
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(values))

    def interrupt(sent: sending.Sent) -> None:
        if sent.events >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sending.send(config, file, progress=interrupt)
    again = sending.send(config, file)
    assert (again.before, again.events) == (14, len(values) - 14)
    assert sending.send(config, file).events == 0
    read = [message.value() for message in topics.read(config.kafka, config.kafka.events_topic)]
    assert Counter(read) == Counter(values)


def test_a_file_is_sent_at_a_rate(pipeline_config: Config, tmp_path: Path) -> None:
    """The times at which the broker got the events show the rate."""
    config = with_map(pipeline_config, "segment")
    values = layouts.sample("segment") * 3
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(values))
    started_s = time.monotonic()
    assert sending.send(config, file, rate_hz=60).events == len(values)
    assert time.monotonic() - started_s >= len(values) / 60 - 0.1
    times_ms = [message.timestamp()[1] for message in topics.read(config.kafka, config.kafka.events_topic)]
    spread_s = (max(times_ms) - min(times_ms)) / 1000
    # The last half second of events comes at once.
    assert len(values) / 60 - 1.0 <= spread_s <= len(values) / 60 + 5.0


def test_a_corrected_dead_letter_of_another_layout_counts(pipeline_config: Config) -> None:
    """The replay judges with the map, as the job does, and the letter says where the map looked."""
    config = with_map(pipeline_config, "segment")
    counted = next(
        value
        for value, read in zip(layouts.sample("segment"), layouts.read("segment"), strict=True)
        if isinstance(read, layouts.Read)
    )
    broken = json.dumps(json.loads(counted) | {"timestamp": "yesterday"}).encode()
    with pipeline.submitted(config), pipeline.sinking(config):
        pipeline.send(config, [(0, 1_760_000_000_000, broken)])
        deadline_s = time.monotonic() + pipeline.ROWS_WITHIN_SECONDS
        while not (letters := list(dead_letters.read(config))) and time.monotonic() < deadline_s:
            time.sleep(0.2)
        (letter,) = letters
        assert letter.raw == broken
        assert letter.field == "event_time"
        assert letter.places == "/timestamp or /originalTimestamp or /receivedAt"
        (kept,) = dead_letters.replay(config, [letter])
        assert kept.outcome == "still refused"
        corrected = msgspec.structs.replace(letter, raw_base64=base64.b64encode(counted).decode())
        (sent,) = dead_letters.replay(config, [corrected])
        assert sent.outcome == "sent", sent
        while time.monotonic() < deadline_s:
            rows = make_sink(config, "duckdb").read(0, 2**52)
            if sum(row.event_count or 0 for row in rows if row.metric == "event_count") == 1:
                return
            time.sleep(0.2)
    raise AssertionError("the corrected event does not count")
