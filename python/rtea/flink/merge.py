"""Merge: merges the partial aggregates of a window into one, and encodes its rows when the window fires.

The partials come from `rtea.flink.fold`. Results go to the results topic, late partials to the dead letter topic.
"""

from collections.abc import Iterable, Iterator

from pyflink.datastream import AggregateFunction, FlatMapFunction, OutputTag, ProcessWindowFunction

from rtea import aggregate
from rtea.aggregate import Submission
from rtea.flink.connect import BYTES

LATE = OutputTag("late", BYTES)

NOTHING = b""
"""The accumulator of a window without events."""


class Merge(AggregateFunction):
    """Merges partials; the accumulator is the state bytes of a partial."""

    def create_accumulator(self) -> bytes:
        """The accumulator of a window without events."""
        return NOTHING

    def add(self, value: bytes, accumulator: bytes) -> bytes:
        """Add one partial to the window."""
        return aggregate.accumulate(accumulator, bytes(value)) if accumulator else bytes(value)

    def get_result(self, accumulator: bytes) -> bytes:
        """The window's partial."""
        return accumulator

    def merge(self, acc_a: bytes, acc_b: bytes) -> bytes:
        """Merge two partials of the same window."""
        if not acc_a or not acc_b:
            return acc_a or acc_b
        return aggregate.merge_partials(acc_a, acc_b)


class Emit(ProcessWindowFunction):
    """Turns a fired window into its result record (`rtea.flink.firing` says when windows fire)."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    def process(self, key: int, context: ProcessWindowFunction.Context, elements: Iterable[bytes]) -> Iterator[bytes]:
        """Encode the rows of one firing."""
        is_final = context.current_watermark() >= context.window().max_timestamp()
        for partial in elements:
            yield aggregate.encode_result(partial, self._submission, is_final=is_final)


class DescribeLate(FlatMapFunction):
    """Turns a late partial into dead letters."""

    def __init__(self, topic: str, max_letter_bytes: int) -> None:
        self._topic, self._max_letter_bytes = topic, max_letter_bytes

    def flat_map(self, value: bytes) -> Iterator[bytes]:
        """Encode the dead letters."""
        yield from aggregate.encode_late(bytes(value), self._topic, self._max_letter_bytes)
