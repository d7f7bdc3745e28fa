"""Promises: events count in the windows of their own times, no matter who sent them and when they came; a quiet topic
closes its windows; nothing that holds records back makes them late."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from rtea import dead_letters, topics
from rtea.config import Config
from rtea.job import cluster
from rtea.job import submit as job
from rtea.sinks import result, runner
from rtea.sinks.contract import Limits, StoredRow
from rtea.sinks.duckdb import DuckDbSink
from rtea.sinks.registry import make_sink
from rtea.sinks.result import DEAD_LETTERS, Row, WindowResult
from rtea.stack import rest
from tests.drills import load
from tests.drills.test_input import event
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def window_of(time_ms: int) -> int:
    return time_ms // load.WINDOW_MS * load.WINDOW_MS


class Sender:
    """Sends events of given times, and counts them by window as a naive reader would."""

    def __init__(self, config: Config) -> None:
        self._topic = config.kafka.events_topic
        self._producer = Producer(topics.connection(config.kafka) | {"linger.ms": 0})
        self.sent: Counter[int] = Counter()

    def send(self, times_ms: Iterable[int], *, partition: int | None = None, timestamp_ms: int | None = None) -> None:
        """Send an event for each time. Without a partition, one after the other; without a timestamp, the clock's."""
        for time_ms in times_ms:
            number = self.sent.total()
            self.sent[window_of(time_ms)] += 1
            place = number % 4 if partition is None else partition
            stamp = now_ms() if timestamp_ms is None else timestamp_ms
            self._producer.produce(
                self._topic, event(event_id=f"e{number}", event_time=time_ms), partition=place, timestamp=stamp
            )
        assert self._producer.flush(30) == 0


def counted(config: Config, start_ms: int = 0, end_ms: int = 2**52) -> dict[int, tuple[int, bool]]:
    """Events and finality of the table's windows."""
    rows: dict[int, list[StoredRow]] = {}
    for row in make_sink(config, "duckdb").read(start_ms, end_ms):
        if row.metric == "event_count":
            rows.setdefault(row.window_start_ms, []).append(row)
    return {
        start: (sum(row.event_count or 0 for row in mine), all(row.is_final for row in mine))
        for start, mine in rows.items()
    }


def events_counted(config: Config) -> dict[int, int]:
    return {start: events for start, (events, _) in counted(config).items()}


def results(config: Config) -> Iterator[WindowResult]:
    """All results of counted events that the job wrote, in order."""
    return (found for _, found in load.results(config) if found.is_of_events)


@pytest.mark.quick
def test_a_quiet_topic_closes_its_window_and_a_later_event_corrects_it(drilled: Config) -> None:
    sender = Sender(drilled)
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        time_ms = now_ms()
        window_ms = window_of(time_ms)
        sender.send([time_ms])
        due_ms = window_ms + load.WINDOW_MS + drilled.job.idle_timeout_ms + drilled.job.watermark_delay_ms + 2_000
        load.wait_until(lambda: counted(drilled).get(window_ms) == (1, True), 60, "the row is there")
        assert now_ms() <= due_ms
        sender.send([time_ms])
        load.wait_until(lambda: counted(drilled).get(window_ms) == (2, True), 30, "the row is corrected")
        assert not list(dead_letters.read(drilled))


@pytest.mark.quick
def test_an_open_window_has_early_rows_until_it_is_final(drilled: Config) -> None:
    # A window of the past that no idle partition closes.
    config = load.drill_config(drilled, early_rows_ms=500, idle_timeout_ms=HOUR_MS)
    sender = Sender(config)
    first_ms = window_of(load.START_MS)
    with pipeline.submitted(config), pipeline.sinking(config):
        for number in range(1, 4):
            sender.send([first_ms] * 4)
            wanted = (4 * number, False)
            load.wait_until(lambda wanted=wanted: counted(config).get(first_ms) == wanted, 60, "early rows")  # type: ignore[misc]
        sender.send([first_ms + 2 * load.WINDOW_MS] * 4)
        load.wait_until(lambda: counted(config).get(first_ms) == (12, True), 30, "the rows are final")


@pytest.mark.quick
def test_one_clock_of_a_hundred_minutes_ahead_makes_nobody_late(drilled: Config) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=0)
    sender = Sender(config)
    with pipeline.submitted(config), pipeline.sinking(config):
        sender.send([now_ms()] * 4)
        load.wait_until(lambda: bool(counted(config)), 60, "the job runs")
        until_s = time.monotonic() + 4 * load.WINDOW_MS / 1_000
        while time.monotonic() < until_s:
            time_ms = now_ms()
            # Each phone's event comes up to a second after it happened; one clock is four minutes ahead.
            sender.send([time_ms - 10 * number for number in range(99)] + [time_ms + 240_000])
            load.wait_s(0.05)
        load.wait_until(lambda: events_counted(config) == sender.sent, 60, "every event is counted where it belongs")
        assert not list(dead_letters.read(config)), "no event was too late"


