"""The manifest: what a generator sent, and the rows every window must have.

Written by `rtea_gen`, read by `rtea verify`, the demo, tests and benchmarks. One JSON object a
line: a header, a line for each window in time order, an end.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from rtea.errors import RteaError

VERSION = 1


class Header(msgspec.Struct, tag="header", tag_field="kind", frozen=True):
    """Settings of the run; times in ms since the epoch, UTC."""

    version: int
    seed: int
    start_ms: int
    window_ms: int
    rate_hz: int
    format: str
    topic: str


class Revenue(msgspec.Struct, frozen=True):
    """Revenue of one category in one currency, in minor units."""

    category: str
    currency: str
    minor: int


class Window(msgspec.Struct, tag="window", tag_field="kind", frozen=True):
    """Expected rows of one window `[window_start_ms, window_end_ms)`; visitors are exact."""

    window_start_ms: int
    window_end_ms: int
    events: int
    event_count: dict[str, int]
    revenue: list[Revenue]
    unique_visitors: dict[str, int]


class End(msgspec.Struct, tag="end", tag_field="kind", frozen=True):
    """What was sent in all. `complete` is false when a shard died or a delivery failed: then the
    windows may name more than the topic holds.
    """

    events: int
    failed: int
    last_event_ms: int
    complete: bool


class Manifest(msgspec.Struct, frozen=True):
    """A whole manifest."""

    header: Header
    windows: list[Window]
    end: End

    def finished(self, watermark_delay_ms: int, partitions: int) -> list[Window]:
        """The windows that a watermark of this delay has passed, given the events of this run.

        Partitions lag behind the last event by the gap between two of their own events; forty
        such gaps are left as a margin.
        """
        margin_ms = 40_000 * partitions // self.header.rate_hz
        horizon_ms = self.end.last_event_ms - watermark_delay_ms - margin_ms
        return [window for window in self.windows if window.window_end_ms <= horizon_ms]


_line = msgspec.json.Decoder(Header | Window | End)


def write(path: Path, header: Header, windows: Iterable[Window], end: End) -> None:
    """Write a manifest as a whole; a reader never sees half of it."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        for line in (header, *windows, end):
            file.write(msgspec.json.encode(line) + b"\n")
    partial.replace(path)


def read(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        RteaError: the file is missing, damaged, or cut off.
    """
    try:
        lines = list(_lines(path))
    except OSError as error:
        raise RteaError(f"manifest {path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise RteaError(f"manifest {path} is damaged: {error}") from error
    if len(lines) < 2 or not isinstance(lines[0], Header) or not isinstance(lines[-1], End):
        raise RteaError(f"manifest {path} is cut off: expected a header, windows and an end")
    windows = [line for line in lines if isinstance(line, Window)]
    return Manifest(lines[0], windows, lines[-1])


def _lines(path: Path) -> Iterator[Header | Window | End]:
    with open(path, "rb") as file:
        for line in file:
            yield _line.decode(line)
