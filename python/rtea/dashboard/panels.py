"""What the page shows of a span: a tile for each headline number, a panel for each picture.

A tile or a panel appears if the job counts its series. A series of the registry that has no panel of its own gets a
plain one, so a new metric is on the page without a change here.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rtea import aggregate
from rtea.dashboard.store import Key, Window
from rtea.metrics import registry

TOP = 10
"""Most bars of a panel; the rest is added up."""

ALL = "all"
"""Every source together."""

REST = "(other)"

STEPS = ("product_view", "add_to_cart", "begin_checkout", "add_payment_info", "purchase")
ACTIVE_MINUTES = (5, 30)


class Bucket(NamedTuple):
    """The numbers of one bar."""

    start_ms: int
    numbers: dict[Key, float]


class Span(NamedTuple):
    """What is shown: buckets of the chosen range, the newest windows, the length of a window, one source or `ALL`."""

    buckets: Sequence[Bucket]
    windows: Sequence[Window]
    window_ms: int
    source: str

    def sum(self, series: str, keep: Callable[[str], bool] = lambda _: True, currency: str = "") -> Counter[str]:
        """Sums over all buckets, by dimension."""
        found: Counter[str] = Counter()
        for bucket in self.buckets:
            for (name, dimension, of), value in bucket.numbers.items():
                if name == series and of == currency and keep(dimension):
                    found[dimension] += value  # type: ignore[assignment] # money is a float
        return found

    def merged(self, series: str, dimension: str, minutes: int) -> int:
        """Distinct ids of the final windows of the last minutes."""
        windows = [window for window in self.windows if window.is_final]
        if not windows:
            return 0
        since_ms = windows[-1].end_ms - minutes * 60_000
        sketches = [window.sketches.get((series, dimension, "")) for window in windows if window.start_ms >= since_ms]
        present = [sketch for sketch in sketches if sketch]
        return aggregate.estimate_sketch(aggregate.merge_sketches(present)) if present else 0

    def is_of_source(self, dimension: str) -> bool:
        """Whether a dimension that ends with a source belongs to the chosen one."""
        return self.source == ALL or dimension.endswith(f"_{self.source}")


def of_source(dimension: str) -> tuple[str, str]:
    """A dimension that ends with a source, and the source.

    >>> of_source("add_to_cart_website")
    ('add_to_cart', 'website')
    """
    name, _, source = dimension.rpartition("_")
    return name, source


# Tiles.


def tiles(span: Span) -> list[dict[str, Any]]:
    """The headline numbers."""
    found = [_rate(span), *_active(span), _orders(span), *_revenue(span), _order_value(span), _conversion(span)]
    return [tile for tile in found if tile]


def _tile(id: str, label: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {"id": id, "label": label, "value": value, "unit": "count", "spark": [], "change": None, "note": ""} | more


def _per_window(span: Span, series: str, keep: Callable[[str], bool]) -> list[float]:
    final = [window for window in span.windows if window.is_final][-60:]
    return [
        sum(value for (name, dimension, _), value in window.numbers.items() if name == series and keep(dimension))
        for window in final
    ]


def change(values: Sequence[float]) -> float | None:
    """The last value against the mean of up to ten before it, as a ratio minus one.

    >>> change([10, 10, 15]), change([7])
    (0.5, None)
    """
    before = values[-11:-1]
    mean = sum(before) / len(before) if before else 0
    return values[-1] / mean - 1 if mean else None


def _rate(span: Span) -> dict[str, Any]:
    spark = [count * 1000 / span.window_ms for count in _per_window(span, "event_count", span.is_of_source)]
    value = spark[-1] if spark else None
    return _tile("events", "Events per second", value, spark=spark, change=change(spark), note="newest final minute")


def _active(span: Span) -> list[dict[str, Any]]:
    error = f"± {2 * aggregate.SKETCH_STANDARD_ERROR:.1%}, merged sketches"
    spark = _per_window(span, "unique_visitors", lambda dimension: dimension == span.source)
    return [
        _tile(
            f"active-{minutes}",
            f"Visitors, last {minutes} minutes",
            span.merged("unique_visitors", span.source, minutes),
            spark=spark,
            change=change(spark) if minutes == ACTIVE_MINUTES[0] else None,
            note=error,
        )
        for minutes in ACTIVE_MINUTES
    ]


def _orders(span: Span) -> dict[str, Any] | None:
    orders = _total(span, "orders")
    if orders is None:
        return None
    spark = _per_window(span, "orders", lambda dimension: _is_of(span, dimension))
    return _tile("orders", "Orders", orders, spark=spark, change=change(spark), note="in the chosen range")


def _is_of(span: Span, dimension: str) -> bool:
    return dimension != ALL if span.source == ALL else dimension == span.source


def _total(span: Span, series: str) -> float | None:
    """The sum of a series by source, None if it is not counted."""
    found = span.sum(series, lambda dimension: _is_of(span, dimension))
    is_counted = any(name == series for bucket in span.buckets for name, _, _ in bucket.numbers)
    return sum(found.values()) if is_counted else None


def _by_currency(span: Span, series: str = "revenue") -> Counter[str]:
    found: Counter[str] = Counter()
    for bucket in span.buckets:
        for (name, _, currency), value in bucket.numbers.items():
            if name == series:
                found[currency] += value  # type: ignore[assignment] # money is a float
    return found


def _revenue(span: Span) -> list[dict[str, Any]]:
    note = "in the chosen range" + ("" if span.source == ALL else ", all sources")
    found = []
    for currency, amount in _by_currency(span).most_common(3):
        spark = [
            sum(v for (name, _, c), v in window.numbers.items() if name == "revenue" and c == currency)
            for window in span.windows
            if window.is_final
        ][-60:]
        more = {"unit": "money", "currency": currency, "spark": spark, "change": change(spark), "note": note}
        found.append(_tile(f"revenue-{currency}", f"Revenue, {currency}", amount, **more))
    return found


def _order_value(span: Span) -> dict[str, Any] | None:
    orders, amounts = _total(span._replace(source=ALL), "orders"), _by_currency(span)
    if not orders or len(amounts) != 1:
        return None  # Orders are not counted by currency.
    ((currency, amount),) = amounts.items()
    more = {"unit": "money", "currency": currency, "note": "revenue by orders, all sources"}
    return _tile("order-value", "Average order value", amount / orders, **more)


def _conversion(span: Span) -> dict[str, Any] | None:
    sessions = span.merged("sessions", span.source, ACTIVE_MINUTES[1])
    if not sessions:
        return None
    steps = dict(_steps(span))
    return _tile(
        "conversion", "Conversion", steps.get(STEPS[-1], 0) / sessions, unit="percent", note="sessions of 30 minutes"
    )


# Panels.


def panels(span: Span) -> list[dict[str, Any]]:
    """The pictures: those with a shape of their own, then all other series of the registry."""
    found = [_types(span), _sources(span), _categories(span), _funnel(span), _products(span), _countries(span)]
    return [panel for panel in [*found, *_others(span)] if panel]


def _panel(
    id: str, title: str, kind: str, labels: Sequence[Any], series: list[tuple[str, list[float]]], **more: Any
) -> dict[str, Any]:
    lines = [{"name": name, "values": values} for name, values in series]
    made = {"id": id, "title": title, "kind": kind, "unit": "count", "note": ""}
    return made | {"labels": list(labels), "series": lines} | more


def _over_time(span: Span, id: str, title: str, kind: str, group: Callable[[str], str | None]) -> dict[str, Any]:
    names = Counter[str]()
    rows: list[Counter[str]] = []
    for bucket in span.buckets:
        row: Counter[str] = Counter()
        for (name, dimension, _), value in bucket.numbers.items():
            if name == "event_count" and (into := group(dimension)) is not None:
                row[into] += int(value)
        rows.append(row)
        names += row
    kept = [name for name, _ in names.most_common(TOP)]
    rest = set(names) - set(kept)
    series = [(name, [float(row[name]) for row in rows]) for name in kept]
    if rest:
        series.append((REST, [float(sum(row[name] for name in rest)) for row in rows]))
    return _panel(id, title, kind, [bucket.start_ms for bucket in span.buckets], series)


def _types(span: Span) -> dict[str, Any]:
    def group(dimension: str) -> str | None:
        return of_source(dimension)[0] if span.is_of_source(dimension) else None

    return _over_time(span, "types", "Events by type", "stacked", group)


def _sources(span: Span) -> dict[str, Any]:
    return _over_time(span, "sources", "Events by source", "lines", lambda dimension: of_source(dimension)[1])


def _bars(id: str, title: str, amounts: Counter[str], note: str = "", **more: Any) -> dict[str, Any] | None:
    """The greatest amounts; the rest, which may be far more, is in the note."""
    rest = float(amounts.pop(REST, 0))
    top = amounts.most_common(TOP)
    if not top:
        return None
    rest += sum(amounts.values()) - sum(value for _, value in top)
    values = [float(value) for _, value in top]
    made = _panel(id, title, "bars", [name for name, _ in top], [(title, values)], note=note, **more)
    return made | {"rest": round(rest, 2) if rest > 0.005 else None}


def _categories(span: Span) -> dict[str, Any] | None:
    return _of_main_currency(span, "revenue", "categories", "Revenue by category", _of_all(span))


def _of_main_currency(span: Span, series: str, id: str, title: str, note: str) -> dict[str, Any] | None:
    """Amounts of the currency with the most revenue: those of several must not be added up."""
    currencies = _by_currency(span, series).most_common(1)
    if not currencies:
        return None
    ((currency, _),) = currencies
    found = span.sum(series, currency=currency)
    return _bars(id, f"{title}, {currency}", found, note, unit="money", currency=currency)


def _of_all(span: Span) -> str:
    return "" if span.source == ALL else "all sources"


def _steps(span: Span) -> list[tuple[str, int]]:
    """Sessions of the last half hour that reached each step."""
    found = []
    for step in STEPS:
        sketches = [
            sketch
            for window in span.windows
            if window.is_final
            for (name, dimension, _), sketch in window.sketches.items()
            if name == "funnel" and of_source(dimension)[0] == step and span.is_of_source(dimension)
        ]
        found.append((step, aggregate.estimate_sketch(aggregate.merge_sketches(sketches)) if sketches else 0))
    return found


def _funnel(span: Span) -> dict[str, Any] | None:
    steps = _steps(span)
    if not any(count for _, count in steps):
        return None
    labels, counts = [name for name, _ in steps], [float(count) for _, count in steps]
    title = "Sessions on the way to a purchase"
    return _panel("funnel", title, "bars", labels, [("sessions", counts)], note="last 30 minutes")


def _products(span: Span) -> dict[str, Any] | None:
    return _bars("products", "Most viewed products", span.sum("product_views"), note=_of_all(span))


def _countries(span: Span) -> dict[str, Any] | None:
    found = span.sum("audience_events", lambda dimension: dimension.startswith("country:"))
    by_name: Counter[str] = Counter({name.partition(":")[2]: value for name, value in found.items()})
    return _bars("countries", "Events by country", by_name, note=_of_all(span))


SHOWN = frozenset(
    {"event_count", "revenue", "unique_visitors", "orders", "sessions", "funnel", "product_views", "audience_events"}
)
"""Series that a tile or a panel above shows."""


def _others(span: Span) -> list[dict[str, Any] | None]:
    """A plain panel for each other series whose values add up."""
    found = []
    for series in (series for metric in registry().values() for series in metric):
        if series.name in SHOWN:
            continue
        title = series.name.replace("_", " ").capitalize()
        if series.unit == "count":
            found.append(_bars(series.name, title, span.sum(series.name), series.description))
        elif series.unit == "money":
            found.append(_of_main_currency(span, series.name, series.name, title, series.description))
    return found
