"""Promises about time: no record from the future makes other events late; the table counts events beyond the allowed
lateness by window; the job reads partitions that are added while it runs; windows at the end of a month or a year are
like all others."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from rtea import dead_letters, manifest, topics
from rtea.config import Config
from rtea.sinks import result
from rtea.sinks.registry import make_sink
from rtea.sinks.result import DEAD_LETTERS
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

DAY_MS = 86_400_000


def refused(config: Config, window_start_ms: int) -> dict[str, int | None]:
    """The counts of refused events of a window, by reason."""
    rows = make_sink(config, "duckdb").read(window_start_ms, window_start_ms + 1)
    return {row.dimension: row.event_count for row in rows if row.metric == DEAD_LETTERS}


def search(time_ms: int, number: int) -> bytes:
    head = f'{{"event_id":"f{number}","event_type":"search","source":"mobile","event_time":{time_ms}'
    return f'{head},"visitor_id":"v"}}'.encode()


@pytest.mark.quick
def test_records_from_the_future_do_not_advance_the_watermark(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        with load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            ahead_ms = time.time_ns() // 1_000_000 + DAY_MS
            places = pipeline.send(drilled, [(n, ahead_ms + n, search(ahead_ms + n, n)) for n in range(4)])
        sent = manifest.read(tmp_path / "m.jsonl")
        pipeline.assert_rows_match(drilled, sent, least_windows=10)
        # Where they arrived: their own time cannot be believed.
        arrived = (ahead_ms - DAY_MS - load.WINDOW_MS, ahead_ms - DAY_MS + 600_000)

        def counted() -> int:
            rows = make_sink(drilled, "duckdb").read(*arrived)
            return sum(row.event_count or 0 for row in rows if row.dimension == "future_timestamp")

        load.wait_until(lambda: counted() == 4, 30, "they are counted")
        letters = [letter for letter in dead_letters.read(drilled) if letter.reason == "future_timestamp"]
    assert {(letter.partition, letter.offset): letter.raw for letter in letters} == places
    assert {letter.timestamp_ms - ahead_ms for letter in letters} == {0, 1, 2, 3}
    assert {key: value for key, value in load.rows(drilled, sent).items() if key[1] != DEAD_LETTERS} == {
        key: value for key, value in undisturbed.items() if key[1] != DEAD_LETTERS
    }


def test_late_events_are_counted_by_window_also_after_a_recovery(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=0)
    with pipeline.submitted(config) as job_id, pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"))
        pipeline.assert_rows_match(config, sent, least_windows=10)
        late_ms = load.START_MS + 1
        window_ms = late_ms // load.WINDOW_MS * load.WINDOW_MS
        before = refused(config, window_ms)
        pipeline.send(config, [(n % 4, late_ms, search(late_ms, n)) for n in range(10)])
        load.wait_until(lambda: refused(config, window_ms) == before | {"late": 10}, 30, "they are counted")
        # Flink's own checkpoints hold no watermark: without ours, these would open their window again.
        load.wait_s(3)
        before_ms = load.started_ms(config, job_id)
        pipeline.kill(config, "taskmanager")
        load.wait_until(lambda: load.runs_since(config, job_id, before_ms), 60, "the job runs again")
        pipeline.send(config, [(n % 4, late_ms, search(late_ms, 10 + n)) for n in range(5)])
        load.wait_until(lambda: refused(config, window_ms) == before | {"late": 15}, 60, "they are counted, too")
        load.assert_undisturbed(config, sent, undisturbed, late=15)


def test_counts_that_restart_after_a_day_do_not_replace_greater_ones(drilled: Config) -> None:
    consumer = Consumer(topics.connection(drilled.kafka) | {"group.id": "results", "auto.offset.reset": "earliest"})
    consumer.subscribe([drilled.kafka.results_topic])
    window_ms = load.START_MS // load.WINDOW_MS * load.WINDOW_MS

    def revision() -> int:
        """Of the next result of refused events of the window."""
        while message := consumer.poll(60):
            found = result.decode(message.value() or b"", "results")
            if found.window_start_ms == window_ms and not found.is_of_events:
                return found.revision
        raise AssertionError("no result came")

    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        # A first watermark: before it, nothing is forgotten.
        pipeline.send(drilled, [(n, load.START_MS, search(load.START_MS, n)) for n in range(4)])
        later_ms = load.START_MS + 2 * load.WINDOW_MS
        pipeline.send(drilled, [(n, later_ms, search(later_ms, n)) for n in range(4)])
        load.wait_until(lambda: has_rows(drilled, window_ms - load.WINDOW_MS, later_ms), 60, "a window has fired")
        pipeline.send(drilled, [(0, load.START_MS, b"")])
        assert revision() == 1
        pipeline.send(drilled, [(0, load.START_MS, b"")])
        assert revision() == 2
        after_ms = load.START_MS + 2 * DAY_MS
        pipeline.send(drilled, [(n, after_ms, search(after_ms, n)) for n in range(4)])
        load.wait_until(lambda: has_rows(drilled, later_ms, after_ms), 60, "the days have passed")
        pipeline.send(drilled, [(0, load.START_MS, b"")])
        assert revision() == 1
        consumer.close()
        # The sink has seen it as well when it has written what came after it.
        last_ms = after_ms + 2 * load.WINDOW_MS
        pipeline.send(drilled, [(n, last_ms, search(last_ms, n)) for n in range(4)])
        load.wait_until(lambda: has_rows(drilled, after_ms - load.WINDOW_MS, last_ms), 60, "a later window is written")
        assert refused(drilled, window_ms) == {"empty": 2}


def has_rows(config: Config, start_ms: int, end_ms: int) -> bool:
    rows = make_sink(config, "duckdb").read(start_ms, end_ms)
    return any(row.metric == "event_count" for row in rows)


def test_partitions_added_while_the_job_runs_are_read(drilled: Config, tmp_path: Path) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        first = pipeline.generated(drilled, tmp_path / "1.jsonl", *load.arguments(20))
        admin = AdminClient(topics.connection(drilled.kafka))
        (future,) = admin.create_partitions([NewPartitions(drilled.kafka.events_topic, 8)]).values()
        future.result(10)
        wider = drilled.model_copy(update={"kafka": drilled.kafka.model_copy(update={"partitions": 8})})
        later = ["--start", str(load.START_MS + 20_000)]
        second = pipeline.generated(wider, tmp_path / "2.jsonl", *load.arguments(40), *later)
        used = [load.count_records(wider, partition) for partition in range(8)]
        assert min(used) > 0
        pipeline.assert_rows_match(wider, second, least_windows=5)
        pipeline.assert_rows_match(drilled, first, least_windows=2)


@pytest.mark.parametrize("start", ["2024-02-29T23:59:30Z", "2025-02-28T23:59:30Z", "2025-12-31T23:59:30Z"])
def test_windows_at_the_end_of_a_month_or_year_are_counted_like_others(
    drilled: Config, tmp_path: Path, start: str
) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        sent = pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"), "--start", start)
        pipeline.assert_rows_match(drilled, sent, least_windows=10)