def test_a_phone_that_sends_an_hour_of_buffered_events_disturbs_nobody(drilled: Config) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=2 * HOUR_MS)
    sender = Sender(config)
    with pipeline.submitted(config), pipeline.sinking(config):
        sender.send([now_ms()] * 4)
        load.wait_until(lambda: any(final for _, final in counted(config).values()), 60, "the first window is closed")
        began_ms = now_ms()
        for burst in range(20):
            time_ms = now_ms()
            sender.send([time_ms] * 40)
            if burst == 10:
                sender.send(range(began_ms - HOUR_MS, began_ms, 10_000), partition=2)
            load.wait_s(0.5)
        load.wait_until(lambda: events_counted(config) == sender.sent, 60, "every event is counted where it belongs")
        assert not list(dead_letters.read(config))
        old = Counter(each.window_start_ms for each in results(config) if each.window_start_ms < began_ms - 60_000)
    assert len(old) > 300
    assert max(old.values()) == 1, "each window of the past was written once"


@pytest.mark.quick
def test_a_topic_of_log_append_time_gives_the_rows_of_the_events_own_times(drilled: Config, tmp_path: Path) -> None:
    load.alter_topic(drilled, drilled.kafka.events_topic, "message.timestamp.type", "LogAppendTime")
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        sent = pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(60, speed="0"))
        pipeline.assert_rows_match(drilled, sent, least_windows=10)


@pytest.mark.quick
def test_an_open_transaction_holds_the_watermark_back(drilled: Config) -> None:
    config = load.drill_config(drilled, idle_timeout_ms=1_000, allowed_lateness_ms=0)
    sender = Sender(config)
    settings = {"transactional.id": config.kafka.events_topic, "transaction.timeout.ms": 60_000}
    producer = Producer(topics.connection(config.kafka) | settings)
    producer.init_transactions()
    with pipeline.submitted(config), pipeline.sinking(config):
        began_ms = now_ms()
        sender.send([began_ms] * 4)
        producer.begin_transaction()
        held = [event(event_id=f"t{number}", event_time=began_ms + 1_000 * number) for number in range(10)]
        for value in held:
            producer.produce(config.kafka.events_topic, value, partition=1)
        producer.flush(30)
        for _ in range(15):
            sender.send([now_ms()], partition=0)
            load.wait_s(1)
        assert not any(final for _, final in counted(config).values()), "a closed window would make them late"
        producer.commit_transaction()
        sender.sent.update(window_of(began_ms + 1_000 * number) for number in range(10))
        load.wait_until(lambda: events_counted(config) == sender.sent, 60, "every event is counted")
        assert not list(dead_letters.read(config))


@pytest.mark.quick
@pytest.mark.parametrize("has_times", [True, False], ids=["records have times", "records have none"])
def test_a_record_far_ahead_hides_no_event_from_a_backfill(drilled: Config, has_times: bool) -> None:
    sender = Sender(drilled)
    span_ms = (window_of(load.START_MS), window_of(load.START_MS) + 4 * load.WINDOW_MS)
    ahead_ms = load.START_MS + 50 * 60_000
    for partition in range(4):
        sender.send([ahead_ms], partition=partition, timestamp_ms=ahead_ms if has_times else 1)
    for time_ms in range(span_ms[0], span_ms[1], 50):
        sender.send([time_ms], timestamp_ms=time_ms if has_times else 1)
    with pipeline.sinking(drilled):
        job.backfill(drilled, *span_ms)
        wanted = {start: (events, True) for start, events in sender.sent.items() if start < span_ms[1]}
        assert sum(events for events, _ in wanted.values()) == 400
        load.wait_until(lambda: counted(drilled) == wanted, 30, "all events of the span are counted")


def test_a_restored_job_keeps_its_watermark_through_a_pause(drilled: Config) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=0, idle_timeout_ms=1_000)
    sender = Sender(config)
    first_ms, second_ms = window_of(load.START_MS), window_of(load.START_MS) + 2 * load.WINDOW_MS
    # They are there before the job: a partition that is idle first lets others go on without it.
    sender.send([first_ms] * 4 + [second_ms] * 4)
    with pipeline.sinking(config):
        with pipeline.submitted(config) as job_id:
            load.wait_until(lambda: counted(config).get(first_ms) == (4, True), 60, "the first window is closed")
            savepoint = job.stop(config, job_id)
        job_id = job.submit(config, savepoint=savepoint)
        try:
            load.wait_s(2 * config.job.idle_timeout_ms / 1_000)
            sender.send([first_ms])
            letters = lambda: [letter.reason for letter in dead_letters.read(config)]  # noqa: E731
            load.wait_until(lambda: letters() == ["late"], 30, "the event is too late")
            assert counted(config)[first_ms] == (4, True)
        finally:
            job.cancel(config, job_id)


