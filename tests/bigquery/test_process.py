"""Promises of `rtea sink bigquery` as a process between a real Kafka and a real server: a kill at any point neither
loses nor duplicates rows; two sinks at once do no harm; SIGTERM ends a sink; errors are one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
import requests
from confluent_kafka import Consumer, ConsumerGroupState, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from rtea import aggregate, topics
from rtea import config as configuration
from rtea.config import Config
from rtea.doctor import services
from rtea.sections import BigQuerySection
from rtea.sinks import result, runner
from rtea.sinks.bigquery.sink import BigQuerySink
from rtea.sinks.registry import make_sink
from rtea.sinks.result import Row, WindowResult
from tests.bigquery.proxy import Fault, Proxy
from tests.conftest import free_ports

pytestmark = [pytest.mark.bigquery, pytest.mark.timeout(200)]

NO_OFFSET = -1001
Process = subprocess.Popen[str]


@pytest.fixture
def config(pipeline_config: Config, bigquery_section: BigQuerySection) -> Config:
    return pipeline_config.model_copy(update={"bigquery": bigquery_section})


@contextmanager
def sinking(config: Config, *arguments: str, **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "rtea", "sink", "bigquery", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        env=os.environ | configuration.as_environment(config) | environment,
        stdout=pipe,
        stderr=pipe,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def publish(config: Config, *windows: tuple[int, int]) -> None:
    """Result records of (number, revision)."""
    producer = Producer(topics.connection(config.kafka) | {"enable.idempotence": True})
    sketch = aggregate.build_sketch([b"a", b"b"])
    for number, revision in windows:
        rows = [
            Row("event_count", "page_view_mobile", "", revision, None, None, None),
            Row("unique_visitors", "all", "", None, None, 2, sketch),
        ]
        value = WindowResult(result.VERSION, number * 60_000, (number + 1) * 60_000, 1, revision, "", rows)
        producer.produce(config.kafka.results_topic, msgspec.msgpack.encode(value), str(number))
    assert producer.flush(30) == 0


def counts(config: Config) -> dict[int, int]:
    """Revision by window number; fails if a key occurs twice."""
    rows = [row for row in BigQuerySink(config.bigquery).read(0, 10**12) if row.metric == "event_count"]
    assert len({row.window_start_ms for row in rows}) == len(rows)
    assert all(row.event_count == row.revision for row in rows)
    return {row.window_start_ms // 60_000: row.revision for row in rows}


def committed(config: Config) -> int:
    sink = BigQuerySink(config.bigquery)
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": runner.group_id(config, sink)})
    (place,) = consumer.committed([TopicPartition(config.kafka.results_topic, 0)], timeout=30)
    consumer.close()
    return int(place.offset)


def eventually(look: Callable[[], object], expected: object) -> None:
    patient = Retrying(
        retry=retry_if_result(lambda found: found != expected),
        stop=stop_after_delay(60),
        wait=wait_fixed(0.2),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    assert patient(look) == expected


def is_made(config: Config) -> bool:
    try:
        counts(config)
    except Exception:
        return False
    return True


@pytest.mark.parametrize(
    ("method", "text", "action"),
    [
        ("POST", "rtea-merge-", "hold_before"),
        ("POST", "rtea-merge-", "hold_after"),
        ("DELETE", "__staging_", "hold_after"),
    ],
    ids=["after the load", "after the MERGE", "before the commit"],
)
def test_kill_9_neither_loses_nor_duplicates_rows(
    config: Config, bigquery_proxy: Proxy, method: str, text: str, action: str
) -> None:
    publish(config, (1, 5), (2, 6), (1, 7))
    fault = Fault(method, text, action)  # type: ignore[arg-type]
    bigquery_proxy.faults.append(fault)
    with sinking(config) as killed:
        assert fault.reached.wait(90), killed.poll()
        killed.kill()
        killed.wait()
    fault.release.set()
    before = BigQuerySink(config.bigquery).read(0, 10**12)
    assert bool(before) == (action == "hold_after")
    assert committed(config) <= 0, "offsets were committed before the rows were known to be durable"
    with sinking(config):
        eventually(lambda: committed(config), 3)
    assert counts(config) == {1: 7, 2: 6}
    if before:
        assert BigQuerySink(config.bigquery).read(0, 10**12) == before


def test_two_sinks_started_by_mistake_do_no_harm(config: Config) -> None:
    with sinking(config) as first, sinking(config) as second:
        for revision in range(1, 6):
            publish(config, *((number, revision) for number in range(4)))
            eventually(lambda: is_made(config) and counts(config), dict.fromkeys(range(4), revision))
        ended = [process.communicate() for process in (first, second) if process.poll() is not None]
        assert not ended


def test_a_sink_that_joins_while_another_writes_does_no_harm(config: Config, bigquery_proxy: Proxy) -> None:
    held = Fault("POST", "rtea-merge-", "hold_before")
    bigquery_proxy.faults.append(held)
    publish(config, (1, 1))
    admin = AdminClient(topics.connection(config.kafka))
    group = runner.group_id(config, BigQuerySink(config.bigquery))
    with sinking(config) as first:
        assert held.reached.wait(90), first.poll()
        with sinking(config) as second:
            eventually(
                lambda: admin.describe_consumer_groups([group])[group].result().state is ConsumerGroupState.STABLE,
                False,
            )
            held.release.set()
            for revision in (2, 3):
                publish(config, (1, revision), (2, revision))
                eventually(lambda: counts(config), {1: revision, 2: revision})
            ended = [process.communicate() for process in (first, second) if process.poll() is not None]
            assert not ended


def test_sigterm_ends_a_sink_between_batches_and_during_an_outage(config: Config, bigquery_proxy: Proxy) -> None:
    with sinking(config) as process:
        publish(config, (1, 1))
        eventually(lambda: committed(config), 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    outage = Fault("POST", "", "refuse", times=0)
    bigquery_proxy.faults.append(outage)
    with sinking(config) as process:
        assert process.stdout is not None
        publish(config, (2, 1))
        assert "window 120000" in process.stdout.readline()
        outage.times = 10**9
        publish(config, (3, 1))
        assert outage.reached.wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    outage.times = 0
    with sinking(config):
        eventually(lambda: committed(config), 3)
    assert counts(config) == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize("interval_ms", [0, 3_000], ids=["writes outlast it", "it spaces batches"])
def test_bursts_become_few_batches_and_metrics_say_so(config: Config, interval_ms: int) -> None:
    calm = config.model_copy(update={"bigquery": config.bigquery.model_copy(update={"batch_interval_ms": interval_ms})})
    (port,) = free_ports(1)
    publish(calm, *((number, 1) for number in range(200)))
    with sinking(calm, "--metrics-port", str(port)):
        eventually(lambda: committed(calm), 200)
        served = dict(
            line.rsplit(" ", 1)
            for line in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines()
            if line.startswith("rtea_sink")
        )
        publish(calm, (0, 2))
        eventually(lambda: committed(calm), 201)
        later = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert 'rtea_sink_newest_window_end_seconds{sink="bigquery"} 12000.0' in later, (
            "a late window is not the newest"
        )
    assert float(served['rtea_sink_rows_total{sink="bigquery"}']) == 400
    assert float(served['rtea_sink_batches_total{sink="bigquery"}']) <= 5
    assert float(served['rtea_sink_seconds_behind{sink="bigquery"}']) == 0
    assert float(served['rtea_sink_newest_window_end_seconds{sink="bigquery"}']) == 200 * 60
    assert 'rtea_sink_bytes_billed_total{sink="bigquery"}' in served
    assert counts(calm) == dict.fromkeys(range(200), 1) | {0: 2}


def one_line(config: Config, *arguments: str, **environment: str) -> str:
    with sinking(config, *arguments, **environment) as process:
        _, errors = process.communicate(timeout=90)
    assert process.returncode == 10, errors
    assert errors.count("\n") == 1, errors
    return errors


def test_a_missing_dataset_is_one_line(config: Config) -> None:
    never = config.model_copy(update={"bigquery": config.bigquery.model_copy(update={"create": False})})
    assert "make dataset and table with --create" in one_line(never)


def test_missing_and_bad_credentials_are_one_line(config: Config, tmp_path: Path) -> None:
    google = config.model_copy(update={"bigquery": config.bigquery.model_copy(update={"endpoint": None})})
    bad = tmp_path / "key.json"
    bad.write_text('{"type": "service_account", "private_key": "secret-of-the-test"}')
    for path in (tmp_path / "none.json", bad):
        line = one_line(google, GOOGLE_APPLICATION_CREDENTIALS=str(path), NO_GCE_CHECK="true")
        assert "GOOGLE_APPLICATION_CREDENTIALS" in line
        assert "secret-of-the-test" not in line


def test_the_demo_asks_for_credentials_before_it_starts_anything(config: Config, tmp_path: Path) -> None:
    google = config.model_copy(
        update={
            "bigquery": config.bigquery.model_copy(update={"endpoint": None}),
            "stack": config.stack.model_copy(update={"state_dir": tmp_path / "state"}),
            # Were it to go on, it would fail at once for want of jars.
            "jars": config.jars.model_copy(update={"cache_dir": tmp_path / "none", "mirror": "http://127.0.0.1:9"}),
        }
    )
    environment = os.environ | configuration.as_environment(google)
    environment |= {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json"), "NO_GCE_CHECK": "true"}
    demo = [sys.executable, "-m", "rtea", "demo", "--sink", "bigquery"]
    ran = subprocess.run(demo, env=environment, capture_output=True, text=True)
    assert ran.returncode == 10, ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert "GOOGLE_APPLICATION_CREDENTIALS" in ran.stderr


def test_the_doctor_names_missing_roles(config: Config, bigquery_proxy: Proxy) -> None:
    with closing(make_sink(config, "bigquery")) as sink:
        sink.open()
    (served,) = services.access(config)
    assert served[0] == "ok", served
    bigquery_proxy.faults.append(Fault("POST", "jobs", "refuse", times=9, status=403, reason="accessDenied"))
    (denied,) = services.access(config)
    assert denied[0] == "failed"
    assert "denies access" in denied[1]
    assert "roles/bigquery.jobUser" in denied[2]


def test_a_denied_project_is_one_line(config: Config, bigquery_proxy: Proxy) -> None:
    bigquery_proxy.faults.append(Fault("GET", "datasets", "refuse", status=403, reason="accessDenied"))
    assert "roles/bigquery.jobUser" in one_line(config)
