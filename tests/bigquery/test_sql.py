"""Promises: all our statements are well-typed GoogleSQL, the ready queries return what their headers say, and `rtea
bigquery check` finds out whether a server does what we need."""

import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from rtea import aggregate
from rtea.cli.root import cli
from rtea.errors import SinkError
from rtea.sections import BigQuerySection
from rtea.sinks import result
from rtea.sinks.bigquery import check, sql
from rtea.sinks.bigquery.sink import BigQuerySink
from rtea.sinks.contract import Batch
from rtea.sinks.result import Row, WindowResult
from tests.bigquery import emulator
from tests.bigquery.emulator import Emulator
from tests.bigquery.proxy import Fault, Proxy

pytestmark = [pytest.mark.bigquery, pytest.mark.timeout(200)]

TABLE = "demo.d.ecommerce_metrics"
WRITER = f"{TABLE}__writer"


def statements() -> list[str]:
    ready = [sql.ready_query(name, TABLE) for name in sql.query_names()]
    merge = sql.merge(TABLE, f"{TABLE}__staging_x", WRITER, {0, 60_000})
    begin, *of_merge, commit, end = merge.split(";\n")
    assert (begin, commit, end) == ("BEGIN TRANSACTION", "COMMIT TRANSACTION", "")
    # The analyzer knows no system variables of scripts.
    of_merge = [statement.replace("@@row_count", "1") for statement in of_merge]
    own = [sql.ddl(TABLE, 30), sql.make_writer(WRITER), sql.select(TABLE, 0, 60_000), sql.look(TABLE)]
    return [*own, *of_merge, *ready]


