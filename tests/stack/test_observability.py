"""Promises: a real Prometheus scrapes every part of a running stack, and finds what the rules and panels name, the docs
explain, and the pipeline did. Nothing listens beyond the loopback.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NamedTuple

import psutil
import pytest

from rtea import config as configuration
from rtea import topics
from rtea.config import Config
from rtea.stack import jars, local
from tests import observability
from tests.conftest import free_ports, stack_config
from tests.drills import load
from tests.flink import pipeline
from tests.flink.pipeline import MALFORMED
from tests.observability import SHIPPED, Prometheus, named

pytestmark = pytest.mark.timeout(300)

LATE = 'sum(rtea_job_dead_letters_total{reason="late"})'
DOCS = SHIPPED.parents[1] / "docs" / "observability.md"


class Scraped(NamedTuple):
    """A pipeline that has run under the eyes of Prometheus, and still does."""

    prometheus: Prometheus
    config: Config
    sent: int
    refused: int
    open_telemetry: bytes
    listening: list[tuple[str, str]]
    """Where sink, page and generator listened: process and address."""


@contextmanager
def beside(config: Config, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of RTEA, running for a block."""
    command = [sys.executable, "-m", "rtea", *arguments]
    with subprocess.Popen(command, env=os.environ | configuration.as_environment(config)) as process:
        try:
            yield process
        finally:
            process.terminate()


def open_places(parent: psutil.Process) -> list[tuple[str, str]]:
    """Where a process and its descendants listen."""
    return [
        (process.name(), place.laddr.ip)
        for process in [parent, *parent.children(recursive=True)]
        for place in process.net_connections("inet")
        if place.status == psutil.CONN_LISTEN
    ]


