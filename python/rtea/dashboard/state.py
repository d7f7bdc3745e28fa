"""What the page shows, as one JSON object for a range and a source."""

import hashlib
import threading
import time
from collections import Counter, defaultdict
from typing import Any

import msgspec

from rtea.config import Config
from rtea.dashboard import panels
from rtea.dashboard.feed import Feed
from rtea.dashboard.health import Health
from rtea.dashboard.panels import ALL, Bucket, Span
from rtea.dashboard.store import BUCKET_MS, Key, Store, Window

RANGES_MS = {"hour": 3_600_000, "day": 86_400_000, "week": 7 * 86_400_000}
BUCKETS_MS = {"hour": 0, "day": 2 * BUCKET_MS, "week": 8 * BUCKET_MS}
"""Length of a bar; 0: a window."""

FRESH_SECONDS = 1.0
"""A state is made at most once in this time, however many pages ask."""

STOPPED_SECONDS = 180


class States:
    """Makes states, each once for all who ask."""

    def __init__(self, config: Config, store: Store, feed: Feed, health: Health) -> None:
        self._config, self._store, self._feed, self._health = config, store, feed, health
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], tuple[float, str, bytes]] = {}

    def get(self, range_name: str, source: str) -> tuple[str, bytes]:
        """The tag of a state and its JSON. Equal tags mean equal states."""
        with self._lock:
            made_s, tag, body = self._made.get((range_name, source), (0.0, "", b""))
            if time.monotonic() < made_s + FRESH_SECONDS:
                return tag, body
            state = self._make(range_name, source)
            tag = f'"{hash_of(state)}"'
            state["server_ms"] = time.time_ns() // 1_000_000
            body = msgspec.json.encode(state)
            self._made[range_name, source] = time.monotonic(), tag, body
            return tag, body

    def _make(self, range_name: str, source: str) -> dict[str, Any]:
        windows = self._store.windows()
        span = self._span(windows, range_name, source)
        running = windows[-1] if windows and not windows[-1].is_final else None
        return {
            "window_ms": self._config.job.window_ms,
            "range": range_name,
            "source": source,
            "sources": sorted(_sources(windows)),
            "status": self._status(windows),
            "running": running and {"start_ms": running.start_ms, "end_ms": running.end_ms, "events": running.revision},
            "tiles": panels.tiles(span),
            "panels": panels.panels(span),
            "pipeline": self._pipeline(windows),
        }

    def _span(self, windows: list[Window], range_name: str, source: str) -> Span:
        window_ms = self._config.job.window_ms
        final = [window for window in windows if window.is_final]
        if not final:
            return Span([], windows, window_ms, source)
        since_ms = final[-1].end_ms - RANGES_MS[range_name]
        length_ms = BUCKETS_MS[range_name] or window_ms
        sums: dict[int, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
        if range_name != "hour":
            for start_ms, numbers in self._store.totals().items():
                for key, value in numbers.items():
                    sums[start_ms // length_ms * length_ms][key] += value
        for window in final:
            for key, value in window.numbers.items():
                sums[window.start_ms // length_ms * length_ms][key] += value
        buckets = [Bucket(start_ms, numbers) for start_ms, numbers in sorted(sums.items()) if start_ms >= since_ms]
        return Span(buckets, windows, window_ms, source)

    def _status(self, windows: list[Window]) -> dict[str, Any]:
        problem = self._feed.problem or self._health.found["problem"]
        final = [window for window in windows if window.is_final]
        if problem:
            return {"state": "down", "text": problem, "command": self._health.found.get("command", "rtea doctor")}
        if not final:
            return {
                "state": "nothing",
                "text": "No window is final yet. The first one comes about a minute after the first events.",
                "command": "rtea-gen --duration 300" if not windows else "rtea doctor",
            }
        quiet_s = time.time() - self._feed.last_result_s
        if quiet_s > STOPPED_SECONDS:
            since_ms = int(self._feed.last_result_s * 1000)
            return {"state": "stopped", "text": "No new results", "since_ms": since_ms, "command": "rtea doctor"}
        return {"state": "live", "text": "Live", "newest_ms": final[-1].end_ms}

    def _pipeline(self, windows: list[Window]) -> dict[str, Any]:
        refused: Counter[str] = Counter()
        for window in windows[-60:]:
            refused.update(window.refused)
        late = refused.pop("late", 0)
        final = [window for window in windows if window.is_final]
        return self._health.found | {
            "newest_end_ms": final[-1].end_ms if final else None,
            "dead_letters": dict(refused.most_common()),
            "late": late,
            "corrected": [window.start_ms for window in windows if window.is_corrected][-20:],
        }


def _sources(windows: list[Window]) -> set[str]:
    return {
        dimension
        for window in windows[-5:]
        for name, dimension, _ in window.numbers
        if name == "unique_visitors" and dimension != ALL
    }


def hash_of(state: dict[str, Any]) -> str:
    """A short digest of a state."""
    return hashlib.sha256(msgspec.json.encode(state, order="sorted")).hexdigest()[:16]
