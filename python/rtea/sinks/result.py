"""The result record: the rows of one fired window, written by the merge operator, or the counts of its refused events,
written by the health operator.

Records come from the results topic. `rtea-core`'s result module documents their layout.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from rtea.errors import SinkError

VERSION = 3

DEAD_LETTERS = "dead_letters"
"""The metric for refused events; its dimensions are the reasons."""

LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the latest time that a table can hold."""


Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One row of the table; fields of other metrics are None.

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
        """What identifies the row within its window."""
        return self.metric, self.dimension, self.currency


class WindowResult(msgspec.Struct, frozen=True, array_like=True):
    """Rows of a window `[window_start_ms, window_end_ms)`. A newer result replaces an older one of the same window as a
    whole. The result with the greater `generation` is newer; if they are equal, the one with the greater `revision`; if
    those are equal too, the final one.

    `generation` is the time at which a job with these settings was first submitted, in ms; 0 in results of version 1.
    `revision` is the number of events in the window: it grows with every correction and is the same in every replay.
    `settings` is a digest of the settings that decide the rows. `is_final` says whether the watermark has passed the
    window's end; late events may still correct a final result.
    """

    version: int
    window_start_ms: Int64
    window_end_ms: Int64
    generation: Int64
    revision: Int64
    settings: str
    rows: list[Row]
    is_final: bool = True
    """True in results of versions 1 and 2, whose jobs wrote no others."""

    @property
    def is_of_events(self) -> bool:
        """Whether the rows are of counted events. Rows of refused events come in results of their own, at any time."""
        return any(row.metric != DEAD_LETTERS for row in self.rows)

    @property
    def place(self) -> tuple[int, bool]:
        """What the result replaces: the rows of counted events or those of refused events, of this window."""
        return self.window_start_ms, self.is_of_events

    @property
    def age(self) -> tuple[int, int, bool]:
        """Generation, revision, and whether the result is final: the greater is newer."""
        return self.generation, self.revision, self.is_final

    @property
    def is_storable(self) -> bool:
        """Whether a table can hold the window's bounds, and no two rows have the same key."""
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
    """A record of the results topic is not a result; the message says what was found."""


_first = msgspec.msgpack.Decoder(_Versioned)
_version_1 = msgspec.msgpack.Decoder(_Version1)
_since_version_2 = msgspec.msgpack.Decoder(WindowResult)


def decode(value: bytes, place: str) -> WindowResult:
    """Decode one record's value; errors name its `place` (topic, partition, offset).

    Raises:
        NotAResultError: it is not a result record.
        SinkError: a newer release wrote it.
    """
    try:
        version = _first.decode(value).version
        if version in (2, VERSION):
            return _since_version_2.decode(value)
        if version == 1:
            old = _version_1.decode(value)
            return WindowResult(1, old.window_start_ms, old.window_end_ms, 0, old.revision, "", old.rows)
    except msgspec.DecodeError as error:
        raise NotAResultError(f"record at {place} is not a window result: {error}") from error
    if version > VERSION:
        raise SinkError(f"record at {place} has version {version}, this sink reads {VERSION}: upgrade the sink")
    raise NotAResultError(f"record at {place} is not a window result: version {version}")


def newest(results: Iterable[WindowResult]) -> list[WindowResult]:
    """For each window, keep only the newest result, in the order in which the windows came."""
    kept: dict[tuple[int, bool], WindowResult] = {}
    for found in results:
        if found.place not in kept or found.age > kept[found.place].age:
            kept[found.place] = found
    return list(kept.values())
