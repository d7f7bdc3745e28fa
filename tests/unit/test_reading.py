"""Promises: `rtea.read_metrics` gives the rows of the table; the notebook in examples/ runs, with the right numbers."""

import json
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import rtea
from rtea.errors import SinkError
from rtea.sinks.contract import Batch
from rtea.sinks.duckdb import DuckDbSink
from tests import questions

pytest.importorskip("pyarrow")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "numbers.ipynb"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    sink = DuckDbSink(tmp_path / "m.duckdb", "ecommerce_metrics")
    sink.open()
    sink.write(Batch(questions.results(), "f" * 32), threading.Event())
    return tmp_path / "m.duckdb"


def test_all_rows_of_the_table_are_read(file: Path) -> None:
    rows = rtea.read_metrics(file).to_pylist()
    stored = DuckDbSink(file, "ecommerce_metrics").read(0, 2**52)
    assert len(rows) == len(stored)
    for row, expected in zip(rows, stored, strict=True):
        assert (row["metric"], row["dimension"], row["event_count"], row["revenue"], row["visitors_sketch"]) == (
            *(expected.metric, expected.dimension, expected.event_count, expected.revenue, expected.visitors_sketch),
        )
        assert row["window_start"].timestamp() * 1000 == expected.window_start_ms


def test_rows_are_chosen_by_metric_and_time(file: Path) -> None:
    hour = questions.HOUR
    rows = rtea.read_metrics(file, metric="orders", start=hour, end=hour + timedelta(hours=1)).to_pylist()
    assert {row["metric"] for row in rows} == {"orders"}
    assert len({row["window_start"] for row in rows}) == 6
    without_zone = datetime.fromisoformat(hour.isoformat().removesuffix("+00:00"))
    assert rtea.read_metrics(file, metric="orders", start=without_zone, end=hour + timedelta(hours=1)).num_rows == len(
        rows
    )
    assert rtea.read_metrics(file, metric="'; DROP TABLE x; --").num_rows == 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="not found"):
        rtea.read_metrics(tmp_path / "missing.duckdb")


def test_the_notebook_runs_and_merges_visitors(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTEA_SINK__DUCKDB_PATH", str(file))
    namespace: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile(cell["source"], str(NOTEBOOK), "exec"), namespace)
    assert namespace["by_type"].num_rows == 10
    assert namespace["merged"] == len(
        {each for number in range(18) for at in range(2) for each in questions.ids(number, at)}
    )
