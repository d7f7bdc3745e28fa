"""The table of the windows' rows, the same in every sink: its columns, its key, and a result's rows.

A sink maps each kind to a type of its own. `rows` turns a result record into values in the order of the columns.
"""

from collections.abc import Iterable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Literal, NamedTuple

from rtea import money
from rtea.errors import SinkError
from rtea.sinks.result import WindowResult

Kind = Literal["timestamp", "string", "int64", "decimal", "bytes", "bool"]


class Column(NamedTuple):
    """One column; `required` means NOT NULL."""

    name: str
    kind: Kind
    required: bool
    description: str


COLUMNS = (
    Column("window_start", "timestamp", True, "Start of the event-time window, UTC, inclusive."),
    Column("window_end", "timestamp", True, "End of the window, UTC, exclusive."),
    Column("metric", "string", True, "Name of the series, for example event_count; dead_letters for refused events."),
    Column(
        "dimension",
        "string",
        True,
        "What was counted, for example page_view_mobile; its meaning depends on the series.",
    ),
    Column("currency", "string", True, "ISO 4217 code of an amount; empty for other series."),
    Column("event_count", "int64", False, "The number, in series of counts."),
    Column("revenue", "decimal", False, "The amount in major units, in series of money."),
    Column("unique_visitors", "int64", False, "The estimate, in series of distinct ids."),
    Column("visitors_sketch", "bytes", False, "HLL++ sketch of the distinct ids (precision 15), for HLL_COUNT."),
    Column("revision", "int64", True, "Number of events in the result; grows with each correction."),
    Column("updated_at", "timestamp", True, "When the row was written."),
    Column("generation", "int64", False, "When the job's settings were first submitted, ms: newer replaces older."),
    Column("is_final", "bool", False, "Whether the watermark has passed the window's end; null in old rows, as true."),
)
KEY = ("window_start", "metric", "dimension", "currency")


def require_length(known_ms: int | None, results: Iterable[WindowResult], table_name: str) -> None:
    """Refuse results whose windows have another length than those in the table (`known_ms`, None for an empty table):
    events in overlapping windows would count twice.

    Raises:
        SinkError: a result has another window length.
    """
    for result in results:
        length_ms = result.window_end_ms - result.window_start_ms
        known_ms = length_ms if known_ms is None else known_ms
        if length_ms != known_ms:
            raise SinkError(
                f"table {table_name} holds windows of {known_ms} ms, the results are of {length_ms} ms: "
                "choose another table with --table, and another kafka.results_topic if this one holds both"
            )


Value = str | int | bytes | bool | Decimal | datetime | None


def rows(result: WindowResult, written_at: datetime) -> list[tuple[Value, ...]]:
    """A result's rows as values in the order of `COLUMNS`.

    >>> from rtea.sinks.result import Row
    >>> row = Row("revenue", "books", "USD", None, "1250", None, None)
    >>> rows(WindowResult(2, 0, 60_000, 1, 3, "", [row]), datetime.now(timezone.utc))[0][6]
    Decimal('12.50')
    """
    start, end = (
        datetime.fromtimestamp(ms / 1000, timezone.utc) for ms in (result.window_start_ms, result.window_end_ms)
    )
    return [
        (
            start,
            end,
            row.metric,
            row.dimension,
            row.currency,
            row.event_count,
            None if row.revenue_minor is None else money.major_units(row.revenue_minor, row.currency),
            row.unique_visitors,
            row.visitors_sketch,
            result.revision,
            written_at,
            result.generation,
            result.is_final,
        )
        for row in result.rows
    ]