def typed(texts: list[str]) -> list[str]:
    """What the GoogleSQL analyzer says of each statement; empty when it is well-typed."""
    program = Path(__file__).with_name("typing_check.py")
    command = [str(emulator.home() / "venv" / "bin" / "python"), str(program)]
    ran = subprocess.run(command, input="\0".join(texts), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout.split("\0")


def test_every_statement_is_well_typed_googlesql(bigquery_server: Emulator) -> None:
    wrong = [
        f"SELECT HLL_COUNT.MERGE(metric) FROM `{TABLE}`",
        f"SELECT no_such_column FROM `{TABLE}`",
        f"MERGE `{TABLE}` T USING `{TABLE}__staging_x` S ON T.revision = S.metric WHEN NOT MATCHED THEN INSERT ROW",
    ]
    *verdicts, merged_string, unknown, mismatched = typed([*statements(), *wrong])
    assert verdicts == [""] * len(statements())
    # The checker itself must be able to fail.
    assert all((merged_string, unknown, mismatched))


NOW = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
START_MS = int(NOW.timestamp() * 1000)


@pytest.fixture
def filled(bigquery_section: BigQuerySection) -> Iterator[tuple[BigQuerySink, list[WindowResult]]]:
    """A table with three hours of windows, one every ten minutes."""
    sink = BigQuerySink(bigquery_section)
    sink.open()
    windows = []
    for n in range(18):
        rows = [
            Row("event_count", f"{kind}_{source}", "", (n + 1) * factor, None, None, None)
            for kind, factor in (("product_view", 50), ("add_to_cart", 9), ("begin_checkout", 4), ("purchase", 2))
            for source in ("mobile", "website")
        ]
        rows += [
            Row("revenue", category, currency, None, str(n * 1_001 + 5), None, None)
            for category in ("books", "home")
            for currency in ("EUR", "USD")
        ]
        rows += [Row("unique_visitors", "all", "", None, None, 1, aggregate.build_sketch([b"%d" % n]))]
        start_ms = START_MS + n * 600_000
        windows.append(WindowResult(result.VERSION, start_ms, start_ms + 60_000, 1, 10, "", rows))
    sink.write(Batch(windows, "f" * 32), threading.Event())
    yield sink, windows
    sink.close()


def test_revenue_by_category_adds_up_each_currency(filled: tuple[BigQuerySink, list[WindowResult]]) -> None:
    sink, windows = filled
    expected: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    for window in windows:
        day = datetime.fromtimestamp(window.window_start_ms / 1000, timezone.utc).date()
        for row in window.rows:
            if row.revenue_minor is not None:
                expected[day, row.dimension, row.currency] += Decimal(row.revenue_minor) / 100
    found = sink.client.query(sql.ready_query("revenue_by_category", sink.table_id)).result()
    assert {(row.day, row.category, row.currency): row.revenue for row in found} == expected


def test_conversion_counts_each_step_by_source(filled: tuple[BigQuerySink, list[WindowResult]]) -> None:
    sink, windows = filled
    expected: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    steps = ["product_view", "add_to_cart", "begin_checkout", "purchase"]
    for window in windows:
        day = datetime.fromtimestamp(window.window_start_ms / 1000, timezone.utc).date()
        for row in window.rows:
            if row.event_count is not None:
                kind, _, source = row.dimension.rpartition("_")
                expected[day, source][steps.index(kind)] += row.event_count
    found = list(sink.client.query(sql.ready_query("conversion", sink.table_id)).result())
    assert {
        (row.day, row.source): [row.product_views, row.cart_additions, row.checkouts, row.purchases] for row in found
    } == expected
    assert all(row.purchases_by_product_view == row.purchases / row.product_views for row in found)


def test_the_latest_complete_hour_excludes_the_open_hour(filled: tuple[BigQuerySink, list[WindowResult]]) -> None:
    sink, windows = filled
    statement = sql.ready_query("latest_complete_hour", sink.table_id)
    # The emulator cannot merge BigQuery's sketches: it counts them instead, which tells the windows apart as well.
    assert "HLL_COUNT.MERGE(visitors_sketch)" in statement
    sink.client.query(statement.replace("HLL_COUNT.MERGE(visitors_sketch)", "COUNT(visitors_sketch)")).result()
    found = list(sink.client.query(f"SELECT * FROM `{sink.table_id}_latest_complete_hour`").result())
    # Windows every ten minutes for three hours: the third hour's last window is ten minutes from its end.
    hour = windows[6:12]
    expected: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in (row for window in hour for row in window.rows):
        key = (row.metric, row.dimension, row.currency)
        expected[key] += row.event_count or Decimal(row.revenue_minor or 0) / 100 or 1
    assert {
        (row.metric, row.dimension, row.currency): row.event_count or row.revenue or row.unique_visitors
        for row in found
    } == expected
    assert {row.hour for row in found} == {NOW + timedelta(hours=1)}


def test_the_check_finds_what_the_server_does_differently_and_cleans_up(bigquery_section: BigQuerySection) -> None:
    findings = check.check(bigquery_section)
    failed = {finding.name for finding in findings if not finding.passed}
    # The emulator's HLL functions read arrays, not BigQuery's sketches; all else it does as BigQuery.
    assert failed == {
        "HLL_COUNT.EXTRACT of mobile",
        "HLL_COUNT.EXTRACT of website",
        "HLL_COUNT.EXTRACT of all",
        "HLL_COUNT.MERGE of all",
    }
    assert len(findings) == 11
    datasets = BigQuerySink(bigquery_section).client.list_datasets()
    assert not [entry.dataset_id for entry in datasets if entry.dataset_id.startswith("rtea_check_")]


def test_a_check_that_fails_says_why_even_if_it_cannot_clean_up(
    bigquery_section: BigQuerySection, bigquery_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    bigquery_proxy.faults.append(Fault("POST", "jobs", "refuse", times=99, status=403, reason="accessDenied"))
    bigquery_proxy.faults.append(Fault("DELETE", "rtea_check_", "refuse", times=99, status=403, reason="accessDenied"))
    with pytest.raises(SinkError, match="denies access to table"):
        check.check(bigquery_section)
    assert "stays, remove it by hand" in caplog.text


def test_the_command_reports_and_fails(bigquery_section: BigQuerySection) -> None:
    assert bigquery_section.endpoint is not None
    command = [sys.executable, "-m", "rtea", "bigquery", "check", "--project", emulator.PROJECT]
    ran = subprocess.run([*command, "--endpoint", bigquery_section.endpoint], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stderr
    assert "7 of 11 checks passed" in ran.stdout


def test_the_ddl_makes_the_table_that_the_sink_accepts(bigquery_section: BigQuerySection) -> None:
    sink = BigQuerySink(bigquery_section.model_copy(update={"create": False}))
    arguments = ["sink", "bigquery", "--project", emulator.PROJECT, "--table", bigquery_section.table, "--print-ddl"]
    printed = CliRunner().invoke(cli, arguments)
    assert printed.exit_code == 0, printed.output
    sink.client.create_dataset(bigquery_section.table.partition(".")[0])
    sink.client.query(printed.output).result()
    assert sink.open() is True
