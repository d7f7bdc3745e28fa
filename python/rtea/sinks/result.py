"""The result record: one fired window, as the merge operator wrote it, or what was refused of one, as the
health operator wrote it.

Records come from the results topic; the layout is documented in `rtea-core`'s result module.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from rtea.errors import SinkError

VERSION = 2

DEAD_LETTERS = "dead_letters"
"""The metric of refused events; its dimensions are their reasons."""

LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: no table can hold a later time."""


Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One row of the table; fields that do not belong to the metric are None.

    `revenue_minor` is a decimal string in minor units of the currency (ISO 4217): sums may exceed 64 bits.
    """

    metric: str
    dimension: str
    currency: str
    event_count: Int64 | None
    revenue_minor: Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,28}$")] | None
    unique_visitors: Int64 | None
    visitors_sketch: bytes | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the other rows of its window."""
        return self.metric, self.dimension, self.currency


class WindowResult(msgspec.Struct, frozen=True, array_like=True):
    """Rows of a window `[window_start_ms, window_end_ms)`. A newer result replaces an older one of the same window as a
    whole: one with a greater `generation`, or the same and a greater `revision`.

    `generation` is the time at which a job with these settings was first submitted, in ms; 0 for results of
    version 1. `revision` is the number of events that went in: it grows with every late correction and is the same in
    every replay. `settings` is a digest of the settings that decide about rows.
    """

    version: int
    window_start_ms: Int64
    window_end_ms: Int64
    generation: Int64
    revision: Int64
    settings: str
    rows: list[Row]

    @property
    def is_of_events(self) -> bool:
        """Whether the rows are of events counted, and not of events refused, which come at any time."""
        return any(row.metric != DEAD_LETTERS for row in self.rows)

    @property
    def place(self) -> tuple[int, bool]:
        """What it replaces: the rows of this window, of events counted or of events refused."""
        return self.window_start_ms, self.is_of_events

    @property
    def age(self) -> tuple[int, int]:
        """Generation and revision: the greater is newer."""
        return self.generation, self.revision

    @property
    def is_storable(self) -> bool:
        """Whether a table can hold the window's bounds, and each of its rows once."""
        return 0 <= self.window_start_ms < self.window_end_ms <= LATEST_MS and len(
            {row.key for row in self.rows}
        ) == len(self.rows)


class _Version1(msgspec.Struct, frozen=True, array_like=True):
    version: int
    window_start_ms: Int64
    window_end_ms: Int64
    revision: Int64
    rows: list[Row]


class _Versioned(msgspec.Struct, frozen=True, array_like=True):
    version: int


class NotAResultError(Exception):
    """A record of the results topic that is no result: the line says what was found."""


_first = msgspec.msgpack.Decoder(_Versioned)
_version_1 = msgspec.msgpack.Decoder(_Version1)
_version_2 = msgspec.msgpack.Decoder(WindowResult)


def decode(value: bytes, place: str) -> WindowResult:
    """Decode one record's value; `place` (topic, partition, offset) is named in errors.

    Raises:
        NotAResultError: it is no result record.
        SinkError: it is one of a newer release.
    """
    try:
        version = _first.decode(value).version
        if version == VERSION:
            return _version_2.decode(value)
        if version == 1:
            old = _version_1.decode(value)
            return WindowResult(1, old.window_start_ms, old.window_end_ms, 0, old.revision, "", old.rows)
    except msgspec.DecodeError as error:
        raise NotAResultError(f"record at {place} is no window result: {error}") from error
    if version > VERSION:
        raise SinkError(f"record at {place} has version {version}, this sink reads {VERSION}: upgrade the sink")
    raise NotAResultError(f"record at {place} is no window result: version {version}")


def newest(results: Iterable[WindowResult]) -> list[WindowResult]:
    """Of several results that replace each other the newest, in the order in which the windows came."""
    kept: dict[tuple[int, bool], WindowResult] = {}
    for found in results:
        if found.place not in kept or found.age > kept[found.place].age:
            kept[found.place] = found
    return list(kept.values())
