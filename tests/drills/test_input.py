"""Promises: whatever is in a topic, the job does not stop, other records still count, and nothing is lost; the number
of dimensions is limited and known rows are kept; an order counts once; a corrected dead letter is sent back once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka import Producer

from rtea import dead_letters, topics
from rtea.config import Config
from rtea.metrics import registry
from rtea.sinks.contract import StoredRow
from rtea.sinks.registry import make_sink
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

MIB = 1_048_576
NAMES = 1_000_000


def event(**fields: object) -> bytes:
    """A purchase at the load's start, with some fields changed."""
    item = {"product_id": "p", "category": "toys", "price": 1.0}
    made = {"event_id": "e", "event_type": "purchase", "source": "mobile", "event_time": load.START_MS,
            "visitor_id": "v", "items": [item]}  # fmt: skip
    return json.dumps(made | fields).encode()


def poison() -> Iterator[tuple[str, bytes | None]]:
    """One of every kind, with the reason it must be refused for; others are valid, oddly written events."""
    good = event()
    price = b'"price": 1.0'
    yield "null_value", None
    yield "empty", b""
    for text in (good[:-1], b"plain text", b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000):
        yield "invalid_json", text
    yield "invalid_json", good.replace(b'"e"', b'"' + b'\\ud800"')
    for number in (b"NaN", b"Infinity", b"1e400"):
        yield "invalid_json", good.replace(price, b'"price": ' + number)
    yield "invalid_utf8", good.replace(b'"v"', b'"\xff"')
    yield "invalid_msgpack", b"\x9f\xc1"
    yield "missing_field", good.replace(b'"source"', b'"origin"')
    yield "wrong_type", good.replace(b'"v"', b"7")
    yield "wrong_type", good.replace(price, b'"price": "1.0"')
    yield "wrong_type", b"[1]"
    yield "invalid_value", event(source="kiosk")
    yield "invalid_value", event(event_type="Not A Type")
    yield "invalid_value", good.replace(price, b'"price": -1')
    yield "too_large", event(page_url="x" * 5 * MIB)


ODD = [
    event(event_type="unheard_of"),
    event().replace(b'"event_id": "e"', b'"event_id": 7, "event_id": "e"'),
    event(event_time="2025-10-09T08:53:20Z", unknown={"deep": [[[]]]}),
]
"""Valid: an unknown type counts under its own name, of a repeated key the last value counts."""


def allow_large_records(config: Config) -> None:
    """Let the topics take values of 5 MB and their letters."""
    load.alter_topic(config, config.kafka.events_topic, "max.message.bytes", str(6 * MIB))
    load.alter_topic(config, config.kafka.dead_letter_topic, "max.message.bytes", str(9 * MIB))


@pytest.mark.quick
def test_every_kind_of_malformed_record_becomes_a_dead_letter_and_the_others_count(
    drilled: Config, tmp_path: Path
) -> None:
    allow_large_records(drilled)
    kinds = list(poison())
    values = [value for _, value in kinds] + list(ODD)
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        started_ms = load.started_ms(drilled, job_id)
        places = pipeline.send(drilled, [(n % 4, load.START_MS, value) for n, value in enumerate(values)])
        later = ["--start", str(load.START_MS + load.WINDOW_MS)]
        sent = pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"), *later)
        pipeline.assert_rows_match(drilled, sent, least_windows=10)
        letters = [letter for letter in dead_letters.read(drilled) if letter.timestamp_ms == load.START_MS]
        ended_ms = load.started_ms(drilled, job_id)
        stored = make_sink(drilled, "duckdb").read(load.START_MS, load.START_MS + 1)
    assert ended_ms == started_ms, "the job was restarted"
    assert sorted(letter.reason for letter in letters) == sorted(reason for reason, _ in kinds)
    assert all(places[letter.partition, letter.offset] == letter.raw for letter in letters)
    assert {(letter.version, letter.topic) for letter in letters} == {(1, drilled.kafka.events_topic)}
    counts = {row.dimension: row.event_count for row in stored if row.metric == "event_count"}
    assert counts == {"unheard_of_mobile": 1, "purchase_mobile": 2}
    refused = {row.dimension: row.event_count for row in stored if row.metric == "dead_letters"}
    assert sum(count or 0 for count in refused.values()) == len(kinds)


