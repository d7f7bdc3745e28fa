"""Fold, merge and sketches: the Python interface of the Rust aggregation.

The job's Java pack operator makes the packed batches. The job's operators pass partial aggregates on as opaque bytes.
Window results go to the results topic. Rust releases the interpreter lock (GIL) while it works on bytes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rtea import _core

SKETCH_STANDARD_ERROR: float = _core.SKETCH_STANDARD_ERROR
"""Relative standard error of a dense sketch, about 0.575 %."""


class Folded(NamedTuple):
    """The result of folding one batch: the bytes of the partial, or None if no event was valid; the dead letters, each
    with its key; and the counts of refused events by reason, as bytes, one entry for each window.
    """

    partial: bytes | None
    dead_letters: list[bytes]
    refused: list[bytes]


class Folder:
    """Folds packed batches with one job's settings; threads can share it.

    A window keeps `max_dimensions` event types besides the schema's, and as many pairs of currency and category. It
    keeps those that the settings name first (`event_types`; `categories` in one of `currencies`), then the others in
    the order of their names.

    >>> folder = Folder(window_ms=60_000, timestamp_tolerance_ms=1_000, max_event_bytes=1_000, topic="t")
    >>> folded = folder.fold(pack_records([(0, 5, 7, b"not an event")]))
    >>> folded.partial is None, len(folded.dead_letters), describe_refused(folded.refused[0]).events
    (True, 1, {'invalid_json': 1})
    """

    def __init__(
        self,
        *,
        window_ms: int,
        timestamp_tolerance_ms: int,
        max_event_bytes: int,
        topic: str,
        max_letter_bytes: int = 1_048_576,
        max_dimensions: int = 1_000,
        event_types: Sequence[str] = (),
        categories: Sequence[str] = (),
        currencies: Sequence[str] = (),
        deduplicate_orders: bool = False,
    ) -> None:
        self._folder = _core.Folder(
            window_ms=window_ms,
            timestamp_tolerance_ms=timestamp_tolerance_ms,
            max_event_bytes=max_event_bytes,
            max_letter_bytes=max_letter_bytes,
            topic=topic,
            max_dimensions=max_dimensions,
            event_types=event_types,
            categories=categories,
            currencies=currencies,
            deduplicate_orders=deduplicate_orders,
        )

    def fold(self, batch: bytes, arrival_ms: int = 0) -> Folded:
        """Fold one batch. If the time of a refused record is in the future or impossible, it counts in the window of
        `arrival_ms`.

        Raises:
            InvalidBatchError: the batch does not have the expected layout, or spans several windows.
        """
        return Folded(*self._folder.fold(batch, arrival_ms))


def pack_records(records: Sequence[tuple[int, int, int, bytes | None]], *, is_future: bool = False) -> bytes:
    """Pack records of one window, or from the future: (partition, offset, timestamp in ms, value or None)."""
    return _core.pack_records(records, is_future=is_future)


def merge_partials(*partials: bytes) -> bytes:
    """Merge one or more partials of the same window. Merging is associative and commutative. The cost is linear in
    the number of orders.

    Raises:
        StateError: the bytes are damaged, of another version, or of different windows.
    """
    return _core.merge_partials(list(partials))


def split_orders(partial: bytes) -> tuple[bytes, bytes | None]:
    """Split a partial into the rest, which counts all its events, and its list of orders, or None if it has none.
    Merging the two gives the same partial. The cost is linear in its bytes.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.split_orders(partial)


class PartialSummary(NamedTuple):
    """The window a partial belongs to and the number of events in it."""

    window_start_ms: int
    events: int


def describe_partial(partial: bytes) -> PartialSummary:
    """Read the window and the number of events of a partial.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return PartialSummary(*_core.describe_partial(partial))


class Submission(NamedTuple):
    """What a submission adds to each of its results (`rtea.sinks.result.WindowResult` explains the fields)."""

    window_ms: int
    generation: int
    settings: str
    writer: str = ""


def encode_result(partial: bytes, submission: Submission) -> bytes:
    """Encode the rows of a window as a record for the results topic: key and value in one byte array.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.encode_result(partial, **submission._asdict())


def encode_late(partial: bytes, topic: str, max_letter_bytes: int) -> list[bytes]:
    """Encode a partial of late events of `topic` as dead letters, each with its key: one, or several if the partial
    does not fit into `max_letter_bytes`.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.encode_late(partial, topic, max_letter_bytes)


def count_late(partial: bytes) -> bytes:
    """Count the events of a late partial as refused with the reason `late`.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.count_late(partial)


def merge_refused(first: bytes, second: bytes) -> bytes:
    """Add up two counts of refused events of the same window.

    Raises:
        StateError: the bytes are damaged, of another version, or of different windows.
    """
    return _core.merge_refused(first, second)


class RefusedSummary(NamedTuple):
    """A window and the number of its refused events by reason."""

    window_start_ms: int
    events: dict[str, int]


def describe_refused(refused: bytes) -> RefusedSummary:
    """Read the window and its counts of refused events by reason.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return RefusedSummary(*_core.describe_refused(refused))


def encode_refused(refused: bytes, submission: Submission) -> bytes:
    """Encode the counts of refused events of a window as a record for the results topic.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.encode_refused(refused, **submission._asdict())


def build_sketch(values: Iterable[bytes]) -> bytes:
    """Build the HLL++ sketch of some values, byte for byte as BigQuery's `HLL_COUNT` stores it.

    >>> estimate_sketch(build_sketch([b"a", b"b", b"a"]))
    2
    """
    return _core.build_sketch(list(values))


def merge_sketches(sketches: Iterable[bytes]) -> bytes:
    """Merge sketches: the result counts the distinct values of their union.

    Raises:
        StateError: some bytes are not a sketch of this kind.

    >>> estimate_sketch(merge_sketches([build_sketch([b"a"]), build_sketch([b"b"])]))
    2
    """
    return _core.merge_sketches(list(sketches))


def estimate_sketch(sketch: bytes) -> int:
    """Estimate the number of distinct values, equal to BigQuery's `HLL_COUNT.EXTRACT`.

    Raises:
        StateError: the bytes are not a sketch of this kind.
    """
    return _core.estimate_sketch(sketch)
