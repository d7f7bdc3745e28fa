"""Promises of the whole pipeline, on a real Kafka and a real Flink cluster: every row equals the manifest, in every
mode of the UDFs; no malformed record is lost, and the records next to it count; a killed TaskManager changes no row."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from rtea import manifest
from rtea.config import Config
from rtea.metrics import registry
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(400)

SIMULATED = ("--speed", "0", "--rate", "4000", "--procs", "2")


def with_job(config: Config, **settings: object) -> Config:
    return config.model_copy(update={"job": config.job.model_copy(update=settings)})


@pytest.mark.parametrize("mode", ["thread", "process"])
@pytest.mark.parametrize("format", ["json", "msgpack"])
def test_every_row_equals_the_manifest(pipeline_config: Config, tmp_path: Path, mode: str, format: str) -> None:
    config = with_job(pipeline_config, python_mode=mode)
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *SIMULATED, "--duration", "290", "--format", format)
        pipeline.assert_rows_match(config, sent, least_windows=4)


def test_every_row_of_every_metric_equals_the_manifest(pipeline_config: Config, tmp_path: Path) -> None:
    config = with_job(pipeline_config, metrics=tuple(registry()))
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *SIMULATED, "--duration", "290")
        series = {row.metric for window in sent.windows for row in window.expected()}
        assert series == {each.name for described in registry().values() for each in described}
        pipeline.assert_rows_match(config, sent, least_windows=4)


def test_the_embedded_interpreter_does_not_load_beam(pipeline_config: Config) -> None:
    """Its import would be most of a job's start, and of the time that a recovery takes."""
    with pipeline.submitted(with_job(pipeline_config, python_mode="thread")):
        libraries = Path(f"/proc/{pipeline.pid_of(pipeline_config, 'taskmanager')}/maps").read_text()
    assert "_core.abi3.so" in libraries, "the job's Python runs in this process"
    # Java's Beam, of process mode, may be there as well.
    assert "/site-packages/apache_beam/" not in libraries
    assert "/site-packages/pandas/" not in libraries


def test_malformed_records_reach_the_dlq_and_the_records_next_to_them_count(
    pipeline_config: Config, tmp_path: Path
) -> None:
    config = pipeline_config
    start_ms = 1_760_000_000_000
    at = ("--start", str(start_ms))
    with pipeline.submitted(config), pipeline.sinking(config):
        poison = malformed(start_ms)
        records = [(n % 4, start_ms + 1_000, value) for n, (_, value) in enumerate(poison)]
        before = pipeline.send(config, records)
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *SIMULATED, *at, "--duration", "200")
        pipeline.assert_rows_match(config, sent, least_windows=3)
        letters = pipeline.dead_letters(config, len(records))
    assert {(letter.partition, letter.offset): letter.raw for letter in letters} == before
    assert sorted(letter.reason for letter in letters) == sorted(reason for reason, _ in poison)


def malformed(time_ms: int) -> list[tuple[str, bytes | None]]:
    """One of every kind, with the reason it must be refused for; a large one for the letters' size."""
    good = (
        f'{{"event_id":"e","event_type":"search","source":"mobile","event_time":{time_ms + 1000},"visitor_id":"v"}}'
    ).encode()
    return [
        ("null_value", None),
        ("empty", b""),
        ("invalid_json", good[:-1]),
        ("invalid_json", b"plain text"),
        ("invalid_json", b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        ("invalid_utf8", good.replace(b'"v"', b'"\xff"')),
        ("invalid_msgpack", b"\x9f\xc1"),
        ("missing_field", good.replace(b'"source"', b'"origin"')),
        ("wrong_type", good.replace(b'"v"', b"7")),
        ("wrong_type", b"[1]"),
        ("invalid_value", good.replace(b"mobile", b"kiosk")),
        ("too_large", b'{"pad":"' + b"x" * 900_000 + b'"}'),
    ]


def test_events_after_the_allowed_lateness_become_dead_letters_and_change_no_row(
    pipeline_config: Config, tmp_path: Path
) -> None:
    config = with_job(pipeline_config, allowed_lateness_ms=0)
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *SIMULATED, "--duration", "200")
        pipeline.assert_rows_match(config, sent, least_windows=3)
        pipeline.send_late(config, sent)
        letter = pipeline.late_letter(config)
        assert (letter["reason"], letter["events"]) == ("late", 1)
        assert letter["window_start_ms"] == sent.header.start_ms // 60_000 * 60_000
        pipeline.assert_rows_match(config, sent, least_windows=3)


