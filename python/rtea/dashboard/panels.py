"""What the page shows of a span: a tile for each headline number, a panel for each picture.

A tile or a panel appears if the job counts its series. A series of the registry that has no panel of its own gets a
plain one, so a new metric is on the page without a change here.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
CHANGE_MINUTES = 10
CURRENCIES = 3
"""Most currencies with a tile of their own."""

MINUTE_MS = 60_000
IN_RANGE = "in the chosen range"


class Bucket(NamedTuple):
    """The numbers of one bar."""

    start_ms: int
    numbers: Mapping[Key, float]


class Span(NamedTuple):
    """What is shown: buckets of the chosen range, the final windows in memory (oldest first), one source or `ALL`."""

    buckets: Sequence[Bucket]
    windows: Sequence[Window]
    source: str

    def sum(self, series: str, keep: Callable[[str], bool] = lambda _: True, currency: str = "") -> Counter[str]:
        """Sums over all buckets, by dimension."""
        found: Counter[str] = Counter()
        for bucket in self.buckets:
            for (name, dimension, of), value in bucket.numbers.items():
                if name == series and of == currency and keep(dimension):
                    found[dimension] += value  # type: ignore[assignment] # money is a float
        return found

    def has(self, series: str) -> bool:
        """Whether the job counts a series."""
        return any(name == series for bucket in self.buckets for name, _, _ in bucket.numbers)

    def last(self, minutes: int) -> list[Window]:
        """The windows that end in the last minutes of event time; the newest one at least."""
        if not self.windows:
            return []
        since_ms = self.windows[-1].end_ms - minutes * MINUTE_MS
        return [window for window in self.windows if window.end_ms > since_ms]

    def merged(self, series: str, minutes: int, keep: Callable[[str], bool]) -> int:
        """Distinct ids of the last minutes, in the dimensions to keep."""
        sketches = [
            sketch
            for window in self.last(minutes)
            for (name, dimension, _), sketch in window.sketches.items()
            if name == series and keep(dimension)
        ]
        return aggregate.estimate_sketch(aggregate.merge_sketches(sketches)) if sketches else 0

    def is_of_source(self, dimension: str) -> bool:
        """Whether a dimension that ends with a source belongs to the chosen one."""
        return self.source == ALL or dimension.endswith(f"_{self.source}")

    def line(self, series: str, keep: Callable[[str], bool] = lambda _: True, currency: str = "") -> list[float]:
        """The value of each window of the last hour, of a dozen at least."""
        return [
            sum(
                value
                for (name, dimension, of), value in window.numbers.items()
                if name == series and of == currency and keep(dimension)
            )
            for window in self.windows[-max(len(self.last(60)), 12) :]
        ]

    @property
    def window_ms(self) -> int:
        """Length of the newest window."""
        return self.windows[-1].end_ms - self.windows[-1].start_ms if self.windows else MINUTE_MS


def of_source(dimension: str) -> tuple[str, str]:
    """A dimension that ends with a source, and the source.

    >>> of_source("add_to_cart_website")
    ('add_to_cart', 'website')
    """
    name, _, source = dimension.rpartition("_")
    return name, source


# Tiles.


def tiles(span: Span) -> list[dict[str, Any]]:
    """The headline numbers of what the job counts."""
    found = [*_rate(span), *_active(span), *_orders(span), *_revenue(span), *_order_value(span), *_conversion(span)]
    return [_with_change(tile, span) for tile in found]


def _tile(id: str, label: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {"id": id, "label": label, "value": value, "unit": "count", "spark": [], "note": ""} | more


def _with_change(tile: dict[str, Any], span: Span) -> dict[str, Any]:
    """Add how the newest window compares with the mean of the ten minutes before it, or of the window before."""
    before = max(1, CHANGE_MINUTES * MINUTE_MS // span.window_ms)
    against = f"newest window vs. {CHANGE_MINUTES} min before" if before > 1 else "newest window vs. the one before"
    return tile | {"change": change(tile["spark"], before), "against": against}


def change(values: Sequence[float], before: int) -> float | None:
    """The last value against the mean of those before it, as a ratio minus one.

    >>> change([10, 10, 15], 10), change([7], 10)
    (0.5, None)
    """
    earlier = values[-before - 1 : -1]
    mean = sum(earlier) / len(earlier) if earlier else 0
    return values[-1] / mean - 1 if mean else None


def _rate(span: Span) -> list[dict[str, Any]]:
    if span.buckets and not span.has("event_count"):
        return []
    spark = [count * 1000 / span.window_ms for count in span.line("event_count", span.is_of_source)]
    return [_tile("events", "Events per second", spark[-1] if spark else None, spark=spark, note="newest final window")]


def _active(span: Span) -> list[dict[str, Any]]:
    if not span.has("unique_visitors"):
        return []
    error = f"± {2 * aggregate.SKETCH_STANDARD_ERROR:.1%}, merged sketches"

    def keep(dimension: str) -> bool:
        return dimension == span.source

    def label(minutes: int) -> str:
        minutes = max(minutes, span.window_ms // MINUTE_MS)
        return f"Visitors, last {minutes} minutes" if minutes < 60 else f"Visitors, last {minutes / 60:g} h"

    spark = span.line("unique_visitors", keep)
    least, most = ACTIVE_MINUTES
    shown = [
        _tile(
            f"active-{minutes}", label(minutes), span.merged("unique_visitors", minutes, keep), spark=line, note=error
        )
        for minutes, line in ((least, spark), (most, []))
    ]
    return shown if span.window_ms < most * MINUTE_MS else shown[:1]


def _is_of(span: Span, dimension: str) -> bool:
    return dimension != ALL if span.source == ALL else dimension == span.source


def _orders(span: Span) -> list[dict[str, Any]]:
    if not span.has("orders"):
        return []

    def keep(dimension: str) -> bool:
        return _is_of(span, dimension)

    orders = sum(span.sum("orders", keep).values())
    return [_tile("orders", "Orders", orders, spark=span.line("orders", keep), note=IN_RANGE)]


def _by_currency(buckets: Sequence[Bucket], series: str = "revenue") -> Counter[str]:
    found: Counter[str] = Counter()
    for bucket in buckets:
        for (name, _, currency), value in bucket.numbers.items():
            if name == series:
                found[currency] += value  # type: ignore[assignment] # money is a float
    return found


def _revenue(span: Span) -> list[dict[str, Any]]:
    amounts = _by_currency(span.buckets).most_common()
    found = []
    for currency, amount in amounts[:CURRENCIES]:
        note = IN_RANGE + ("" if span.source == ALL else ", all sources")
        spark = span.line("revenue", currency=currency)
        more = {"unit": "money", "currency": currency, "spark": spark, "note": note}
        found.append(_tile(f"revenue-{currency}", f"Revenue, {currency}", amount, **more))
    if len(amounts) > CURRENCIES:
        found[-1]["note"] += f"; {len(amounts) - CURRENCIES} more currencies"
    return found


def _order_value(span: Span) -> list[dict[str, Any]]:
    # `orders` may have been switched on later than `revenue`.
    both = [bucket for bucket in span.buckets if any(name == "orders" for name, _, _ in bucket.numbers)]
    orders = sum(Span(both, (), ALL).sum("orders", lambda dimension: dimension != ALL).values())
    amounts = _by_currency(both)
    if not orders or len(amounts) != 1:
        return []  # Orders are not counted by currency.
    ((currency, amount),) = amounts.items()
    more = {"unit": "money", "currency": currency, "note": "revenue by orders, all sources"}
    return [_tile("order-value", "Average order value", amount / orders, **more)]


def _conversion(span: Span) -> list[dict[str, Any]]:
    sessions = span.merged("sessions", ACTIVE_MINUTES[1], lambda dimension: dimension == span.source)
    steps = dict(_steps(span))
    if not sessions or not any(steps.values()):
        return []
    value = min(1.0, steps[STEPS[-1]] / sessions)  # Both are estimates.
    return [_tile("conversion", "Conversion", value, unit="percent", note=_last_text(span, "sessions of the last"))]


def _last_text(span: Span, what: str) -> str:
    windows = span.last(ACTIVE_MINUTES[1])
    minutes = (windows[-1].end_ms - windows[0].start_ms) / MINUTE_MS if windows else 0
    return f"{what} {minutes:g} minutes"


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
    currencies = _by_currency(span.buckets, series).most_common(1)
    if not currencies:
        return None
    ((currency, _),) = currencies
    found = span.sum(series, currency=currency)
    return _bars(id, f"{title}, {currency}", found, note, unit="money", currency=currency)


def _of_all(span: Span) -> str:
    return "" if span.source == ALL else "all sources"


def _steps(span: Span) -> list[tuple[str, int]]:
    """Sessions that reached each step, of the same windows as the sessions of the conversion."""

    def reached(step: str) -> int:
        def keep(dimension: str) -> bool:
            return of_source(dimension)[0] == step and span.is_of_source(dimension)

        return span.merged("funnel", ACTIVE_MINUTES[1], keep)

    return [(step, reached(step)) for step in STEPS]


def _funnel(span: Span) -> dict[str, Any] | None:
    steps = _steps(span)
    if not any(count for _, count in steps):
        return None
    labels, counts = [name for name, _ in steps], [float(count) for _, count in steps]
    title = "Sessions on the way to a purchase"
    return _panel("funnel", title, "bars", labels, [("sessions", counts)], note=_last_text(span, "the last"))


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
