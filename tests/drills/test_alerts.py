"""Promise: each alert that we ship fires in the trouble that it is for, and ends with it: on a real pipeline that a
real Prometheus watches. The windows are twelve times shorter than a minute, and so are the times of the alerts.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import duckdb
import pytest
from confluent_kafka import Producer
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from rtea import manifest, topics
from rtea.config import Config
from rtea.stack import jars, local
from rtea.stack.layout import Layout
from tests import observability
from tests.conftest import free_ports, stack_config
from tests.drills import load
from tests.drills.test_disks import full, small_disk
from tests.flink import pipeline
from tests.observability import Prometheus
from tests.stack.test_observability import beside

pytestmark = pytest.mark.timeout(600)

FACTOR = 60_000 // load.WINDOW_MS
FIRES_WITHIN_SECONDS = 120
ENDS_WITHIN_SECONDS = 180


def sinking(config: Config, port: int) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """The DuckDB sink, with its metrics."""
    return beside(config, "sink", "duckdb", "--metrics-port", str(port))


class Watched(NamedTuple):
    """A pipeline under load, watched by Prometheus."""

    config: Config
    prometheus: Prometheus
    sink_port: int

    @property
    def layout(self) -> Layout:
        return Layout.of(self.config.stack.state_dir)

    def wait_until_fires(self, *alerts: str) -> None:
        load.wait_until(lambda: set(alerts) <= self.firing(), FIRES_WITHIN_SECONDS, f"{alerts} fire")

    def wait_until_ends(self, *alerts: str) -> None:
        load.wait_until(lambda: not self.firing() & set(alerts), ENDS_WITHIN_SECONDS, f"{alerts} end")

    def firing(self) -> set[str]:
        return self.prometheus.firing()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    root = tmp_path_factory.mktemp("watched")
    *flink, sink = free_ports(3)
    config = load.drill_config(
        stack_config(
            root / "stack",
            stack__metrics_ports=",".join(map(str, flink)),
            sink__duckdb_path=root / "metrics.duckdb",
        )
    )
    # Some events come late: corrections are no sign of life, and no sign of trouble either.
    faults = config.faults.model_copy(update={"disorder_share": 0.01, "disorder_ms": 60_000})
    config = config.model_copy(update={"faults": faults})
    jars.fetch(config.jars, progress=False)
    with ExitStack() as ending:
        ending.enter_context(local.running(config))
        topics.create(config)
        ending.enter_context(pipeline.submitted(config))
        targets = {"rtea-flink": flink, "rtea-sink": [sink]}
        prometheus = ending.enter_context(observability.running(root / "prometheus", targets, FACTOR))
        path = root / "manifest.jsonl"
        generator = ending.enter_context(pipeline.generating(config, path, *load.arguments(3_600)))
        final = 'sum(increase(rtea_job_firings_total{kind="final"}[15s]))'
        load.wait_until(lambda: prometheus.value(final, 0) > 0, 60, "windows become final")
        yield Watched(config, prometheus, sink)
        # All this has cost no row.
        generator.send_signal(signal.SIGINT)
        generator.wait(60)
        with sinking(config, sink):
            pipeline.assert_rows_match(config, manifest.read(path), 10)


@pytest.fixture(autouse=True)
def sink(watched: Watched) -> Iterator["subprocess.Popen[bytes]"]:
    with sinking(watched.config, watched.sink_port) as process:
        value = watched.prometheus.value
        load.wait_until(
            lambda: value("rtea_sink_newest_window_end_seconds", 0) > 0, 60, "the sink has written a window"
        )
        yield process


def test_a_healthy_pipeline_fires_none(watched: Watched) -> None:
    load.wait_until(lambda: not watched.prometheus.has_fired(30), ENDS_WITHIN_SECONDS, "no alert fires for 30 s")


def test_refused_events(watched: Watched) -> None:
    watched.wait_until_ends("RteaDeadLetters")
    load.produce(watched.config, [b"{"] * 20_000)
    watched.wait_until_fires("RteaDeadLetters")
    watched.wait_until_ends("RteaDeadLetters")


def test_a_full_disk_under_the_checkpoints(watched: Watched) -> None:
    watched.wait_until_ends("RteaCheckpointsFail")
    with small_disk(watched.layout.checkpoints, 1) as disk, full(disk):
        watched.wait_until_fires("RteaCheckpointsFail")
    watched.wait_until_ends("RteaCheckpointsFail")


def test_a_disk_that_fills_up(watched: Watched) -> None:
    watched.wait_until_ends("RteaDiskFillsUp")
    with small_disk(watched.layout.flink_tmp, 100):
        watched.wait_until_fires("RteaDiskFillsUp")
    watched.wait_until_ends("RteaDiskFillsUp")


def test_a_killed_taskmanager(watched: Watched) -> None:
    watched.wait_until_ends("RteaJobRestarts")
    pipeline.kill(watched.config, "taskmanager")
    watched.wait_until_fires("RteaJobRestarts")
    watched.wait_until_ends("RteaJobRestarts")


def test_a_transaction_that_nobody_ends(watched: Watched) -> None:
    watched.wait_until_ends("RteaLagGrows", "RteaNoFinalWindow")
    producer = Producer(topics.connection(watched.config.kafka) | {"transactional.id": "hanging"})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(watched.config.kafka.events_topic, b"{", partition=0)
    producer.flush(10)
    watched.wait_until_fires("RteaLagGrows", "RteaNoFinalWindow")
    producer.abort_transaction(10)
    watched.wait_until_ends("RteaLagGrows", "RteaNoFinalWindow")


def test_a_table_that_is_locked(watched: Watched) -> None:
    watched.wait_until_ends("RteaSinkStandsStill")
    path = str(watched.config.sink.duckdb_path)
    taken = Retrying(
        retry=retry_if_exception_type(duckdb.IOException), stop=stop_after_delay(30), wait=wait_fixed(0.01)
    )
    with taken(duckdb.connect, path):
        watched.wait_until_fires("RteaSinkStandsStill")
        # The load's windows are a year old; what counts is how long their results have waited.
        assert 1 < watched.prometheus.value("rtea_sink_seconds_behind") < 300
    watched.wait_until_ends("RteaSinkStandsStill")


def test_a_sink_that_is_gone(watched: Watched, sink: "subprocess.Popen[bytes]") -> None:
    watched.wait_until_ends("RteaSinkStandsStill")
    sink.kill()
    watched.wait_until_fires("RteaSinkStandsStill")
    with sinking(watched.config, watched.sink_port):
        watched.wait_until_ends("RteaSinkStandsStill")
