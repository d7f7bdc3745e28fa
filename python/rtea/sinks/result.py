"""The result record: one fired window, as the merge operator wrote it, or what was refused of one, as the
health operator wrote it.

Records come from the results topic; the layout is documented in `rtea-core`'s result module.
"""

import msgspec

from rtea.errors import SinkError

VERSION = 1

DEAD_LETTERS = "dead_letters"
"""The metric of refused events; its dimensions are their reasons."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One row of the table; fields that do not belong to the metric are None.

    `revenue_minor` is a decimal string of hundredths of the currency: sums may exceed 64 bits.
    """

    metric: str
    dimension: str
    currency: str
    event_count: int | None
    revenue_minor: str | None
    unique_visitors: int | None
    visitors_sketch: bytes | None


class WindowResult(msgspec.Struct, frozen=True, array_like=True):
    """Rows of a window `[window_start_ms, window_end_ms)`. `revision` is the number of events
    counted: it grows with every late correction and is the same in every replay.
    """

    version: int
    window_start_ms: int
    window_end_ms: int
    revision: int
    rows: list[Row]

    @property
    def is_of_events(self) -> bool:
        """Whether the rows are of events counted, and not of events refused, which come at any time."""
        return any(row.metric != DEAD_LETTERS for row in self.rows)


_decoder = msgspec.msgpack.Decoder(WindowResult)


def decode(value: bytes, place: str) -> WindowResult:
    """Decode one record's value; `place` (topic, partition, offset) is named in errors.

    Raises:
        SinkError: it is no result record, or one of a newer release.
    """
    try:
        result = _decoder.decode(value)
    except msgspec.DecodeError as error:
        raise SinkError(f"record at {place} is no window result: {error}: is this the results topic?") from error
    if result.version != VERSION:
        raise SinkError(f"record at {place} has version {result.version}, this sink reads {VERSION}: upgrade the sink")
    return result
