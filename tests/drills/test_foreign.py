"""Promises: nothing that other producers, brokers and people do stops the pipeline for good: values too large for a
dead letter, every codec, impossible timestamps, a recreated topic, a second submission, a result of another release."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from rtea import config as configuration
from rtea import dead_letters, topics
from rtea.config import Config
from rtea.errors import ConfigError, JobError, MissingTopicError
from rtea.job import cluster
from rtea.job import submit as job
from rtea.sinks import identity, result, runner
from rtea.sinks.registry import make_sink
from rtea.sinks.result import DEAD_LETTERS, WindowResult
from tests.drills import load
from tests.drills.test_input import event
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)

WINDOW_START_MS = load.START_MS // load.WINDOW_MS * load.WINDOW_MS


def close_window(config: Config, number: int = 2) -> None:
    """Let event time pass the first window."""
    later_ms = load.START_MS + number * load.WINDOW_MS
    load.produce(config, [event(event_id=str(n), event_time=later_ms) for n in range(4)], timestamp_ms=later_ms)


def purchases(config: Config) -> int:
    """Purchases that the first window's rows count."""
    rows = make_sink(config, "duckdb").read(WINDOW_START_MS, WINDOW_START_MS + 1)
    return sum(row.event_count or 0 for row in rows if row.dimension == "purchase_mobile")


def counts_all(config: Config, wanted: int) -> None:
    load.wait_until(lambda: purchases(config) == wanted, 60, f"{wanted} purchases are counted")


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        pytest.param(event(page_url="x" * 3_000_000), "gzip", marks=pytest.mark.quick, id="3 MB of x"),
        pytest.param(b" " * 10_000_000, "lz4", id="10 MB of spaces"),
    ],
)
def test_a_value_too_large_for_a_dead_letter_is_cut_and_the_others_count(
    drilled: Config, value: bytes, codec: str
) -> None:
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        started_ms = load.started_ms(drilled, job_id)
        load.produce(drilled, [event(), value, event(), event()], codec)
        close_window(drilled)
        counts_all(drilled, 3)
        (letter,) = dead_letters.read(drilled)
        assert load.started_ms(drilled, job_id) == started_ms, "the job was restarted"
    assert (letter.reason, letter.is_truncated) == ("too_large", True)
    assert (letter.size_bytes, letter.sha256) == (len(value), hashlib.sha256(value).hexdigest())
    assert value.startswith(letter.raw or b"?")
    assert letter.partition == 1


def test_late_orders_with_many_lines_become_dead_letters_that_fit(drilled: Config) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=0, max_dimensions=20_000, deduplicate_orders=True)
    items = [{"product_id": "p", "category": f"{n:064}", "price": 1.0} for n in range(2_000)]
    orders = [event(event_id=str(n), order_id=str(n), items=items) for n in range(8)]
    with pipeline.submitted(config) as job_id, pipeline.sinking(config):
        close_window(config)
        close_window(config, 4)
        load.wait_until(
            lambda: bool(make_sink(config, "duckdb").read(0, load.START_MS + 3 * load.WINDOW_MS)),
            60,
            "a window has fired",
        )
        started_ms = load.started_ms(config, job_id)
        load.produce(config, orders, "zstd")
        load.wait_until(lambda: late_events(config) == 8, 60, "the late events are letters")
        assert load.started_ms(config, job_id) == started_ms, "the job was restarted"
    assert not any(letter.is_truncated for letter in dead_letters.read(config))


def late_events(config: Config) -> int:
    return sum(letter.events for letter in dead_letters.read(config) if letter.reason == "late")


@pytest.mark.parametrize(
    "by_topic",
    [pytest.param(False, marks=pytest.mark.quick, id="by the producer"), pytest.param(True, id="by the topic")],
)
def test_records_of_every_kafka_codec_are_counted(drilled: Config, by_topic: bool) -> None:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        started_ms = load.started_ms(drilled, job_id)
        for codec in codecs:
            if by_topic:
                name = "uncompressed" if codec == "none" else codec
                load.alter_topic(drilled, drilled.kafka.events_topic, "compression.type", name)
            load.produce(drilled, [event(event_id=f"{codec}{n}") for n in range(40)], "none" if by_topic else codec)
        close_window(drilled)
        counts_all(drilled, 200)
        assert load.started_ms(drilled, job_id) == started_ms, "the job was restarted"


