"""Results of three hours of windows, and naive answers to the ready queries about them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from rtea import aggregate
from rtea.sinks import result
from rtea.sinks.result import Row, WindowResult

SOURCES = ("mobile", "website")
STEPS = ("product_view", "add_to_cart", "begin_checkout", "add_payment_info", "purchase")
WINDOW_MS = 60_000
EVERY_MS = 600_000

HOUR = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
"""Start of the first window."""

Answer = dict[tuple[object, ...], tuple[object, ...]]
"""Values by key."""


def ids(number: int, offset: int = 0) -> set[bytes]:
    """Ids of a window: most of them are in the window before, too."""
    return {b"%d" % each for each in range(number * 3 + offset, number * 3 + offset + 10)}


def rows(number: int) -> list[Row]:
    """What a window has."""
    found = []
    for at, source in enumerate(SOURCES):
        for step, kind in enumerate(STEPS):
            found.append(Row("event_count", f"{kind}_{source}", "", (number + 1) * (9 - step) + at, None, None, None))
            reached = ids(number, at) if step < 4 else set(sorted(ids(number, at))[:3])
            found.append(Row("funnel", f"{kind}_{source}", "", None, None, 1, aggregate.build_sketch(sorted(reached))))
        found.append(Row("orders", source, "", number + 2 + at, None, None, None))
        for metric in ("unique_visitors", "sessions"):
            sketch = aggregate.build_sketch(sorted(ids(number, at)))
            found.append(Row(metric, source, "", None, None, 10, sketch))
    everybody = aggregate.build_sketch(sorted(ids(number) | ids(number, 1)))
    found += [Row(metric, "all", "", None, None, 11, everybody) for metric in ("unique_visitors", "sessions")]
    for place, product in enumerate(("a", "b", "(other)")):
        for metric, factor in (("product_views", 9), ("product_carts", 3), ("product_units", 1)):
            found.append(Row(metric, product, "", (number + 1) * factor + place, None, None, None))
    found += [
        Row("revenue", category, "EUR", None, str(number * 1_001 + 5), None, None) for category in ("books", "home")
    ]
    return found


def results() -> list[WindowResult]:
    """A window every ten minutes for three hours; the last hour is not over. One has refused events."""
    windows = []
    for number in range(18):
        start_ms = int(HOUR.timestamp() * 1000) + number * EVERY_MS
        windows.append(WindowResult(result.VERSION, start_ms, start_ms + WINDOW_MS, 1, 10, "", rows(number)))
    refused = [Row(result.DEAD_LETTERS, "late", "", 7, None, None, None)]
    first_ms = windows[0].window_start_ms
    return [*windows, WindowResult(result.VERSION, first_ms, first_ms + WINDOW_MS, 1, 7, "", refused)]


def _rows(metric: str) -> list[tuple[datetime, Row]]:
    return [
        (datetime.fromtimestamp(window.window_start_ms / 1000, timezone.utc), row)
        for window in results()
        for row in window.rows
        if row.metric == metric
    ]


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0)


def distinct(metric: str, *, by_day: bool) -> Answer:
    """Distinct ids by day or hour and source."""
    found: dict[tuple[object, ...], set[bytes]] = defaultdict(set)
    for number in range(18):
        time = HOUR + timedelta(milliseconds=number * EVERY_MS)
        for at, source in enumerate(SOURCES):
            for name in (source, "all"):
                found[time.date() if by_day else _hour(time), name] |= ids(number, at)
    assert _rows(metric)
    return {key: (len(each),) for key, each in found.items()}


def conversion() -> Answer:
    """Sessions that viewed, put into the cart and bought, by day and source."""
    found: dict[tuple[date, str], tuple[set[bytes], set[bytes]]] = defaultdict(lambda: (set(), set()))
    for number in range(18):
        day = (HOUR + timedelta(milliseconds=number * EVERY_MS)).date()
        for at, source in enumerate(SOURCES):
            reached, bought = found[day, source]
            reached |= ids(number, at)
            bought |= set(sorted(ids(number, at))[:3])
    return {
        key: (len(reached), len(reached), len(bought), len(bought) / len(reached), 1 - len(bought) / len(reached))
        for key, (reached, bought) in found.items()
    }


def revenue_by_category() -> Answer:
    """Amounts by day, category and currency."""
    found: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    for time, row in _rows("revenue"):
        found[time.date(), row.dimension, row.currency] += Decimal(row.revenue_minor or 0) / 100
    return {key: (amount,) for key, amount in found.items()}


def average_order_value() -> Answer:
    """Orders, revenue and their quotient by day and currency."""
    orders: dict[date, int] = defaultdict(int)
    amounts: dict[date, Decimal] = defaultdict(Decimal)
    for time, row in _rows("orders"):
        orders[time.date()] += row.event_count or 0
    for time, row in _rows("revenue"):
        amounts[time.date()] += Decimal(row.revenue_minor or 0) / 100
    return {(day, "EUR"): (orders[day], amounts[day], float(amounts[day]) / orders[day]) for day in orders}


def top_products() -> Answer:
    """Views, carts and units by product."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for place, metric in enumerate(("product_views", "product_carts", "product_units")):
        for _, row in _rows(metric):
            found[row.dimension][place] += row.event_count or 0
    del found["(other)"]
    return {(product,): tuple(counts) for product, counts in found.items()}


