"""The numbers of the windows in memory: each window of the last hours, and sums by hour of the time before.

A window's newest result replaces it as a whole, as in a sink (`rtea.sinks.result`). A boundary in event time divides
what is in memory from what the table had when the page was started, so that no window counts twice. Memory is limited:
old windows join the sums, and what comes for them afterwards changes nothing here. Published objects never change.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rtea import money
from rtea.sinks.contract import Total
from rtea.sinks.result import DEAD_LETTERS, WindowResult

HOUR_MS = 3_600_000

KEEP_MS = 3 * HOUR_MS
"""How long before the newest final window a window is kept."""

KEEP_SKETCHES_MS = 35 * 60_000
"""How long sketches are kept, and those of two windows at least: the page merges those of 30 minutes."""

KEEP_TOTALS_MS = 7 * 24 * HOUR_MS
"""How long sums are kept."""

BUCKET_MS = HOUR_MS
"""Length of a bucket of sums."""

WITH_SKETCHES = frozenset({"unique_visitors", "sessions", "funnel"})
"""Series whose sketches the page merges."""

Key = tuple[str, str, str]
"""Series, dimension and currency."""


@dataclass(frozen=True)
class Window:
    """The rows of a window: numbers by key (counts, estimates, or money in major units), and sketches."""

    start_ms: int
    end_ms: int
    age: tuple[int, int, bool]
    """Generation, revision and whether it is final: the greater is newer, as in `WindowResult`."""
    is_corrected: bool
    numbers: Mapping[Key, float]
    sketches: Mapping[Key, bytes]

    @property
    def is_final(self) -> bool:
        """Whether the watermark has passed its end."""
        return self.age[2]

    @property
    def events(self) -> int:
        """How many events it has counted."""
        return self.age[1]


@dataclass(frozen=True)
class Refused:
    """The counts of a window's refused events by reason."""

    age: tuple[int, int, bool]
    counts: Mapping[str, int]


class Store:
    """All windows in memory, for one writer and many readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[int, Window] = {}
        self._refused: dict[int, Refused] = {}
        self._totals: dict[int, dict[Key, float]] = {}
        self._newest_ms: int | None = None
        self.boundary_ms: int | None = None
        """Windows that start before it are not kept; the table has them. None until the first final window is known."""
        self.has_boundary = threading.Event()
        self.version = 0
        """Grows with every change."""
        self.final_version = 0
        """Grows with every change of a final window or of the sums."""

    def add(self, results: Iterable[WindowResult]) -> None:
        """Take results in the topic's order. Those that no table can hold are left out, as in a sink."""
        with self._lock:
            for result in results:
                if result.is_storable:
                    (self._add_events if result.is_of_events else self._add_refused)(result)
                    self.version += 1
            self._forget()

    def settle(self) -> None:
        """All results that were there at the start have come: fix the boundary before the newest final window."""
        with self._lock:
            if self.boundary_ms is None and self._newest_ms is not None:
                self.boundary_ms = (self._newest_ms - KEEP_MS) // BUCKET_MS * BUCKET_MS
                self._windows = {at: each for at, each in self._windows.items() if at >= self.boundary_ms}
                self._refused = {at: each for at, each in self._refused.items() if at >= self.boundary_ms}
                self.version += 1
                self.final_version += 1
                self.has_boundary.set()

    def _is_too_old(self, start_ms: int) -> bool:
        if self.boundary_ms is None or self._newest_ms is None:
            return False
        return start_ms < max(self.boundary_ms, self._newest_ms - KEEP_MS)

    def _add_events(self, result: WindowResult) -> None:
        known = self._windows.get(result.window_start_ms)
        if self._is_too_old(result.window_start_ms) or (known and result.age <= known.age):
            return
        numbers: dict[Key, float] = {}
        sketches: dict[Key, bytes] = {}
        for row in result.rows:
            key = row.metric, row.dimension, row.currency
            if row.revenue_minor is not None:
                numbers[key] = float(money.major_units(int(row.revenue_minor), row.currency))
            else:
                count = row.event_count if row.event_count is not None else row.unique_visitors
                numbers[key] = float(count or 0)
            if row.visitors_sketch is not None and row.metric in WITH_SKETCHES:
                sketches[key] = row.visitors_sketch
        is_corrected = known is not None and known.is_final and result.revision > known.events
        window = Window(result.window_start_ms, result.window_end_ms, result.age, is_corrected, numbers, sketches)
        self._windows[window.start_ms] = window
        if window.is_final:
            self.final_version += 1
            self._newest_ms = max(self._newest_ms or window.start_ms, window.start_ms)

    def _add_refused(self, result: WindowResult) -> None:
        known = self._refused.get(result.window_start_ms)
        if not self._is_too_old(result.window_start_ms) and (known is None or result.age > known.age):
            counts = {row.dimension: row.event_count or 0 for row in result.rows if row.metric == DEAD_LETTERS}
            self._refused[result.window_start_ms] = Refused(result.age, counts)

    def add_totals(self, totals: Iterable[Total]) -> None:
        """Take sums of windows before the boundary, from the table."""
        with self._lock:
            for total in totals:
                self._bucket(total.bucket_start_ms)[total.metric, total.dimension, total.currency] += total.value
            self.version += 1
            self.final_version += 1

    def _bucket(self, start_ms: int) -> dict[Key, float]:
        return self._totals.setdefault(start_ms // BUCKET_MS * BUCKET_MS, defaultdict(float))

    def _forget(self) -> None:
        if self.boundary_ms is None or self._newest_ms is None:
            return
        oldest_ms = self._newest_ms - KEEP_MS
        for start_ms in [start_ms for start_ms in self._windows if start_ms < oldest_ms]:
            window = self._windows.pop(start_ms)
            if window.is_final:
                bucket = self._bucket(start_ms)
                for key, value in window.numbers.items():
                    bucket[key] += value
        self._refused = {at: each for at, each in self._refused.items() if at >= oldest_ms}
        self._totals = {at: each for at, each in self._totals.items() if at >= self._newest_ms - KEEP_TOTALS_MS}
        for window in list(self._windows.values()):
            length_ms = window.end_ms - window.start_ms
            if window.sketches and window.start_ms < self._newest_ms - max(KEEP_SKETCHES_MS, 2 * length_ms):
                self._windows[window.start_ms] = replace(window, sketches={})

    def windows(self) -> list[Window]:
        """The windows in memory, oldest first."""
        with self._lock:
            return [self._windows[start_ms] for start_ms in sorted(self._windows)]

    def refused(self, since_ms: int) -> dict[str, int]:
        """Refused events by reason, of the windows that start at this time or later."""
        with self._lock:
            found: dict[str, int] = defaultdict(int)
            for start_ms, refused in self._refused.items():
                if start_ms >= since_ms:
                    for reason, count in refused.counts.items():
                        found[reason] += count
            return dict(found)

    def totals(self) -> dict[int, dict[Key, float]]:
        """Sums of the windows before those in memory, by start of their bucket of `BUCKET_MS`."""
        with self._lock:
            return {start_ms: dict(bucket) for start_ms, bucket in self._totals.items()}
