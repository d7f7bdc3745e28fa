"""Promises: each ready query gives in DuckDB what a naive reading of the results gives; sketches merge and are
estimated as
in BigQuery; the views are there in a table of any name, and no file changes.
"""

import threading
from pathlib import Path

import pytest

from rtea import aggregate
from rtea.errors import ConfigError
from rtea.sinks import queries
from rtea.sinks.contract import Batch
from rtea.sinks.duckdb import DuckDbSink
from tests import questions


@pytest.fixture
def filled(tmp_path: Path) -> DuckDbSink:
    sink = DuckDbSink(tmp_path / "m.duckdb", "my_table")
    sink.open()
    sink.write(Batch(questions.results(), "f" * 32), threading.Event())
    return sink


@pytest.mark.parametrize("name", queries.names())
def test_a_ready_query_gives_the_naive_answer(filled: DuckDbSink, name: str) -> None:
    keys, values, answer = questions.ANSWERS[name]
    columns, _ = filled.select(f"FROM {name} LIMIT 0")
    _, rows = filled.select(f"SELECT {', '.join([*columns[:keys], *values])} FROM {name}")
    questions.assert_answers(rows, keys, answer())


def test_sketches_merge_and_are_estimated(filled: DuckDbSink) -> None:
    _, rows = filled.select(
        "SELECT hll_count_extract(visitors_sketch), unique_visitors, visitors_sketch FROM my_table "
        "WHERE metric = 'unique_visitors'"
    )
    assert rows
    assert all(extracted == stored for extracted, stored, _ in rows)
    merged = aggregate.estimate_sketch(aggregate.merge_sketches([bytes(row[2]) for row in rows]))  # type: ignore[arg-type]
    query = "SELECT hll_count_merge(visitors_sketch) FROM my_table WHERE metric = 'unique_visitors'"
    assert filled.select(query)[1] == [(merged,)]
    assert filled.select("SELECT hll_count_merge(NULL::BLOB)")[1] == [(0,)]


def test_queries_need_no_table(tmp_path: Path) -> None:
    """A file of another program has no such views, and can be queried."""
    sink = DuckDbSink(tmp_path / "m.duckdb", "other")
    sink.open()
    assert DuckDbSink(tmp_path / "m.duckdb", "missing").select("SELECT 1")[1] == [(1,)]


def test_an_unknown_query_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'nope' is unknown: expected one of average_order_value, "):
        queries.query("nope", "t", queries.DUCKDB)