@pytest.mark.quick
def test_the_timestamps_of_records_decide_nothing(drilled: Config) -> None:
    timestamps = [-62135596800001, -1, 0, 2**62, -(2**62), 253_402_300_800_000, time.time_ns() // 1_000_000]
    with pipeline.submitted(drilled) as job_id, pipeline.sinking(drilled):
        started_ms = load.started_ms(drilled, job_id)
        for number, timestamp_ms in enumerate(timestamps):
            load.produce(drilled, [event(event_id=f"t{number}")], timestamp_ms=timestamp_ms)
        load.produce(drilled, [event(event_id=str(n)) for n in range(4)])
        close_window(drilled)
        counts_all(drilled, len(timestamps) + 4)
        assert load.started_ms(drilled, job_id) == started_ms, "the job was restarted"
        assert not list(dead_letters.read(drilled))


@pytest.mark.quick
def test_a_sink_leaves_out_results_that_no_table_can_hold(drilled: Config, caplog: pytest.LogCaptureFixture) -> None:
    def window(start_ms: int) -> bytes:
        rows = [result.Row("event_count", "page_view_mobile", "", 4, None, None, None)]
        found = WindowResult(result.VERSION, start_ms, start_ms + load.WINDOW_MS, 1, 4, "", rows)
        return msgspec.msgpack.encode(found)

    old = msgspec.msgpack.encode([1, -(2**62), -(2**62) + 5_000, 1, []])
    producer = Producer(topics.connection(drilled.kafka))
    for number, value in enumerate([window(-62135596800001), old, b"junk", b"", window(load.START_MS)]):
        producer.produce(drilled.kafka.results_topic, value, str(number))
    assert producer.flush(30) == 0
    with pipeline.sinking(drilled):
        pipeline.wait_for_rows(drilled)
    assert [row.window_start_ms for row in make_sink(drilled, "duckdb").read(0, 2**52)] == [load.START_MS]
    aside = [record.message for record in caplog.records if "it is left out" in record.message]
    assert len(aside) == 4
    assert all(drilled.kafka.results_topic in line for line in aside)


def make_again(config: Config, topic: str, partitions: int) -> None:
    """Delete a topic and create it again with the same name."""
    admin = AdminClient(topics.connection(config.kafka))
    before = topics.find_id(config.kafka, topic)
    admin.delete_topics([topic])[topic].result(30)

    def made() -> bool:
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
        except Exception:  # The old one is still going.
            return False
        return True

    def has_another_id() -> bool:
        try:
            return topics.find_id(config.kafka, topic) != before
        except MissingTopicError:  # Not known everywhere yet.
            return False

    load.wait_until(made, 60, "the topic is recreated")
    load.wait_until(has_another_id, 30, "its id is known")


@pytest.mark.quick
def test_a_job_refuses_its_recreated_topic_with_the_remedy(drilled: Config) -> None:
    with pipeline.submitted(drilled) as job_id:
        load.produce(drilled, [event(event_id=str(n)) for n in range(400)])
        load.wait_until(
            lambda: cluster.checkpoint_status(drilled, job_id).completed_checkpoints > 2, 60, "offsets are kept"
        )
        make_again(drilled, drilled.kafka.events_topic, 4)
        load.produce(drilled, [event(event_id=str(n)) for n in range(2_000)])
        load.wait_until(lambda: "recreated" in cluster.root_cause(drilled, job_id), 60, "the job fails")
        cause = cluster.root_cause(drilled, job_id)
    assert f"topic {drilled.kafka.events_topic} was deleted and recreated" in cause
    assert "submit the job without a savepoint" in cause


def test_a_savepoint_of_another_topic_is_refused_with_the_remedy(drilled: Config) -> None:
    job_id = job.submit(drilled)
    load.produce(drilled, [event(event_id=str(n)) for n in range(400)])
    load.wait_until(
        lambda: cluster.checkpoint_status(drilled, job_id).completed_checkpoints > 2, 60, "offsets are kept"
    )
    savepoint = job.stop(drilled, job_id)
    make_again(drilled, drilled.kafka.events_topic, 4)
    load.produce(drilled, [event(event_id=str(n)) for n in range(2_000)])
    with pytest.raises(JobError, match=r"was deleted and recreated: its id is .* without a savepoint"):
        job.submit(drilled, savepoint=savepoint)
    with pipeline.submitted(drilled), pipeline.sinking(drilled):  # The remedy.
        close_window(drilled)
        counts_all(drilled, 2_000)


@pytest.mark.quick
def test_a_sink_refuses_a_recreated_results_topic_with_the_remedy(
    drilled: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "LOOK_SECONDS", 0.5)
    sink, stop, errors = make_sink(drilled, "duckdb"), threading.Event(), []

    def run() -> None:
        try:
            runner.run(drilled, sink, stop)
        except MissingTopicError as error:
            errors.append(str(error))

    running = threading.Thread(target=run)
    running.start()
    try:
        load.wait_until(lambda: drilled.sink.duckdb_path.exists(), 30, "the sink runs")
        make_again(drilled, drilled.kafka.results_topic, 1)
        running.join(60)
    finally:
        stop.set()
        running.join()
    assert len(errors) == 1
    assert "was deleted and recreated" in errors[0]
    assert "choose another sink.group_id" in errors[0]


@pytest.mark.quick
def test_a_resumed_run_refuses_a_recreated_topic(drilled: Config, tmp_path: Path) -> None:
    pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(5, speed="0"))
    whole = (tmp_path / "m.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "m.jsonl").write_bytes(b"".join(whole[:-1]))
    make_again(drilled, drilled.kafka.events_topic, 4)
    resumed = load.rtea_gen(drilled, "--manifest", str(tmp_path / "m.jsonl"), "--resume", "--events", "80000")
    assert resumed.returncode == 2
    assert "was deleted and recreated since" in resumed.stderr
    assert "start a new run without --resume" in resumed.stderr


def test_a_second_job_on_the_same_topics_is_refused_unless_wanted(drilled: Config) -> None:
    with pipeline.submitted(drilled) as job_id:
        with pytest.raises(JobError, match=f"job {job_id} writes topic .* already: .* --another"):
            job.submit(drilled)
        another = job.submit(drilled, another=True)
        assert another != job_id
        status = [sys.executable, "-m", "rtea", "job", "status"]
        environment = os.environ | configuration.as_environment(drilled) | {"COLUMNS": "40"}
        listed = subprocess.run(status, env=environment, capture_output=True, text=True, check=True).stdout
        assert job_id in listed
        assert another in listed
        with pytest.raises(JobError, match="is unknown to the cluster: `rtea job status` lists its jobs"):
            job.cancel(drilled, f"{another}0")
        assert job.cancel(drilled, another[:12]) == another


def test_two_submissions_at_once_keep_their_own_settings(stack: Config, tmp_path: Path) -> None:
    from tests.conftest import with_own_topics

    configs = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        own = with_own_topics(stack, tmp_path / str(number))
        configs.append(load.drill_config(own, parallelism=1, window_ms=(number + 1) * 5_000))
    found: dict[int, str] = {}
    threads = [threading.Thread(target=lambda n=n: found.__setitem__(n, job.submit(configs[n]))) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        for number, config in enumerate(configs):
            with pipeline.sinking(config):
                load.produce(config, [event(event_id=str(n)) for n in range(8)])
                close_window(config, 6)
                load.wait_until(lambda: bool(first_rows(config)), 60, "its window is written")  # noqa: B023
            lengths = {row.window_end_ms - row.window_start_ms for row in first_rows(config)}
            assert lengths == {(number + 1) * 5_000}
    finally:
        for number, job_id in found.items():
            job.cancel(configs[number], job_id)


def first_rows(config: Config) -> list[object]:
    rows = make_sink(config, "duckdb").read(load.START_MS - 60_000, load.START_MS + 1)
    return [row for row in rows if row.metric == "event_count"]


@pytest.mark.quick
def test_a_new_table_from_the_compacted_topic_equals_the_live_table(drilled: Config, tmp_path: Path) -> None:
    config = load.drill_config(drilled, allowed_lateness_ms=3_600_000, deduplicate_orders=True)
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *load.arguments(40, speed="0"))
        pipeline.assert_rows_match(config, sent, least_windows=6)
        # Corrections, one after the other; the last ones repeat an order with another amount, category and visitor.
        for number in range(30):
            late = event(event_id=f"l{number}", order_id=f"o{number % 20}", visitor_id=f"v{number}",
                         items=[{"product_id": "p", "category": f"c{number % 7}", "price": 1.0 + number}])  # fmt: skip
            load.produce(config, [late])
        first = sent.windows[0]
        load.wait_until(
            lambda: any(
                row.revision == first.events + 30
                for row in make_sink(config, "duckdb").read(first.window_start_ms, first.window_start_ms + 1)
                if row.metric != DEAD_LETTERS
            ),
            60,
            "every correction is there",
        )
        live = load.rows(config, sent)
    newest: dict[bytes, WindowResult] = {}
    greatest: dict[bytes, tuple[int, int, bool]] = {}
    for key, found in load.results(config):
        newest[key] = found  # What compaction keeps.
        greatest[key] = max(found.age, greatest.get(key, found.age))
    assert {key: found.age for key, found in newest.items()} == greatest
    fresh = config.model_copy(
        update={"sink": config.sink.model_copy(update={"duckdb_path": tmp_path / "fresh.duckdb"})}
    )
    with pipeline.sinking(fresh):
        load.wait_until(lambda: load.rows(fresh, sent) == live, 60, "a new table equals the live one")


@pytest.mark.quick
def test_a_backfill_with_other_settings_replaces_whole_windows(drilled: Config, tmp_path: Path) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        sent = pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(40, speed="0"))
        pipeline.assert_rows_match(drilled, sent, least_windows=6)
        narrow = load.drill_config(drilled, max_dimensions=2, categories=(), currencies=())
        start_ms, end_ms = (sent.windows[n].window_start_ms for n in (1, 4))
        job.backfill(narrow, start_ms, end_ms)

        def dimensions(number: int) -> set[str]:
            start_ms = sent.windows[number].window_start_ms
            rows = make_sink(drilled, "duckdb").read(start_ms, start_ms + 1)
            return {row.dimension for row in rows if row.metric == "revenue"}

        load.wait_until(lambda: all(len(dimensions(n)) == 3 for n in (1, 2, 3)), 60, "three windows are replaced")
        assert len(dimensions(0)) > 3
        assert len(dimensions(4)) > 3
        assert all("(other)" in dimensions(n) for n in (1, 2, 3))
        generations = {
            row.generation for row in make_sink(drilled, "duckdb").read(start_ms, end_ms) if row.metric != DEAD_LETTERS
        }
        assert len(generations) == 1, "nothing of the older generation is left"
        with pytest.raises(ConfigError, match=r"job.window_ms is 10000, but topic .* holds windows of 5000 ms"):
            job.backfill(
                load.drill_config(drilled, window_ms=10_000), start_ms - start_ms % 10_000, end_ms - end_ms % 10_000
            )


