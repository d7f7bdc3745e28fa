"""What a contender answers: its rows in the simplest form, and how they differ from the manifest."""

from collections.abc import Collection, Iterable

import msgspec

from rtea.aggregate import SKETCH_STANDARD_ERROR
from rtea.manifest import Window

Key = tuple[int, str, str, str]
"""Window start in ms, metric, dimension, currency."""

Answer = dict[Key, int]
"""Counts, revenue in minor units, and (estimated) visitors."""

METRICS = ("event_count", "revenue", "unique_visitors")

STANDARD_ERRORS = 4


class Row(msgspec.Struct):
    """One line of a rival."""

    window_start_ms: int
    metric: str
    dimension: str
    currency: str
    value: int

    @property
    def key(self) -> Key:
        """What identifies the row."""
        return self.window_start_ms, self.metric, self.dimension, self.currency


def expected(windows: Iterable[Window], metrics: Collection[str] = METRICS) -> Answer:
    """The manifest's rows of some windows."""
    rows: Answer = {}
    for window in windows:
        start_ms = window.window_start_ms
        rows |= {(start_ms, "event_count", kind, ""): count for kind, count in window.event_count.items()}
        rows |= {(start_ms, "revenue", sale.category, sale.currency): sale.minor for sale in window.revenue}
        rows |= {(start_ms, "unique_visitors", name, ""): count for name, count in window.unique_visitors.items()}
    return {key: value for key, value in rows.items() if key[1] in metrics}


def without_all_visitors(wanted: Answer) -> Answer:
    """The rows of a rival that counts visitors by source only.

    >>> without_all_visitors({(0, "unique_visitors", "all", ""): 3, (0, "unique_visitors", "mobile", ""): 2})
    {(0, 'unique_visitors', 'mobile', ''): 2}
    """
    return {key: value for key, value in wanted.items() if key[1:3] != ("unique_visitors", "all")}


def differences(wanted: Answer, found: Answer) -> list[str]:
    """What is missing or wrong in an answer. Visitors may differ by the error of a sketch.

    >>> differences({(0, "revenue", "books", "USD"): 1250}, {(0, "revenue", "books", "USD"): 1251})
    ["(0, 'revenue', 'books', 'USD') is 1251, expected 1250"]
    """
    return [
        f"{key} is {found.get(key)}, expected {value}"
        for key, value in wanted.items()
        if key not in found or abs(found[key] - value) > _tolerance(key[1], value)
    ]


def _tolerance(metric: str, value: int) -> float:
    return STANDARD_ERRORS * SKETCH_STANDARD_ERROR * value + 1 if metric == "unique_visitors" else 0
