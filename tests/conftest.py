"""Fixtures of the whole suite: free ports, a configuration, one local stack and one BigQuery emulator per session."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rtea import config as configuration
from rtea import topics
from rtea.config import Config
from rtea.sections import BigQuerySection
from rtea.stack import jars, local
from tests.bigquery import emulator
from tests.bigquery.emulator import Emulator
from tests.bigquery.proxy import Proxy

PORT_SETTINGS = ("kafka_port", "controller_port", "zookeeper_port", "rest_port", "rpc_port", "blob_port")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A developer's own settings must not change what tests see."""
    for name in list(os.environ):
        if name.startswith("RTEA_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on; all are held at once, so they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


ODD_NAME = 'my shop/50%2F Größe #1; "x" \\y'
"""A directory's name that breaks whatever does not escape it."""


def stack_config(root: Path, **flags: Any) -> Config:
    """A configuration of a stack of its own: free ports, files below `root`."""
    ports = dict(zip(PORT_SETTINGS, free_ports(len(PORT_SETTINGS)), strict=True))
    settings: dict[str, Any] = {f"stack.{name}": port for name, port in ports.items()}
    settings |= {"stack.state_dir": root, "kafka.bootstrap_servers": f"127.0.0.1:{ports['kafka_port']}"}
    return configuration.load(flags=settings | {name.replace("__", "."): value for name, value in flags.items()})


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A running Kafka and Flink, shared by the session's tests; every test has topics of its own."""
    config = stack_config(tmp_path_factory.mktemp("stack") / ODD_NAME)
    jars.fetch(config.jars, progress=False)
    with local.running(config):
        yield config


def with_own_topics(stack: Config, root: Path) -> Config:
    """The stack's configuration with fresh topics, a fresh consumer group and a fresh DuckDB file."""
    name = uuid.uuid4().hex[:8]
    kafka = {
        "events_topic": f"events-{name}",
        "dead_letter_topic": f"events-{name}-dlq",
        "results_topic": f"metrics-{name}",
    }
    sink = {"duckdb_path": root / "metrics.duckdb", "group_id": f"sink-{name}"}
    config = stack.model_copy(
        update={"kafka": stack.kafka.model_copy(update=kafka), "sink": stack.sink.model_copy(update=sink)}
    )
    topics.create(config)
    return config


@pytest.fixture
def pipeline_config(stack: Config, tmp_path: Path) -> Config:
    """A pipeline of the test's own on the shared stack."""
    return with_own_topics(stack, tmp_path)


@pytest.fixture(scope="session")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator. Without one, CI fails and a developer's machine skips, loudly."""
    if not emulator.is_installed():
        reason = "the BigQuery emulator is not installed: run `make emulator`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with emulator.running(tmp_path_factory.mktemp("bigquery")) as running:
        yield running


@pytest.fixture
def bigquery_proxy(bigquery_server: Emulator) -> Iterator[Proxy]:
    """A proxy before the emulator."""
    with Proxy(bigquery_server.endpoint).running() as running:
        yield running


@pytest.fixture
def bigquery_section(bigquery_proxy: Proxy) -> BigQuerySection:
    """Settings of a table of the test's own, behind the proxy."""
    dataset = f"d_{uuid.uuid4().hex[:8]}"
    return BigQuerySection(
        project=emulator.PROJECT,
        table=f"{dataset}.ecommerce_metrics",
        endpoint=bigquery_proxy.endpoint,
        create=True,
        batch_interval_ms=200,
    )
