"""Fold, merge and sketches: the Python interface of the Rust aggregation.

The job's source makes the packed batches. The job's operators pass partial aggregates on as opaque bytes.
Window results go to the results topic. Rust releases the interpreter lock (GIL) while it works on bytes.
"""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rtea import _core, metrics

SKETCH_STANDARD_ERROR: float = _core.SKETCH_STANDARD_ERROR
"""Relative standard error of a dense sketch, about 0.575 %."""

SKIPPED = "skipped"
"""The reason under which events count that an event map leaves out on purpose; they give no dead letters."""


class Progress(NamedTuple):
    """How far a partition has come: the offset that is read next, and the largest event time of the batch, each event
    with its arrival at most; None without a valid event.
    """

    partition: int
    next_offset: int
    event_time_ms: int | None


class Folded(NamedTuple):
    """What one batch gave: window start and bytes of one partial for each window; framed dead letters; their counts by
    reason, as bytes, one for each window; and the partition's progress.
    """

    partials: list[tuple[int, bytes]]
    dead_letters: list[bytes]
    refused: list[bytes]
    progress: Progress


class Folder:
    """Folds packed batches with one job's settings; threads can share it.

    A window keeps `max_dimensions` event types besides the schema's, and as many pairs of currency and
    category: first `event_types`, and `categories` in one of `currencies`, then others by name. With a span
    `[from, to)`, events with other times are left out. `rtea.metrics` lists the metrics. `event_map` is the text of a
    map for events of another layout (`rtea.maps`). Without a `format`, the first byte of an event shows it.

    >>> folder = Folder(window_ms=60_000, max_event_bytes=1_000, topic="t")
    >>> folded = folder.fold(pack_records([(5, 7, b"not an event")], partition=2))
    >>> folded.partials, describe_refused(folded.refused[0]).events, folded.progress
    ([], {'invalid_json': 1}, Progress(partition=2, next_offset=6, event_time_ms=None))
    """

    def __init__(
        self,
        *,
        window_ms: int,
        max_event_bytes: int,
        topic: str,
        max_skew_ms: int = 300_000,
        span_ms: tuple[int, int] | None = None,
        max_letter_bytes: int = 1_048_576,
        max_dimensions: int = 1_000,
        event_types: Sequence[str] = (),
        categories: Sequence[str] = (),
        currencies: Sequence[str] = (),
        deduplicate_orders: bool = False,
        metrics: Sequence[str] = metrics.DEFAULT,
        top_products: int = 100,
        event_map: str | None = None,
        format: str | None = None,
    ) -> None:
        self._folder = _core.Folder(
            window_ms=window_ms,
            max_skew_ms=max_skew_ms,
            span_ms=span_ms,
            max_event_bytes=max_event_bytes,
            max_letter_bytes=max_letter_bytes,
            topic=topic,
            max_dimensions=max_dimensions,
            event_types=event_types,
            categories=categories,
            currencies=currencies,
            deduplicate_orders=deduplicate_orders,
            metrics=metrics,
            top_products=top_products,
            event_map=event_map,
            format=format,
        )

    def fold(self, batch: bytes, now_ms: int | None = None) -> Folded:
        """Fold one batch that is read at `now_ms`, by default the clock's time; about 0.4 us an event. An event more
        than `max_skew_ms` ahead of it is refused.

        Raises:
            InvalidBatchError: the batch's layout is broken.
        """
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        partials, dead_letters, refused, progress = self._folder.fold(batch, now_ms)
        return Folded(partials, dead_letters, refused, Progress(*progress))


def pack_records(records: Sequence[tuple[int, int, bytes | None]], *, partition: int = 0) -> bytes:
    """Pack records of one partition, each as (offset, timestamp in ms, value or None)."""
    next_offset = records[-1][0] + 1 if records else 0
    return _core.pack_records(partition, next_offset, records)


def merge_partials(*partials: bytes) -> bytes:
    """Merge one or more partials of the same window. Merging is associative and commutative. The cost is linear in
    the number of orders.

    Raises:
        StateError: the bytes are damaged, of another version, or of different windows.
    """
    return _core.merge_partials(list(partials))


def accumulate(window: bytes, partial: bytes) -> bytes:
    """Add a partial to the state of its window. Partials wait in the state until it has doubled, so on average the cost
    is linear in the partial, however large the window is.

    Raises:
        StateError: the bytes are damaged, of another version, or of different windows.
    """
    return _core.accumulate(window, partial)


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


def encode_result(partial: bytes, submission: Submission, *, is_final: bool = True) -> bytes:
    """Encode the rows of a window as a record for the results topic: key and value in one byte array. They are final
    when the watermark has passed the window's end.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.encode_result(partial, **submission._asdict(), is_final=is_final)


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


def encode_refused(refused: bytes, submission: Submission, *, is_final: bool = True) -> bytes:
    """Encode the counts of refused events of a window as a record for the results topic, as `encode_result` does.

    Raises:
        StateError: the bytes are damaged or of another version.
    """
    return _core.encode_refused(refused, **submission._asdict(), is_final=is_final)


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
