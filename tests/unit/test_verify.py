"""Promise: verification finds every difference between rows and manifest, and then fails."""

from dataclasses import replace
from decimal import Decimal

import pytest

from rtea import aggregate, verify
from rtea.manifest import Revenue, Window
from rtea.sinks.contract import StoredRow

WINDOW = Window(
    window_start_ms=0,
    window_end_ms=1000,
    events=3,
    event_count={"page_view_mobile": 2, "purchase_website": 1},
    revenue=[Revenue("books", "EUR", 1250)],
    unique_visitors={"all": 2, "mobile": 1, "website": 1},
)


def row(metric: str, dimension: str, **values: object) -> StoredRow:
    empty = dict.fromkeys(("event_count", "revenue", "unique_visitors", "visitors_sketch"))
    rest = {"currency": "", "revision": 3, "updated_at_ms": 0, "generation": 1, "is_final": True}
    return StoredRow(0, 1000, metric, dimension, **(empty | rest | values))  # type: ignore[arg-type]


def visitors(dimension: str, *names: bytes) -> StoredRow:
    return row("unique_visitors", dimension, unique_visitors=len(names), visitors_sketch=aggregate.build_sketch(names))


ROWS = [
    row("event_count", "page_view_mobile", event_count=2),
    row("event_count", "purchase_website", event_count=1),
    row("revenue", "books", currency="EUR", revenue=Decimal("12.50")),
    visitors("all", b"a", b"b"),
    visitors("mobile", b"a"),
    visitors("website", b"b"),
]


def test_equal_rows_match() -> None:
    assert verify.compare(WINDOW, ROWS) == []


@pytest.mark.parametrize("missing", range(len(ROWS)))
def test_a_missing_row_is_found(missing: int) -> None:
    assert len(verify.compare(WINDOW, ROWS[:missing] + ROWS[missing + 1 :])) == 1


@pytest.mark.parametrize(
    ("index", "changed"),
    [
        (0, {"event_count": 3}),
        (0, {"dimension": "search_mobile"}),
        (0, {"window_end_ms": 2000}),
        (0, {"revision": 4}),
        (0, {"is_final": False}),
        (2, {"revenue": Decimal("12.51")}),
        (2, {"currency": "USD"}),
        (3, {"unique_visitors": 9}),
        (3, {"visitors_sketch": aggregate.build_sketch([b"a"])}),
        (3, {"visitors_sketch": None}),
    ],
)
def test_a_changed_row_is_found(index: int, changed: dict[str, object]) -> None:
    rows = list(ROWS)
    rows[index] = replace(rows[index], **changed)  # type: ignore[arg-type]
    assert verify.compare(WINDOW, rows)


def refused(**values: object) -> StoredRow:
    return row("dead_letters", "empty", event_count=1, **values)


def test_rows_of_refused_events_have_a_revision_of_their_own() -> None:
    assert verify.compare(WINDOW, [*ROWS, refused(revision=1)]) == []


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([*ROWS, ROWS[0]], "event_count page_view_mobile occurs 2 times"),
        ([*ROWS[:2], replace(ROWS[2], revision=2), *ROWS[3:]], "rows of events are of several revisions: 2 of gen"),
        ([*ROWS[:2], replace(ROWS[2], generation=2), *ROWS[3:]], "rows of events are of several revisions: 3 of gen"),
        ([*ROWS, refused(), refused(revision=4)], "rows of dead letters are of several revisions"),
    ],
)
def test_repeated_rows_and_rows_of_two_results_are_named(rows: list[StoredRow], problem: str) -> None:
    assert any(found.startswith(problem) for found in verify.compare(WINDOW, rows))


def test_an_additional_row_is_found() -> None:
    assert verify.compare(WINDOW, [*ROWS, row("event_count", "search_mobile", event_count=1)])


def test_nothing_to_compare_does_not_pass() -> None:
    assert not verify.Report().passed
