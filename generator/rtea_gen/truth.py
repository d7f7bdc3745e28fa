"""Merges the shards' growing truth files into the manifest, window by window."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from rtea import _core, manifest
from rtea.metrics import registry
from rtea.sections import JobSection

COUNTED = frozenset({"duplicate", "disorder", "hot_key"})
"""Faults whose events still count in the rows."""


class Merger:
    """Reads truth files. In memory, it keeps only the positions of windows, and the content of one window at a time."""

    def __init__(self, files: Sequence[Path], job: JobSection, categories: Sequence[str]) -> None:
        self._files, self._job, self._categories = files, job, categories
        self._series = {series.name for name in job.metrics for series in registry()[name]}
        self._read_bytes = dict.fromkeys(files, 0)
        self._places: dict[int, list[tuple[Path, int, int]]] = defaultdict(list)

    def take(self, until_ms: int) -> Iterator[manifest.Window]:
        """The windows that end by `until_ms`, each once, in time order. Up to this time, all files must be complete."""
        for path in self._files:
            self._index(path)
        for start_ms in sorted(start for start in self._places if start + self._job.window_ms <= until_ms):
            shards = [_read(*place) for place in self._places.pop(start_ms)]
            truth = _core.merge_truth(shards, self._categories, self._job.top_products)
            events, counts, revenue, visitors, faults, others = truth
            yield manifest.Window(
                start_ms,
                start_ms + self._job.window_ms,
                events,
                dict(counts),
                [manifest.Revenue(*entry) for entry in revenue],
                dict(visitors),
                dict(faults),
                [manifest.Expected(*row) for row in others if row[0] in self._series],
            )

    def _index(self, path: Path) -> None:
        """Find new windows in a file. If a shard was killed, the last one may be cut off."""
        if not path.exists():
            return
        with open(path, "rb") as file:
            file.seek(self._read_bytes[path])
            while len(head := file.read(4)) == 4:
                length = int.from_bytes(head, "little")
                encoded = file.read(length)
                if len(encoded) < length:
                    return
                start_ms, _ = msgspec.msgpack.decode(encoded, type=tuple[int, bytes])
                self._places[start_ms].append((path, self._read_bytes[path] + 4, length))
                self._read_bytes[path] += 4 + length


def _read(path: Path, offset: int, length: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        _, truth = msgspec.msgpack.decode(file.read(length), type=tuple[int, bytes])
    return truth


class Totals:
    """The totals of a manifest's windows."""

    def __init__(self) -> None:
        self.records = 0
        self.faults: Counter[str] = Counter()

    def add(self, window: manifest.Window) -> None:
        """Add a window."""
        self.records += window.events
        self.records += sum(count for fault, count in window.faults.items() if fault not in COUNTED)
        self.faults.update(window.faults)