def test_refused_events_make_few_results_and_the_last_one_is_complete(drilled: Config) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        started_s = time.monotonic()
        for number in range(40):
            load.produce(drilled, [b"", b"", event(event_id=str(number)), b""])
            load.wait_s(0.1)
        seconds = time.monotonic() - started_s

        def counted() -> int:
            rows = make_sink(drilled, "duckdb").read(WINDOW_START_MS, WINDOW_START_MS + 1)
            return sum(row.event_count or 0 for row in rows if row.metric == DEAD_LETTERS)

        load.wait_until(lambda: counted() == 120, 30, "all are counted")
    told = [found for _, found in load.results(drilled) if not found.is_of_events]
    assert 1 <= len(told) <= seconds + 2
    assert told[-1].revision == 120


def test_a_dead_letter_whose_original_would_count_now_is_not_sent_back(drilled: Config, tmp_path: Path) -> None:
    strict = load.drill_config(drilled, max_event_bytes=300)
    long = event(page_url="x" * 300)
    with pipeline.submitted(strict):
        load.produce(strict, [long, event(event_id="k", source="kiosk")])
        load.wait_until(lambda: len(list(dead_letters.read(strict))) == 2, 60, "the letters are there")
    letters = list(dead_letters.read(drilled))
    corrected = [
        msgspec.structs.replace(letter, value=(letter.raw or b"").decode().replace("kiosk", "website"))
        for letter in letters
    ]
    outcomes = {each.letter.reason: (each.outcome, each.problem) for each in dead_letters.judge(drilled, corrected)}
    assert outcomes["invalid_value"] == ("sent", "")
    assert outcomes["too_large"][0] == "counts already"
    assert "recompute its window with `rtea job submit --from --to`" in outcomes["too_large"][1]
    assert list(dead_letters.replay(drilled, corrected))
    # Replay or backfill, never both: every event counts once.
    with pipeline.sinking(drilled):
        close_window(drilled)
        job.backfill(drilled, WINDOW_START_MS, WINDOW_START_MS + load.WINDOW_MS)
        rows = make_sink(drilled, "duckdb")
        load.wait_until(lambda: len(rows.read(WINDOW_START_MS, WINDOW_START_MS + 1)) > 0, 60, "the window is written")
        counts = {
            row.dimension: row.event_count
            for row in rows.read(WINDOW_START_MS, WINDOW_START_MS + 1)
            if row.metric == "event_count"
        }
    assert counts == {"purchase_mobile": 1, "purchase_website": 1}
