"""The numbers of the windows in memory: each window of the last hours, and sums of longer ago from the table.

A window's newest result replaces it as a whole, as in a sink (`rtea.sinks.result`). Memory is limited: windows leave
after `KEEP_MS` and join the sums, sketches leave after `KEEP_SKETCHES_MS`.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from rtea import money
from rtea.sinks.contract import Total
from rtea.sinks.result import DEAD_LETTERS, WindowResult

KEEP_MS = 3 * 3_600_000
"""How long before the newest window a window is kept."""

KEEP_SKETCHES_MS = 35 * 60_000
"""How long sketches are kept: the page merges those of 30 minutes."""

WITH_SKETCHES = frozenset({"unique_visitors", "sessions", "funnel"})
"""Series whose sketches the page merges."""

Key = tuple[str, str, str]
"""Series, dimension and currency."""


@dataclass
class Window:
    """The rows of a window: numbers by key (counts, estimates, or money in major units), and sketches."""

    start_ms: int
    end_ms: int
    generation: int = -1
    revision: int = -1
    is_final: bool = False
    is_corrected: bool = False
    numbers: dict[Key, float] = field(default_factory=dict)
    sketches: dict[Key, bytes] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def age(self) -> tuple[int, int, bool]:
        """Which of two states is newer, as in `WindowResult`."""
        return self.generation, self.revision, self.is_final


class Store:
    """All windows in memory, for one writer and many readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[int, Window] = {}
        self._refused_ages: dict[int, tuple[int, int, bool]] = {}
        self._totals: dict[int, dict[Key, float]] = {}
        self.version = 0
        """Grows with every change."""

    def add(self, results: Iterable[WindowResult]) -> None:
        """Take results in the topic's order."""
        with self._lock:
            for result in results:
                if result.is_of_events:
                    self._add_events(result)
                else:
                    self._add_refused(result)
                self.version += 1
            self._forget()

    def _window(self, result: WindowResult) -> Window:
        fresh = Window(result.window_start_ms, result.window_end_ms)
        return self._windows.setdefault(result.window_start_ms, fresh)

    def _add_events(self, result: WindowResult) -> None:
        window = self._window(result)
        if result.age <= window.age:
            return
        window.is_corrected = window.is_final and result.revision > window.revision
        window.generation, window.revision, window.is_final = result.age
        window.numbers, window.sketches = {}, {}
        for row in result.rows:
            key = row.metric, row.dimension, row.currency
            if row.revenue_minor is not None:
                window.numbers[key] = float(money.major_units(int(row.revenue_minor), row.currency))
            else:
                count = row.event_count if row.event_count is not None else row.unique_visitors
                window.numbers[key] = float(count or 0)
            if row.visitors_sketch is not None and row.metric in WITH_SKETCHES:
                window.sketches[key] = row.visitors_sketch

    def _add_refused(self, result: WindowResult) -> None:
        if result.age > self._refused_ages.get(result.window_start_ms, (-1, -1, False)):
            self._refused_ages[result.window_start_ms] = result.age
            window = self._window(result)
            window.refused = {row.dimension: row.event_count or 0 for row in result.rows if row.metric == DEAD_LETTERS}

    def add_totals(self, totals: Iterable[Total]) -> None:
        """Take sums of windows before those in memory, from the table."""
        with self._lock:
            for total in totals:
                bucket = self._totals.setdefault(total.bucket_start_ms, defaultdict(float))
                bucket[total.metric, total.dimension, total.currency] += total.value
            self.version += 1

    def _forget(self) -> None:
        newest_ms = max(self._windows, default=0)
        for start_ms in [start_ms for start_ms in self._windows if start_ms < newest_ms - KEEP_MS]:
            window = self._windows.pop(start_ms)
            self._refused_ages.pop(start_ms, None)
            bucket = self._totals.setdefault(start_ms // BUCKET_MS * BUCKET_MS, defaultdict(float))
            for key, value in window.numbers.items():
                bucket[key] += value
        for start_ms in [start_ms for start_ms in self._totals if start_ms < newest_ms - KEEP_TOTALS_MS]:
            del self._totals[start_ms]
        for window in self._windows.values():
            if window.start_ms < newest_ms - KEEP_SKETCHES_MS:
                window.sketches = {}

    def windows(self) -> list[Window]:
        """The windows in memory, oldest first."""
        with self._lock:
            return [self._windows[start_ms] for start_ms in sorted(self._windows)]

    def totals(self) -> dict[int, dict[Key, float]]:
        """Sums of the windows before those in memory, by start of their bucket of `BUCKET_MS`."""
        with self._lock:
            return {start_ms: dict(bucket) for start_ms, bucket in self._totals.items()}


BUCKET_MS = 15 * 60_000
"""Length of a bucket of sums."""

KEEP_TOTALS_MS = 7 * 86_400_000
"""How long sums are kept."""
