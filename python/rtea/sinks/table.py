"""The table of the windows' rows, the same in every sink: its columns, its key, and a result as rows.

A sink translates the kinds into its own types; `rows` turns a result record into values in column order.
"""

from datetime import datetime, timezone
from decimal import Decimal
from typing import Literal, NamedTuple

from rtea.sinks.result import WindowResult

Kind = Literal["timestamp", "string", "int64", "decimal", "bytes"]


class Column(NamedTuple):
    """One column; `required` is NOT NULL."""

    name: str
    kind: Kind
    required: bool
    description: str


COLUMNS = (
    Column("window_start", "timestamp", True, "Start of the event-time window, UTC, inclusive."),
    Column("window_end", "timestamp", True, "End of the window, UTC, exclusive."),
    Column("metric", "string", True, "event_count, revenue or unique_visitors."),
    Column(
        "dimension",
        "string",
        True,
        "Event type and source (page_view_mobile); a product category; all, mobile, website.",
    ),
    Column("currency", "string", True, "ISO 4217 code of revenue; empty elsewhere."),
    Column("event_count", "int64", False, "Number of events; of event_count."),
    Column("revenue", "decimal", False, "Revenue of purchases in major units; of revenue."),
    Column("unique_visitors", "int64", False, "Estimated distinct visitors; of unique_visitors."),
    Column("visitors_sketch", "bytes", False, "HLL++ sketch of the visitors (precision 15), for HLL_COUNT."),
    Column("revision", "int64", True, "Events counted in the window: a correction has a greater one."),
    Column("updated_at", "timestamp", True, "When the row was written."),
)
KEY = ("window_start", "metric", "dimension", "currency")

Value = str | int | bytes | Decimal | datetime | None


def rows(result: WindowResult, written_at: datetime) -> list[tuple[Value, ...]]:
    """A result's rows as values in the order of `COLUMNS`.

    >>> from rtea.sinks.result import Row
    >>> row = Row("revenue", "books", "USD", None, "1250", None, None)
    >>> rows(WindowResult(1, 0, 60_000, 3, [row]), datetime.now(timezone.utc))[0][6]
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
            None if row.revenue_minor is None else Decimal(row.revenue_minor).scaleb(-2),
            row.unique_visitors,
            row.visitors_sketch,
            result.revision,
            written_at,
        )
        for row in result.rows
    ]
