"""What the page shows, as one JSON object for a range and a source."""

import hashlib
import threading
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

import msgspec

from rtea.config import Config
from rtea.dashboard import panels
from rtea.dashboard.feed import Feed
from rtea.dashboard.health import Health
from rtea.dashboard.panels import ALL, Bucket, Span
from rtea.dashboard.store import BUCKET_MS, HOUR_MS, Key, Store, Window

RANGES_MS = {"hour": HOUR_MS, "day": 24 * HOUR_MS, "week": 7 * 24 * HOUR_MS}
BARS_MS = {"hour": 0, "day": BUCKET_MS, "week": 6 * BUCKET_MS}
"""Length of a bar; 0: a window."""

FRESH_SECONDS = 1.0
"""A state is made at most once in this time, however many pages ask."""

STOPPED_MS = 180_000
"""After so long without results, and the length of a window, the page says since when there are none."""


class States:
    """Makes states, each once for all who ask, and only when something has changed."""

    def __init__(self, config: Config, store: Store, feed: Feed, health: Health) -> None:
        self._config, self._store, self._feed, self._health = config, store, feed, health
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], _Made] = {}
        self._drawn: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}

    def sources(self) -> list[str]:
        """The sources of the newest windows."""
        return sorted(_sources(self._store.windows()))

    def get(self, range_name: str, source: str) -> tuple[str, bytes]:
        """The tag of a state and its JSON. Equal tags mean equal states."""
        with self._lock:
            made = self._made.get((range_name, source))
            if made and time.monotonic() < made.at_s + FRESH_SECONDS:
                return made.tag, made.body
            # Versions come first: what changes meanwhile is drawn next time.
            version, final_version = self._store.version, self._store.final_version
            windows = self._store.windows()
            status = self._status(windows)
            basis = (version, self._health.found, status)
            if made is None or basis != made.basis:
                state = self._make(windows, final_version, range_name, source) | {"status": status}
                tag = f'"{_digest(state)}"'
                state["server_ms"] = time.time_ns() // 1_000_000
                made = _Made(basis, 0.0, tag, msgspec.json.encode(state))
            self._made[range_name, source] = made._replace(at_s=time.monotonic())
            return made.tag, made.body

    def _make(self, windows: list[Window], final_version: int, range_name: str, source: str) -> dict[str, Any]:
        final = [window for window in windows if window.is_final]
        open_ones = [window for window in windows if not window.is_final]
        running = open_ones[-1] if open_ones and (not final or open_ones[-1].start_ms > final[-1].start_ms) else None
        return self._drawing(final, final_version, range_name, source) | {
            "range": range_name,
            "source": source,
            "sources": sorted(_sources(windows)),
            "running": running and {"start_ms": running.start_ms, "end_ms": running.end_ms, "events": running.events},
            "pipeline": self._pipeline(final),
        }

    def _drawing(self, final: list[Window], final_version: int, range_name: str, source: str) -> dict[str, Any]:
        """Tiles and panels, which only final windows change: merging their sketches takes a tenth of a second."""
        version, drawn = self._drawn.get((range_name, source), (-1, {}))
        if version != final_version:
            span = self._span(final, range_name, source)
            drawn = {"tiles": panels.tiles(span), "panels": panels.panels(span)}
            self._drawn[range_name, source] = final_version, drawn
        return drawn

    def _span(self, final: list[Window], range_name: str, source: str) -> Span:
        if not final:
            return Span([], [], source)
        since_ms = final[-1].end_ms - RANGES_MS[range_name]
        bar_ms = BARS_MS[range_name]
        if not bar_ms:
            return Span(
                [Bucket(each.start_ms, each.numbers) for each in final if each.start_ms >= since_ms], final, source
            )
        sums: dict[int, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
        parts = [*self._store.totals().items(), *((window.start_ms, window.numbers) for window in final)]
        for start_ms, numbers in parts:
            if start_ms >= since_ms:
                bar = sums[start_ms // bar_ms * bar_ms]
                for key, value in numbers.items():
                    bar[key] += value
        return Span([Bucket(start_ms, numbers) for start_ms, numbers in sorted(sums.items())], final, source)

    def _status(self, windows: list[Window]) -> dict[str, Any]:
        problem = self._feed.problem or self._health.found["problem"]
        final = [window for window in windows if window.is_final]
        if problem:
            return {"state": "down", "text": problem, "command": self._health.found.get("command", "rtea doctor")}
        if not final:
            return {
                "state": "nothing",
                "text": "No window is final yet: the first one is final shortly after its end",
                "command": "rtea doctor" if windows else "rtea-gen --duration 300",
            }
        length_ms = final[-1].end_ms - final[-1].start_ms
        since_ms = self._feed.last_result_ms
        if time.time_ns() // 1_000_000 > since_ms + STOPPED_MS + length_ms:
            return {"state": "stopped", "text": "No new results", "since_ms": since_ms, "command": "rtea doctor"}
        return {"state": "live", "text": "Live", "newest_ms": final[-1].end_ms}

    def _pipeline(self, final: list[Window]) -> dict[str, Any]:
        newest_ms = final[-1].end_ms if final else 0
        refused = Counter(self._store.refused(newest_ms - HOUR_MS))
        late = refused.pop("late", 0)
        return self._health.found | {
            "newest_end_ms": newest_ms or None,
            "dead_letters": dict(refused.most_common()),
            "late": late,
            "corrected": [window.start_ms for window in final if window.is_corrected][-20:],
        }


class _Made(NamedTuple):
    """A state: what it was made of, when it was asked for last, its tag and its JSON."""

    basis: tuple[Any, ...]
    at_s: float
    tag: str
    body: bytes


def _sources(windows: list[Window]) -> set[str]:
    keys = [key for window in windows[-5:] for key in window.numbers]
    named = {dimension for name, dimension, _ in keys if name == "unique_visitors"}
    counted = {panels.of_source(dimension)[1] for name, dimension, _ in keys if name == "event_count"}
    return (named or counted) - {ALL}


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(state, order="sorted")).hexdigest()[:16]