def movers() -> Answer:
    """Counts of the two newest whole hours by type and source."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for time, row in _rows("event_count"):
        hour = int((_hour(time) - HOUR) / timedelta(hours=1))
        if hour in (0, 1):
            found[row.dimension][1 - hour] += row.event_count or 0
    return {(name,): (last, before, last - before, last / before) for name, (last, before) in found.items()}


def pipeline_health() -> Answer:
    """Events by hour and reason; no reason for counted ones."""
    found: dict[tuple[object, ...], int] = defaultdict(int)
    for metric in ("event_count", result.DEAD_LETTERS):
        for time, row in _rows(metric):
            found[_hour(time), row.dimension if metric == result.DEAD_LETTERS else ""] += row.event_count or 0
    return {key: (count,) for key, count in found.items()}


def latest_complete_hour() -> Answer:
    """Counts and amounts of the second hour."""
    hour = HOUR + timedelta(hours=1)
    found: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    for metric in ("event_count", "revenue", "orders", "product_views", "product_carts", "product_units"):
        for time, row in _rows(metric):
            if _hour(time) == hour:
                amount = row.event_count or Decimal(row.revenue_minor or 0) / 100
                found[hour, row.metric, row.dimension, row.currency] += amount
    return {key: (amount,) for key, amount in found.items()}


ANSWERS: dict[str, tuple[int, list[str], Callable[[], Answer]]] = {
    "daily_uniques": (2, ["unique_visitors"], lambda: distinct("unique_visitors", by_day=True)),
    "hourly_uniques": (2, ["unique_visitors"], lambda: distinct("unique_visitors", by_day=False)),
    "daily_sessions": (2, ["sessions"], lambda: distinct("sessions", by_day=True)),
    "hourly_sessions": (2, ["sessions"], lambda: distinct("sessions", by_day=False)),
    "conversion": (
        2,
        ["product_views", "carts", "purchases", "conversion", "cart_abandonment"],
        conversion,
    ),
    "revenue_by_category": (3, ["revenue"], revenue_by_category),
    "average_order_value": (2, ["orders", "revenue", "average_order_value"], average_order_value),
    "top_products": (1, ["views", "carts", "units"], top_products),
    "movers": (1, ["last_hour", "hour_before", "difference", "ratio"], movers),
    "pipeline_health": (2, ["events"], pipeline_health),
    "latest_complete_hour": (4, ["coalesce(event_count, revenue)"], latest_complete_hour),
}
"""Number of key columns, the values, and the naive answer."""


def assert_answers(rows: Iterable[Sequence[object]], keys: int, expected: Answer) -> None:
    """Compare rows, of which the first columns are the key; rows without a first value do not count."""
    found = {tuple(row[:keys]): row[keys:] for row in rows if row[keys] is not None}
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert [float(str(value)) for value in found[key]] == pytest.approx([float(str(value)) for value in values])