REASONS = {"late": "late", "future": "future_timestamp"} | pipeline.MALFORMED


def test_injected_faults_arrive_as_often_as_the_manifest_says(pipeline_config: Config, tmp_path: Path) -> None:
    config = with_job(pipeline_config, window_ms=5_000, allowed_lateness_ms=5_000)
    shares = {"duplicate": 0.01, "disorder": 0.02, "late": 0.002, "future": 0.005, "malformed": 0.005, "hot_key": 0.2}
    faults = [f"--set=faults.{name}_share={share}" for name, share in shares.items()]
    faults += ["--set=faults.disorder_ms=4000", "--set=faults.late_by_ms=3000", "--set=faults.idle_partition=3"]
    with pipeline.submitted(config), pipeline.sinking(config):
        live = ("--rate", "4000", "--procs", "2", "--duration", "50")
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *live, *faults)
        pipeline.assert_rows_match(config, sent, least_windows=6)
        wanted = Counter({REASONS[fault]: n for fault, n in sent.end.faults.items() if fault in REASONS})
        assert set(wanted) == set(REASONS.values())
        assert pipeline.count_dead_letters(config, wanted) == wanted
    assert {*shares, "idle_partition"} - {"malformed"} <= set(sent.end.faults)


def test_an_event_within_the_allowed_lateness_corrects_its_row(pipeline_config: Config, tmp_path: Path) -> None:
    config = with_job(pipeline_config, allowed_lateness_ms=600_000)
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *SIMULATED, "--duration", "200")
        pipeline.assert_rows_match(config, sent, least_windows=3)
        corrected = pipeline.send_late(config, sent)
        pipeline.assert_rows_match(config, corrected, least_windows=3)


def test_a_killed_taskmanager_changes_no_row(pipeline_config: Config, tmp_path: Path) -> None:
    config = with_job(pipeline_config, window_ms=5_000, checkpoint_interval_ms=2_000)
    with pipeline.submitted(config), pipeline.sinking(config):
        live = ("--rate", "20000", "--procs", "2", "--duration", "45")
        with pipeline.generating(config, tmp_path / "m.jsonl", *live) as generator:
            pipeline.wait_for_rows(config)  # Windows are being written: the kill comes under load.
            pid = pipeline.kill(config, "taskmanager")
            pipeline.wait_for_another(config, "taskmanager", pid)
            assert generator.poll() is None, "the load ended before the TaskManager was back"
            assert generator.wait() == 0
        pipeline.assert_rows_match(config, manifest.read(tmp_path / "m.jsonl"), least_windows=7)


def test_a_restarted_sink_continues_where_it_stopped(pipeline_config: Config, tmp_path: Path) -> None:
    config = pipeline_config
    with pipeline.submitted(config):
        with pipeline.sinking(config):
            first = pipeline.generated(
                config, tmp_path / "1.jsonl", *SIMULATED, "--start", "60000", "--duration", "130"
            )
            pipeline.assert_rows_match(config, first, least_windows=1)
        later = ("--start", "3600000", "--duration", "130")
        second = pipeline.generated(config, tmp_path / "2.jsonl", *SIMULATED, *later)
        with pipeline.sinking(config):
            pipeline.assert_rows_match(config, second, least_windows=1)
    elsewhere = config.model_copy(
        update={"sink": config.sink.model_copy(update={"duckdb_path": tmp_path / "another.duckdb"})}
    )
    with pipeline.sinking(elsewhere):  # A new table starts from the topic's start, though offsets are committed.
        pipeline.assert_rows_match(elsewhere, first, least_windows=1)
        pipeline.assert_rows_match(elsewhere, second, least_windows=1)


def test_ctrl_c_leaves_a_manifest_of_what_was_sent(pipeline_config: Config, tmp_path: Path) -> None:
    config = with_job(pipeline_config, window_ms=1_000)
    with pipeline.submitted(config), pipeline.sinking(config):
        with pipeline.generating(config, tmp_path / "m.jsonl", "--rate", "2000", "--procs", "2") as generator:
            pipeline.wait_for_rows(config)
            generator.send_signal(signal.SIGINT)
            assert generator.wait() == 0
        sent = manifest.read(tmp_path / "m.jsonl")
        assert sent.end.complete
        pipeline.assert_rows_match(config, sent, least_windows=1)