def test_a_million_categories_in_a_minute_hide_no_known_row(drilled: Config, tmp_path: Path) -> None:
    config = load.drill_config(drilled, window_ms=60_000)
    start_ms = load.START_MS // 60_000 * 60_000
    producer = Producer(topics.connection(config.kafka) | {"linger.ms": 20, "queue.buffering.max.messages": NAMES})
    with pipeline.submitted(config) as job_id, pipeline.sinking(config):
        started_ms = load.started_ms(config, job_id)
        for number in range(NAMES):
            item = {"product_id": "p", "category": f"!{number}", "price": 1.0}
            value = event(event_id=str(number), event_time=start_ms, items=[item])
            if number % 2:
                value = value.replace(b'"purchase"', b'"a%d"' % number)
            producer.produce(config.kafka.events_topic, value, partition=number % 4, timestamp=start_ms + number // 100)
            producer.poll(0)
        assert producer.flush(60) == 0
        true = ["--start", str(start_ms), "--rate", "1000", "--duration", "200", "--speed", "0", "--procs", "1"]
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *true)

        def counted() -> bool:
            rows = make_sink(config, "duckdb").read(start_ms, start_ms + 1)
            return any(row.revision == sent.windows[0].events + NAMES for row in rows)

        load.wait_until(counted, 120, "the window counts every event")
        pipeline.assert_rows_match(config, sent.__class__(sent.header, sent.windows[1:], sent.end), least_windows=1)
        rows = make_sink(config, "duckdb").read(start_ms, start_ms + 1)
        assert load.started_ms(config, job_id) == started_ms, "the job was restarted"
    limit = config.job.max_dimensions
    counts = {row.dimension: row.event_count for row in rows if row.metric == "event_count"}
    revenue = {(row.dimension, row.currency): row.revenue for row in rows if row.metric == "revenue"}
    truth = sent.windows[0]
    assert {name: counts[name] for name in truth.event_count} == {
        name: count + (NAMES // 2 if name == "purchase_mobile" else 0) for name, count in truth.event_count.items()
    }
    true_revenue = {(r.category, r.currency): Decimal(r.minor).scaleb(-2) for r in truth.revenue}
    assert {name: revenue[name] for name in true_revenue} == true_revenue
    assert len(revenue) == limit + 1
    assert counts["(other)_mobile"] == NAMES // 2 - limit
    assert revenue["(other)", "USD"] == NAMES // 2 - (limit - len(true_revenue))


def test_a_million_products_campaigns_and_sessions_stay_bounded(drilled: Config) -> None:
    """Every metric is on. What has no row of its own is in `(other)`, so that the sums are exact."""
    config = load.drill_config(drilled, window_ms=60_000, metrics=tuple(registry()))
    start_ms = load.START_MS // 60_000 * 60_000
    producer = Producer(topics.connection(config.kafka) | {"linger.ms": 20, "queue.buffering.max.messages": NAMES})
    with pipeline.submitted(config) as job_id, pipeline.sinking(config):
        started_ms = load.started_ms(config, job_id)
        for number in range(NAMES):
            item = {"product_id": f"p{number}", "category": "toys", "price": 1.0}
            names = {"visitor_id": f"v{number}", "session_id": f"s{number}", "campaign": f"c{number}"}
            value = event(event_id=str(number), event_time=start_ms, event_type="product_view", items=[item], **names)
            if number % 10 == 0:
                value = value.replace(b'"product_view"', b'"purchase"')
            producer.produce(config.kafka.events_topic, value, partition=number % 4, timestamp=start_ms + number // 100)
            producer.poll(0)
        assert producer.flush(60) == 0

        def counted() -> bool:
            rows = make_sink(config, "duckdb").read(start_ms, start_ms + 1)
            return any(row.revision == NAMES and row.is_final for row in rows)

        load.wait_until(counted, 120, "the window counts every event")
        rows = make_sink(config, "duckdb").read(start_ms, start_ms + 1)
        assert load.started_ms(config, job_id) == started_ms, "the job was restarted"

    def of(metric: str, prefix: str = "") -> list[StoredRow]:
        return [row for row in rows if row.metric == metric and row.dimension.startswith(prefix)]

    sales = NAMES // 10
    assert sum(row.event_count or 0 for row in of("product_views")) == NAMES - sales
    assert sum(row.event_count or 0 for row in of("product_units")) == sales
    assert sum(row.revenue or 0 for row in of("product_revenue")) == sales
    assert sum(row.event_count or 0 for row in of("audience_events", "campaign:")) == NAMES
    assert sum(row.revenue or 0 for row in of("audience_revenue", "campaign:")) == sales
    assert all(len(of(f"product_{series}")) == config.job.top_products + 1 for series in ("views", "units", "revenue"))
    assert len(of("audience_events", "campaign:")) <= 301
    (sessions,) = [row for row in of("sessions") if row.dimension == "all"]
    assert abs((sessions.unique_visitors or 0) - NAMES) < 3 * 0.00575 * NAMES
    assert len(rows) < 3_000


@pytest.mark.quick
def test_orders_sent_twice_count_once(drilled: Config, tmp_path: Path) -> None:
    config = load.drill_config(drilled, deduplicate_orders=True)
    twice = ["--set", "faults.duplicate_share=0.2"]
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"), *twice)
        assert sent.end.faults["duplicate"] > 0.1 * sum(window.events for window in sent.windows)
        pipeline.assert_rows_match(config, sent, least_windows=10)


def rtea(config: Config, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "rtea", *arguments]
    return subprocess.run(command, env=load.environment(config), capture_output=True, text=True)


@pytest.mark.quick
def test_corrected_dead_letters_are_sent_back_once_and_count(drilled: Config, tmp_path: Path) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=3_600_000)
    wrong = [event(event_id=str(n), source="kiosk") for n in range(20)]
    with pipeline.submitted(config), pipeline.sinking(config):
        pipeline.send(config, [(n % 4, load.START_MS, value) for n, value in enumerate([*wrong, b"hopeless"])])
        load.wait_until(lambda: len(list(dead_letters.read(config))) == 21, 60, "the letters are there")
        shown = rtea(config, "dlq", "show", "--json", "--reason", "invalid_value")
        assert (shown.returncode, shown.stdout.count("\n")) == (0, 20)
        file = tmp_path / "letters.ndjson"
        file.write_text(shown.stdout.replace("kiosk", "website"))
        dry = rtea(config, "dlq", "replay", str(file), "--dry-run")
        assert (dry.returncode, dry.stdout) == (0, "dry run: 20 sent\n")
        command = [sys.executable, "-m", "rtea", "dlq", "replay", str(file)]
        at_once = [subprocess.Popen(command, env=load.environment(config)) for _ in range(2)]
        # The later one may end the earlier one, which then says so.
        assert {replaying.wait(60) for replaying in at_once} <= {0, 11}
        rtea(config, "dlq", "replay", str(file))
        assert rtea(config, "dlq", "replay", str(file)).stdout == "20 sent before\n"
        file.write_text(rtea(config, "dlq", "show", "--json").stdout)
        refused = rtea(config, "dlq", "replay", str(file))
        assert (refused.returncode, refused.stdout) == (1, "1 still refused\n")
        assert "invalid_json" in refused.stderr
        # The window closes when time goes on.
        later = ["--start", str(load.START_MS + load.WINDOW_MS)]
        pipeline.generated(config, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"), *later)

        def counts() -> dict[str, int | None]:
            rows = make_sink(config, "duckdb").read(load.START_MS, load.START_MS + 1)
            return {row.dimension: row.event_count for row in rows if row.metric == "event_count"}

        load.wait_until(lambda: counts() == {"purchase_website": 20}, 60, "the corrected events count")
    shown = rtea(config, "dlq", "show").stdout
    assert "hopeless" in shown
    assert "invalid_json" in shown
