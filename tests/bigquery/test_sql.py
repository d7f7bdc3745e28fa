"""Promises: all our statements are well-typed GoogleSQL, the ready queries return what their headers say, and `rtea
bigquery check` finds out whether a server does what we need."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from rtea.cli.root import cli
from rtea.errors import SinkError
from rtea.sections import BigQuerySection
from rtea.sinks import queries
from rtea.sinks.bigquery import check, sql
from rtea.sinks.bigquery.sink import BigQuerySink
from rtea.sinks.contract import Batch
from tests import questions
from tests.bigquery import emulator
from tests.bigquery.emulator import Emulator
from tests.bigquery.proxy import Fault, Proxy

pytestmark = [pytest.mark.bigquery, pytest.mark.timeout(200)]

TABLE = "demo.d.ecommerce_metrics"
WRITER = f"{TABLE}__writer"


def statements() -> list[str]:
    ready = [sql.ready_query(name, TABLE) for name in queries.names()]
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


@pytest.fixture
def filled(bigquery_section: BigQuerySection) -> Iterator[BigQuerySink]:
    """A table with three hours of windows."""
    sink = BigQuerySink(bigquery_section)
    sink.open()
    sink.write(Batch(questions.results(), "f" * 32), threading.Event())
    yield sink
    sink.close()


# The emulator cannot merge BigQuery's sketches; tests/unit/test_queries.py has the queries that do.
WITHOUT_SKETCHES = sorted(
    questions.ANSWERS.keys() - {"conversion", "daily_sessions", "daily_uniques", "hourly_sessions", "hourly_uniques"}
)


@pytest.mark.parametrize("name", WITHOUT_SKETCHES)
def test_a_ready_query_gives_the_naive_answer(filled: BigQuerySink, name: str) -> None:
    keys, values, answer = questions.ANSWERS[name]
    query = sql.ready_query(name, filled.table_id).replace(queries.BIGQUERY.merged, "COUNT(visitors_sketch)")
    rows = [dict(row) for row in filled.client.query(query).result()]
    columns = list(rows[0])[:keys]
    picked = [[row[column] for column in columns] + [_value(row, value) for value in values] for row in rows]
    questions.assert_answers(picked, keys, answer())


def _value(row: dict[str, object], name: str) -> object:
    return row[name] if name in row else row["event_count"] if row["revenue"] is None else row["revenue"]


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
    arguments = ["bigquery", "ddl", "--set", f"bigquery.project={emulator.PROJECT}", "--table", bigquery_section.table]
    printed = CliRunner().invoke(cli, arguments)
    assert printed.exit_code == 0, printed.output
    sink.client.create_dataset(bigquery_section.table.partition(".")[0])
    sink.client.query(printed.output).result()
    assert sink.open() is True