class Collector:
    """Takes what OpenTelemetry's exporters post."""

    def __init__(self) -> None:
        received: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def settings(self) -> str:
        """Settings of Flink that report to this collector, as the docs have them."""
        text = DOCS.read_text().partition("[stack.flink_settings]\n")[2].partition("```")[0]
        pairs = ", ".join(": ".join(line.split(" = ", 1)) for line in text.strip().splitlines())
        return (
            "{" + pairs.replace("127.0.0.1:4318", f"127.0.0.1:{self._server.server_port}").replace("10 s", "1 s") + "}"
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module", params=["thread", "process"])
def scraped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    root = tmp_path_factory.mktemp("observed")
    ports = free_ports(5)
    flink, sink, page, gen = ports[:2], ports[2], ports[3], ports[4]
    with ExitStack() as ending:
        collector = Collector()
        ending.callback(collector.close)
        config = load.drill_config(
            stack_config(
                root / "stack",
                stack__metrics_ports=",".join(map(str, flink)),
                stack__flink_settings=collector.settings,
                dashboard__port=page,
                dashboard__manifest=root / "manifest.jsonl",
                generator__metrics_port=gen,
                sink__duckdb_path=root / "metrics.duckdb",
            ),
            allowed_lateness_ms=5_000,
            python_mode=request.param,
        )
        jars.fetch(config.jars, progress=False)
        ending.enter_context(local.running(config))
        topics.create(config)
        ending.enter_context(pipeline.submitted(config))
        others = [
            ending.enter_context(beside(config, "sink", "duckdb", "--metrics-port", str(sink))),
            ending.enter_context(beside(config, "dashboard")),
        ]
        targets = {"rtea-flink": flink, "rtea-sink": [sink], "rtea-dashboard": [page], "rtea-gen": [gen]}
        prometheus = ending.enter_context(observability.running(root / "prometheus", targets))
        with load.loaded(config, root / "manifest.jsonl", 25) as generator:
            listening = [
                place for process in [*others, generator] for place in open_places(psutil.Process(process.pid))
            ]
            assert generator.wait() == 0
        sent = pipeline.manifest.read(root / "manifest.jsonl")
        faults = [count for window in sent.windows for fault, count in window.faults.items() if fault in MALFORMED]
        pipeline.send_late(config, sent)
        value = prometheus.value
        load.wait_until(lambda: value(LATE, 0) == 1, 60, "the late event is counted")
        load.wait_until(lambda: value("rtea_dashboard_equal_windows", 0) >= 4, 60, "the page has compared windows")
        load.wait_until(lambda: any(b"rtea_job_partials" in each for each in collector.received), 60, "OpenTelemetry")
        yield Scraped(prometheus, config, sent.end.events + 1, sum(faults), b"".join(collector.received), listening)


def test_every_part_is_scraped(scraped: Scraped) -> None:
    # The generator ended with its run.
    assert {"rtea-flink", "rtea-sink", "rtea-dashboard"} <= scraped.prometheus.healthy()


def test_every_metric_that_a_rule_a_panel_or_the_docs_name_exists(scraped: Scraped) -> None:
    text = "".join(path.read_text() for path in (SHIPPED / "alerts.yml", SHIPPED / "grafana.json", DOCS))
    assert named(text) - with_histograms(scraped.prometheus.names()) == set()


def test_the_docs_explain_every_metric_of_ours(scraped: Scraped) -> None:
    parts = re.compile("_(bucket|sum|count|created)$")
    ours = {parts.sub("", name) for name in scraped.prometheus.names() if name.startswith("rtea_")}
    explained = named(DOCS.read_text())
    assert len(ours) > 30
    # Python's client adds when each counter was made, under the counter's name without its suffix.
    assert ours - explained - {name.removesuffix("_total") for name in explained} == set()


def with_histograms(names: set[str]) -> set[str]:
    """Names of series, and those of the histograms that they belong to."""
    return names | {name.removesuffix("_bucket") for name in names}


def test_counts_are_those_of_the_manifest(scraped: Scraped) -> None:
    value = scraped.prometheus.value
    assert value("sum(rtea_job_records_total)") == scraped.sent
    assert value("sum(rtea_job_dead_letters_total)") == scraped.refused + value(LATE)
    assert value("sum(rtea_job_batches_total)") <= value("sum(rtea_job_partials_total)") <= scraped.sent
    assert value("sum(rtea_job_lag_records)") == 0
    assert 0 < value("sum(rtea_job_fold_seconds_total)") < 60
    assert 0 < value("sum(rtea_job_merge_seconds_total)") < 60
    assert value('sum(rtea_job_firings_total{kind="final"})') >= 4
    assert value("rtea_sink_rows_total") > 0
    # The first batch is not measured: its windows may be corrections.
    assert 1 <= value("rtea_sink_freshness_seconds_count") <= value('sum(rtea_job_firings_total{kind="final"})')
    assert value("rtea_dashboard_equal_windows") == value("rtea_dashboard_compared_windows")
    assert 0 < value("max_over_time(sum(rtea_gen_records_total)[10m:1s])") <= scraped.sent


def test_labels_hold_no_ids(scraped: Scraped) -> None:
    def labels(names: str) -> set[str]:
        found = scraped.prometheus.query(f'{{__name__=~"{names}"}}')
        return {label for series in found for label in series["metric"]}

    assert not labels("flink_.*") & {"task_id", "task_attempt_id", "tm_id", "operator_id", "host"}
    ours = {"__name__", "instance", "job", "job_name", "kind", "partition", "reason", "subtask_index"}
    assert labels("rtea_job_.*") == ours


def test_open_telemetry_gets_the_metrics(scraped: Scraped) -> None:
    assert b"rtea_job_records_total" in scraped.open_telemetry


def test_nothing_listens_beyond_the_loopback(scraped: Scraped) -> None:
    if scraped.config.job.python_mode == "process":
        pytest.skip("Beam's servers listen on every address: docs/configuration.md says so")
    supervisor = psutil.Process(pipeline.pid_of(scraped.config, "taskmanager")).parent()
    assert supervisor is not None
    listening = [*scraped.listening, *open_places(supervisor)]
    assert len(scraped.listening) >= 3, "sink, page and generator serve their metrics"
    assert [place for place in listening if place[1] not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")] == []