def test_many_late_events_make_few_results_and_the_last_one_has_them_all(drilled: Config) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=HOUR_MS)
    sender = Sender(config)
    first_ms = window_of(load.START_MS)
    with pipeline.submitted(config), pipeline.sinking(config):
        sender.send([first_ms] * 4 + [first_ms + 2 * load.WINDOW_MS] * 4)
        load.wait_until(lambda: counted(config).get(first_ms) == (4, True), 60, "the first window is closed")
        began_s = time.monotonic()
        for _ in range(200):
            sender.send([first_ms])
            load.wait_s(0.02)
        load.wait_until(lambda: counted(config)[first_ms] == (204, True), 60, "all late events are counted")
        seconds = time.monotonic() - began_s
        corrections = [each for each in results(config) if each.window_start_ms == first_ms and each.revision > 4]
    assert len(corrections) <= seconds + 1, "one a second at most"
    assert corrections[-1].revision == 204


def test_a_window_that_closes_for_good_writes_its_last_correction(drilled: Config) -> None:
    """Without it, a correction that still waits would be lost with the window."""
    config = load.drill_config(drilled, allowed_lateness_ms=60_000, late_rows_ms=600_000)
    sender = Sender(config)
    first_ms = window_of(load.START_MS)
    with pipeline.submitted(config), pipeline.sinking(config):
        sender.send([first_ms] * 4 + [first_ms + 2 * load.WINDOW_MS] * 4)
        load.wait_until(lambda: counted(config).get(first_ms) == (4, True), 60, "the first window is closed")
        sender.send([first_ms] * 3)
        sender.send([first_ms + 120_000] * 4)
        load.wait_until(lambda: counted(config).get(first_ms) == (7, True), 30, "the correction came")
        assert not [row for row in make_sink(config, "duckdb").read(0, 2**52) if row.metric == DEAD_LETTERS]


class Costly(DuckDbSink):
    """A sink whose batches cost money."""

    limits = Limits(early_interval_s=600)


@pytest.mark.quick
def test_early_results_wait_for_a_final_one_where_batches_cost_money(drilled: Config, tmp_path: Path) -> None:
    sink = Costly(tmp_path / "costly.duckdb", "metrics")
    producer = Producer(topics.connection(drilled.kafka))
    batches: list[list[tuple[int, bool]]] = []
    stop = threading.Event()

    def observe(written: Sequence[WindowResult], _: int) -> None:
        batches.append([(each.revision, each.is_final) for each in written])

    def publish(*results: tuple[int, bool]) -> None:
        for revision, is_final in results:
            rows = [Row("event_count", "search_mobile", "", revision, None, None, None)]
            value = WindowResult(result.VERSION, 0, 60_000, 1, revision, "", rows, is_final)
            producer.produce(drilled.kafka.results_topic, msgspec.msgpack.encode(value), b"0")
        assert producer.flush(30) == 0

    runs = threading.Thread(target=runner.run, args=(drilled, sink, stop, observe))
    runs.start()
    try:
        publish((1, False))
        load.wait_until(lambda: len(batches) == 1, 60, "the first batch")
        publish((2, False), (3, False))
        load.wait_s(2)
        publish((4, True))
        load.wait_until(lambda: len(batches) == 2, 30, "the final result")
    finally:
        stop.set()
        runs.join()
    assert batches == [[(1, False)], [(2, False), (3, False), (4, True)]]
    assert [(row.revision, row.is_final) for row in sink.read(0, 1)] == [(4, True)]


@pytest.mark.quick
def test_a_drain_gives_the_last_corrections_also_after_a_restart(drilled: Config) -> None:
    """Nothing is read between the restart and the drain: the source is idle then. Final rows stay final."""
    config = load.drill_config(drilled, allowed_lateness_ms=HOUR_MS, late_rows_ms=600_000, idle_timeout_ms=1_000)
    sender, old_ms = Sender(config), window_of(now_ms() - 600_000)

    def newest() -> tuple[int, bool]:
        found = [each for each in results(config) if each.window_start_ms == old_ms]
        return (found[-1].revision, found[-1].is_final) if found else (0, False)

    def completed() -> int:
        return cluster.checkpoint_status(config, job_id).completed_checkpoints

    with pipeline.submitted(config) as job_id:
        sender.send([old_ms] * 40)
        load.wait_until(lambda: newest() == (40, True), 60, "the window is final")
        sender.send([old_ms] * 7)
        enough = completed() + 2
        load.wait_until(lambda: completed() >= enough, 60, "a checkpoint has them")
        before_ms = load.started_ms(config, job_id)
        pipeline.kill(config, "taskmanager")
        load.wait_until(lambda: load.runs_since(config, job_id, before_ms), 60, "the job runs again")
        assert newest() == (40, True), "the correction waits for others"
        rest.post(config, f"/jobs/{job_id}/stop", {"drain": True})
        load.wait_until(lambda: newest() == (47, True), 60, "the correction comes at the end")
