"""What `rtea.sinks.contract` promises, tested with every sink."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtea import aggregate, plugins
from rtea.config import Config
from rtea.errors import SinkError
from rtea.sinks import metrics, result
from rtea.sinks.contract import AbandonedError, Batch, Sink
from rtea.sinks.duckdb import DuckDbSink
from rtea.sinks.registry import make_sink
from rtea.sinks.result import Row, WindowResult

NEVER = threading.Event()


def duckdb_sink(root: Path) -> DuckDbSink:
    return DuckDbSink(root / "metrics.duckdb", "ecommerce_metrics", lock_patience_s=0.3)


# How the suite makes a sink, if not with its settings in a demo.
MAKERS: dict[str, Callable[[pytest.FixtureRequest, Path], Sink]] = {
    "bigquery": lambda request, _: make_sink(Config(bigquery=request.getfixturevalue("bigquery_section")), "bigquery"),
    "duckdb": lambda _, root: duckdb_sink(root),
}
NEEDS = {
    "bigquery": [pytest.mark.bigquery],
    "parquet": [pytest.mark.skipif(find_spec("pyarrow") is None, reason="Arrow is an extra")],
}


@pytest.fixture(params=[pytest.param(name, marks=NEEDS.get(name, ())) for name in plugins.names()])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    name = request.param
    sink = MAKERS[name](request, tmp_path) if name in MAKERS else of_demo(name, tmp_path)
    assert sink.name == name
    sink.open()
    yield sink
    sink.close()


def of_demo(name: str, root: Path) -> Sink:
    kind = plugins.sink(name)
    made: Sink = kind.make(kind.of_demo(kind.settings(), root))
    return made


def write(sink: Sink, *results: WindowResult) -> None:
    sink.write(Batch(results, uuid.uuid4().hex), NEVER)


def window(
    revision: int,
    *,
    start_ms: int = 0,
    counts: int | None = None,
    generation: int = 1,
    length_ms: int = 60_000,
    is_final: bool = True,
) -> WindowResult:
    sketch = aggregate.build_sketch([b"a", b"b"])
    rows = [
        Row("event_count", "page_view_mobile", "", counts or revision, None, None, None),
        Row("revenue", "books", "USD", None, str(10**20 + revision), None, None),
        Row("unique_visitors", "all", "", None, None, 2, sketch),
    ]
    return WindowResult(result.VERSION, start_ms, start_ms + length_ms, generation, revision, "", rows, is_final)


def counts(sink: Sink) -> dict[int, tuple[int | None, int]]:
    rows = sink.read(0, 10**15)
    return {row.window_start_ms: (row.event_count, row.revision) for row in rows if row.metric == "event_count"}


def test_rows_are_readable_as_they_were_written(sink: Sink) -> None:
    write(sink, window(5))
    rows = sink.read(0, 1)
    assert [(row.metric, row.dimension, row.currency) for row in rows] == [
        ("event_count", "page_view_mobile", ""),
        ("revenue", "books", "USD"),
        ("unique_visitors", "all", ""),
    ]
    assert {(row.window_start_ms, row.window_end_ms, row.revision) for row in rows} == {(0, 60_000, 5)}
    assert rows[1].revenue == Decimal("1000000000000000000.05")
    assert rows[2].visitors_sketch == aggregate.build_sketch([b"a", b"b"])


def test_totals_are_sums_of_final_windows_by_bucket(sink: Sink) -> None:
    minute_ms = 60_000
    write(sink, *(window(revision, start_ms=number * minute_ms) for number, revision in enumerate((5, 6, 7))))
    write(sink, window(99, start_ms=3 * minute_ms, is_final=False))
    found = {(total.metric, total.bucket_start_ms): total for total in sink.totals(0, 4 * minute_ms, 2 * minute_ms)}
    assert found.keys() == {(name, start_ms) for name in ("event_count", "revenue") for start_ms in (0, 2 * minute_ms)}
    assert found["event_count", 0] == (0, "event_count", "page_view_mobile", "", 11.0)
    assert found["event_count", 2 * minute_ms].value == 7.0
    assert found["revenue", 0].value == pytest.approx(2e18, rel=1e-12)
    assert sink.totals(3 * minute_ms, 4 * minute_ms, minute_ms) == []


def test_writing_again_changes_nothing(sink: Sink) -> None:
    write(sink, window(5))
    before = sink.read(0, 1)
    write(sink, window(5, counts=99))
    assert sink.read(0, 1) == before


def test_a_greater_revision_replaces_and_a_smaller_one_does_not(sink: Sink) -> None:
    write(sink, window(5), window(7))
    write(sink, window(6))
    assert counts(sink) == {0: (7, 7)}


def test_an_early_result_gives_way_to_the_final_one_and_never_replaces_it(sink: Sink) -> None:
    def finals() -> set[tuple[int, bool]]:
        return {(row.revision, row.is_final) for row in sink.read(0, 1)}

    write(sink, window(5, is_final=False))
    assert finals() == {(5, False)}
    write(sink, window(7, is_final=False), window(7))
    assert finals() == {(7, True)}
    # A job that starts again from a checkpoint gives early results of a window that was final before.
    write(sink, window(6, is_final=False), window(7, is_final=False))
    assert finals() == {(7, True)}
    write(sink, window(8, is_final=False))
    assert finals() == {(8, False)}, "more events than in the final result"
    write(sink, window(8))
    assert finals() == {(8, True)}


def test_a_later_revision_may_bring_new_rows(sink: Sink) -> None:
    write(sink, window(5))
    more = window(6)
    more.rows.append(Row("event_count", "purchase_website", "", 1, None, None, None))
    write(sink, more)
    assert len(sink.read(0, 1)) == 4


def test_windows_do_not_touch_each_other(sink: Sink) -> None:
    write(sink, window(1), window(2, start_ms=60_000), window(3, start_ms=120_000))
    assert counts(sink) == {0: (1, 1), 60_000: (2, 2), 120_000: (3, 3)}
    assert [row.window_start_ms for row in sink.read(60_000, 120_000)] == [60_000] * 3


def test_opening_again_keeps_the_rows_and_says_whether_there_are_any(sink: Sink) -> None:
    assert sink.open() is True
    write(sink, window(5))
    assert sink.open() is False
    assert counts(sink) == {0: (5, 5)}


def test_a_sink_waits_for_a_locked_file_and_loses_nothing(tmp_path: Path) -> None:
    sink = duckdb_sink(tmp_path)
    sink.open()
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "metrics.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SinkError, match="stays locked by another process"):
            sink.read(0, 1)
        tries = metrics.RETRIES.labels("duckdb")._value.get()
        writer = threading.Thread(target=write, args=(sink, window(5)))
        writer.start()
        while metrics.RETRIES.labels("duckdb")._value.get() < tries + 5:
            assert writer.is_alive(), "it gave up"
        holder.stdin.close()
        writer.join(30)
    assert counts(sink) == {0: (5, 5)}


def test_waiting_for_a_locked_file_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rtea.sinks.duckdb.sink.WARNING_SECONDS", 0.0)
    sink = duckdb_sink(tmp_path)
    sink.open()
    with duckdb.connect(str(tmp_path / "metrics.duckdb"), read_only=True), pytest.raises(SinkError):
        sink.open()
    assert "is locked by another process" in caplog.text


def test_a_sink_that_waits_for_a_locked_file_stops_when_it_must(tmp_path: Path) -> None:
    sink = DuckDbSink(tmp_path / "metrics.duckdb", "ecommerce_metrics")
    sink.open()
    stop = threading.Event()
    stop.set()
    with duckdb.connect(str(tmp_path / "metrics.duckdb"), read_only=True), pytest.raises(AbandonedError):
        sink.write(Batch([window(5)], "b"), stop)
    assert counts(sink) == {}


def test_another_table_with_that_name_is_one_clear_line(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "metrics.duckdb")) as connection:
        connection.execute("CREATE TABLE ecommerce_metrics (x INTEGER)")
    with pytest.raises(SinkError, match=r"metrics\.duckdb"):
        duckdb_sink(tmp_path).open()


def test_refused_events_are_in_the_health_view_and_in_no_other_figure(tmp_path: Path) -> None:
    sink = duckdb_sink(tmp_path)
    sink.open()
    rows = [
        Row(result.DEAD_LETTERS, reason, "", count, None, None, None) for reason, count in (("empty", 3), ("late", 4))
    ]
    refused = WindowResult(result.VERSION, 0, 60_000, 1, 7, "", rows)
    assert not refused.is_of_events
    assert window(5).is_of_events
    write(sink, window(5), refused)
    with duckdb.connect(str(tmp_path / "metrics.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT reason, events FROM ecommerce_metrics_health ORDER BY reason").fetchall()
    assert found == [("empty", 3), ("late", 4)]
    assert counts(sink) == {0: (5, 5)}


def test_destinations_name_the_table(tmp_path: Path) -> None:
    names = {DuckDbSink(tmp_path / path, table).destination for path in ("a", "b") for table in ("x", "y")}
    assert len(names) == 4
    assert DuckDbSink(tmp_path / "c" / ".." / "a", "x").destination in names


@pytest.mark.parametrize("value", [b"", b"junk", b"\x95\x02\x00\x00\x00\x90", b"\x90", b"\x91\x00"])
def test_a_value_that_is_not_a_result_is_refused_with_its_place(value: bytes) -> None:
    with pytest.raises(result.NotAResultError, match="metrics-0 offset 7"):
        result.decode(value, "metrics-0 offset 7")


def test_a_result_of_a_later_release_stops_the_sink_with_the_remedy() -> None:
    with pytest.raises(SinkError, match="has version 4, this sink reads 3: upgrade the sink"):
        result.decode(msgspec.msgpack.encode([4, "whatever"]), "metrics-0 offset 7")


def test_results_of_earlier_versions_are_read_as_final() -> None:
    rows = [["event_count", "page_view_mobile", "", 4, None, None, None]]
    found = result.decode(msgspec.msgpack.encode([1, 60_000, 120_000, 4, rows]), "p")
    assert found.age == (0, 4, True)
    found = result.decode(msgspec.msgpack.encode([2, 60_000, 120_000, 9, 4, "abc", rows]), "p")
    assert found.age == (9, 4, True)
    assert found.place == (60_000, True)
    assert found.rows == [Row("event_count", "page_view_mobile", "", 4, None, None, None)]


@pytest.mark.parametrize(
    ("start_ms", "end_ms"),
    [
        (-62135596800001, -62135596740001),
        (-60_000, 0),
        (2**62, 2**62 + 60_000),
        (253_402_300_740_000, 253_402_300_800_000),
    ],
)
def test_results_of_impossible_windows_are_not_stored(start_ms: int, end_ms: int) -> None:
    assert not WindowResult(result.VERSION, start_ms, end_ms, 1, 1, "", []).is_storable
    row = Row("event_count", "search_mobile", "", 1, None, None, None)
    assert WindowResult(result.VERSION, 0, 60_000, 1, 1, "", [row]).is_storable
    assert not WindowResult(result.VERSION, 0, 60_000, 1, 1, "", [row, row]).is_storable


@pytest.mark.parametrize(
    "row",
    [
        ["revenue", "books", "USD", None, "abc", None, None],
        ["revenue", "books", "USD", None, "1" * 40, None, None],
        ["event_count", "x", "", 2**64 - 1, None, None, None],
        ["event_count", "x", None, 1, None, None, None],
        ["event_count"],
    ],
)
def test_results_with_rows_that_no_table_can_hold_are_refused(row: list[object]) -> None:
    value = msgspec.msgpack.encode([2, 0, 60_000, 1, 1, "", [row]])
    with pytest.raises(result.NotAResultError, match="metrics-0 offset 7"):
        result.decode(value, "metrics-0 offset 7")


def results(start_ms: int) -> st.SearchStrategy[WindowResult]:
    """Results of one window, of events and of refused events, with any rows."""
    name = st.sampled_from(["a", "b", "c", "(other)"])
    counted = st.builds(
        lambda metric, dimension, currency, count: Row(
            metric, dimension, currency, count, str(count) if metric == "revenue" else None, None, None
        ),
        st.sampled_from(["event_count", "revenue"]), name, st.sampled_from(["", "EUR"]), st.integers(0, 99),
    )  # fmt: skip
    refused = st.builds(
        lambda reason, count: Row(result.DEAD_LETTERS, reason, "", count, None, None, None), name, st.integers(0, 99)
    )
    rows = st.one_of(
        *(
            st.lists(row, min_size=1, max_size=5, unique_by=lambda row: (row.metric, row.dimension, row.currency))
            for row in (counted, refused)
        )
    )
    return st.builds(
        lambda generation, revision, rows, is_final: WindowResult(
            result.VERSION, start_ms, start_ms + 60_000, generation, revision, "", rows, is_final
        ),
        st.integers(1, 2), st.integers(1, 3), rows, st.booleans(),
    )  # fmt: skip


Ages = dict[tuple[int, bool], tuple[tuple[int, int, bool], set[tuple[object, ...]]]]
"""For each place: generation, revision and finality, and the rows."""


def naive(written: list[WindowResult]) -> Ages:
    """The simplest possible sink: a dictionary of windows."""
    table: Ages = {}
    for each in written:
        rows = {(row.metric, row.dimension, row.currency, row.event_count, row.revenue_minor) for row in each.rows}
        if each.place not in table or each.age > table[each.place][0]:
            table[each.place] = (each.age, rows)
    return table


def stored(sink: Sink, start_ms: int) -> Ages:
    found: Ages = {}
    for row in sink.read(start_ms, start_ms + 120_000):
        place = (row.window_start_ms, row.metric != result.DEAD_LETTERS)
        mine = (row.generation, row.revision, row.is_final)
        age, rows = found.setdefault(place, (mine, set()))
        assert age == mine, "rows of two results stand beside each other"
        minor = None if row.revenue is None else str(int(row.revenue * 100))
        rows.add((row.metric, row.dimension, row.currency, row.event_count, minor))
    return found


STARTS = count(0, 120_000)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_newer_result_replaces_its_window_as_a_whole_whatever_the_batches(sink: Sink, data: st.DataObject) -> None:
    start_ms = next(STARTS)
    history = data.draw(st.lists(st.one_of(results(start_ms), results(start_ms + 60_000)), max_size=8))
    cut = data.draw(st.integers(0, len(history)))
    for part in (history[:cut], history[cut:], history[:cut]):
        if part:
            write(sink, *part)
    assert stored(sink, start_ms) == naive(history + history[:cut])


def test_a_row_that_the_newer_result_lacks_is_removed(sink: Sink) -> None:
    older, newer = window(20), window(21)
    older.rows.append(Row("revenue", "zebra", "USD", None, "1000", None, None))
    newer.rows.append(Row("revenue", "(other)", "USD", None, "1000", None, None))
    write(sink, older)
    write(sink, newer)
    assert {row.dimension for row in sink.read(0, 1) if row.metric == "revenue"} == {"books", "(other)"}


def test_a_newer_generation_replaces_a_greater_revision(sink: Sink) -> None:
    write(sink, window(9))
    write(sink, window(3, generation=2))
    write(sink, window(12, generation=1))
    assert counts(sink) == {0: (3, 3)}


@pytest.mark.parametrize("is_opened_again", [False, True])
def test_windows_of_another_length_are_refused(sink: Sink, is_opened_again: bool) -> None:
    write(sink, window(5))
    if is_opened_again:
        sink.open()
    with pytest.raises(SinkError, match=r"holds windows of 60000 ms, the results are of 300000 ms: .*--table"):
        write(sink, window(9, start_ms=300_000, length_ms=300_000))
    assert counts(sink) == {0: (5, 5)}
