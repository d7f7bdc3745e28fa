"""Promises: stopping with a savepoint, changing the parallelism and continuing changes no row; a backfill writes the
rows of its windows, all of them and no others; reading a topic twice changes nothing in the table."""

import statistics
from pathlib import Path

import duckdb
import pytest
from confluent_kafka import Consumer, TopicPartition

from rtea import manifest, topics
from rtea.config import Config
from rtea.errors import ConfigError, JobError
from rtea.job import cluster
from rtea.job import submit as job
from rtea.sinks import runner
from rtea.sinks.registry import make_sink
from rtea.stack import jars, local
from tests.conftest import stack_config
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(600)


def wait_until_written(config: Config) -> None:
    """Wait until the sink has committed every result there is."""
    group = runner.group_id(config, make_sink(config, "duckdb"))
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": group})
    place = TopicPartition(config.kafka.results_topic, 0)

    def is_written() -> bool:
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        return bool(end and consumer.committed([place], timeout=10)[0].offset == end)

    load.wait_until(is_written, 60, "the sink has written everything")
    consumer.close()


@pytest.mark.quick
def test_rescaling_from_2_to_4_and_back_with_savepoints_under_load(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    job_id = job.submit(drilled)
    try:
        with pipeline.sinking(drilled), load.loaded(drilled, tmp_path / "m.jsonl", SECONDS):
            for parallelism in (4, 2):
                savepoint = job.stop(drilled, job_id)
                # Without the savepoint's offsets it would miss what came before.
                rescaled = load.drill_config(drilled, parallelism=parallelism, start_from="latest")
                job_id = job.submit(rescaled, savepoint=savepoint)
                load.wait_s(5)
        with pipeline.sinking(drilled):
            load.assert_undisturbed(drilled, manifest.read(tmp_path / "m.jsonl"), undisturbed)
    finally:
        job.cancel(drilled, job_id)


@pytest.mark.quick
def test_a_backfill_makes_the_rows_of_its_windows_and_no_others(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"))
    from_ms, to_ms = load.START_MS + 10_000, load.START_MS + 40_000
    job.backfill(drilled, from_ms, to_ms)
    with pipeline.sinking(drilled):
        wait_until_written(drilled)
    found = load.rows_between(drilled, 1, 2**52)
    assert found == {key: value for key, value in undisturbed.items() if from_ms <= key[0] < to_ms}


@pytest.mark.parametrize(("from_ms", "to_ms"), [(10_001, 20_000), (10_000, 20_001), (20_000, 20_000), (30_000, 20_000)])
def test_a_backfill_of_parts_of_windows_is_refused(from_ms: int, to_ms: int) -> None:
    with pytest.raises(ConfigError, match="expected the start of a window and the end of a later one"):
        job.backfill(load.drill_config(Config()), from_ms, to_ms)


def test_reading_a_topic_twice_changes_nothing_in_the_table(
    drilled: Config, tmp_path: Path, undisturbed: load.Rows
) -> None:
    with pipeline.submitted(drilled), pipeline.sinking(drilled):
        sent = pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"))
        load.assert_undisturbed(drilled, sent, undisturbed)
        wait_until_written(drilled)

    def table() -> list[tuple[object, ...]]:
        with duckdb.connect(str(drilled.sink.duckdb_path), read_only=True) as connection:
            # With the time at which each row was written.
            return connection.execute(
                "SELECT * FROM ecommerce_metrics WHERE metric != 'dead_letters' ORDER BY ALL"
            ).fetchall()

    before = table()
    with pipeline.sinking(drilled):
        job.backfill(drilled, load.START_MS - load.WINDOW_MS, load.START_MS + 2 * SECONDS * 1000)
        wait_until_written(drilled)
    after = table()
    newest = max(row[0] for row in before)
    assert [row for row in after if row[0] <= newest] == before


def test_records_lost_to_the_retention_stop_the_job_with_a_clear_error(
    drilled: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline.sinking(drilled):
        job_id = job.submit(drilled)
        pipeline.generated(drilled, tmp_path / "m.jsonl", *load.arguments(SECONDS, speed="0"))
        pipeline.wait_for_rows(drilled)
        savepoint = job.stop(drilled, job_id)
        later = ["--start", str(load.START_MS + 60_000)]
        pipeline.generated(drilled, tmp_path / "2.jsonl", *load.arguments(SECONDS, speed="0"), *later)
        load.delete_records(drilled)
        monkeypatch.setattr(job, "START_SECONDS", 40)
        with pytest.raises(JobError, match=r"(?i)out of range|OffsetOutOfRange"):
            job.submit(drilled, savepoint=savepoint)


def test_a_stack_that_is_stopped_and_started_again_continues_its_job(tmp_path: Path) -> None:
    config = load.drill_config(stack_config(tmp_path / "stack", sink__duckdb_path=tmp_path / "metrics.duckdb"))
    jars.fetch(config.jars, progress=False)
    with local.running(config):
        job_id = job.submit(config)
        first = pipeline.generated(config, tmp_path / "1.jsonl", *load.arguments(30, speed="0"))
        load.wait_until(
            lambda: cluster.checkpoint_status(config, job_id).completed_checkpoints > 2, 60, "checkpoints are made"
        )
        local.down(config)
        local.up(config)
        load.wait_until(lambda: load.is_running(config, job_id), 60, "the job runs again")
        later = ["--start", str(load.START_MS + 30_000)]
        second = pipeline.generated(config, tmp_path / "2.jsonl", *load.arguments(30, speed="0"), *later)
        with pipeline.sinking(config):
            pipeline.assert_rows_match(config, first, least_windows=3)
            pipeline.assert_rows_match(config, second, least_windows=3)


@pytest.mark.timeout(1500)
def test_fifty_submissions_leave_no_memory_behind(drilled: Config) -> None:
    """In one TaskManager: each job brings its own classes, threads and Python interpreters."""
    load.send_some(drilled)
    used: list[tuple[float, float]] = []
    for _ in range(50):
        before = load.count_results(drilled)
        with pipeline.submitted(drilled):
            load.wait_until(lambda before=before: load.count_results(drilled) > before, 60, "rows")  # type: ignore[misc]
        used.append(load.taskmanager_memory(drilled))
    metaspace, resident = (list(series) for series in zip(*used, strict=True))
    for name, series in (("metaspace", metaspace), ("resident memory", resident)):
        early, late = statistics.median(series[10:20]), statistics.median(series[40:])
        assert late < 1.15 * early, f"{name} grew from {early:,.0f} to {late:,.0f} bytes: {series}"
