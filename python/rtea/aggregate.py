"""Fold, merge and sketches: Python's face of the Rust aggregation.

Packed batches come from the job's Java pack operator, partial aggregates travel between the job's
operators as opaque bytes, window results leave for the results topic. All work on bytes runs with
the interpreter released.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rtea import _core

SKETCH_STANDARD_ERROR: float = _core.SKETCH_STANDARD_ERROR
"""Relative standard error of a dense sketch, about 0.575 %."""


class Folded(NamedTuple):
    """What one batch gave: the partial's bytes, if any event was valid; framed dead letters; and their
    counts by reason, as bytes, one for each window.
    """

    partial: bytes | None
    dead_letters: list[bytes]
    refused: list[bytes]


class Folder:
    """Folds packed batches with one job's settings; safe to share between threads.

    A window keeps `max_dimensions` event types beside the schema's, and as many pairs of currency and
    category: first `event_types`, and `categories` in one of `currencies`, then others by name.

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
        """Fold one batch; about 0.4 us an event. Refused records whose own time is in the future or impossible are
        counted in the window of `arrival_ms`.

        Raises:
            InvalidBatchError: the batch's layout is broken, or it spans windows.
        """
        return Folded(*self._folder.fold(batch, arrival_ms))


def pack_records(records: Sequence[tuple[int, int, int, bytes | None]], *, is_future: bool = False) -> bytes:
    """Pack records of one window, or of the future: (partition, offset, timestamp in ms, value or None)."""
    return _core.pack_records(records, is_future=is_future)


def merge_partials(*partials: bytes) -> bytes:
    """Merge partials of the same window, at least one; associative and commutative. About 60 us each when dense,
    and linear in their orders.

    Raises:
        StateError: the bytes are damaged, of another version, or of different windows.
    """
    return _core.merge_partials(list(partials))


def split_orders(partial: bytes) -> tuple[bytes, bytes | None]:
    """Take the list of orders out of a partial: the rest, which stands for all its events, and the orders, or None.
    Merging both gives the partial again. Linear in its bytes.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.split_orders(partial)


class PartialSummary(NamedTuple):
    """The window a partial belongs to and the number of events in it."""

    window_start_ms: int
    events: int


def describe_partial(partial: bytes) -> PartialSummary:
    """Tell window and number of events of a partial.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return PartialSummary(*_core.describe_partial(partial))


class Submission(NamedTuple):
    """What a submission adds to its results (`rtea.sinks.result.WindowResult` says what for)."""

    window_ms: int
    generation: int
    settings: str
    writer: str = ""


def encode_result(partial: bytes, submission: Submission) -> bytes:
    """Encode the rows of a window as the framed record of the results topic.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.encode_result(partial, **submission._asdict())


def encode_late(partial: bytes, topic: str, max_letter_bytes: int) -> list[bytes]:
    """Encode a partial that missed its window as framed dead letters of the events topic: one, or several where it
    does not fit into `max_letter_bytes`.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.encode_late(partial, topic, max_letter_bytes)


def count_late(partial: bytes) -> bytes:
    """Count the events of a partial that missed its window, as refused for `late`.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.count_late(partial)


def merge_refused(first: bytes, second: bytes) -> bytes:
    """Add up what was refused of one window.

    Raises:
        StateError: the bytes are damaged, of another version, or of different windows.
    """
    return _core.merge_refused(first, second)


class RefusedSummary(NamedTuple):
    """A window and the number of its refused events by reason."""

    window_start_ms: int
    events: dict[str, int]


def describe_refused(refused: bytes) -> RefusedSummary:
    """Tell what was refused of a window.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return RefusedSummary(*_core.describe_refused(refused))


def encode_refused(refused: bytes, submission: Submission) -> bytes:
    """Encode what was refused of a window as a framed record of the results topic.

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
    """Merge sketches: the distinct values of their union.

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
