"""Merge: merges the partial aggregates of a window into one, and encodes its rows when the window fires.

The partials come from `rtea.flink.fold`. Results go to the results topic, late partials to the dead letter topic.
"""

import time
from collections.abc import Iterable, Iterator

from pyflink.datastream import AggregateFunction, FlatMapFunction, OutputTag, ProcessWindowFunction, RuntimeContext

from rtea import aggregate
from rtea.aggregate import Submission
from rtea.flink.connect import BYTES
from rtea.flink.counters import WindowCounters

LATE = OutputTag("late", BYTES)

NOTHING = b""
"""The accumulator of a window without events."""


class Merge(AggregateFunction):
    """Merges partials; the accumulator is the state bytes of a partial."""

    def __init__(self, counters: WindowCounters) -> None:
        self._counters = counters

    def create_accumulator(self) -> bytes:
        """The accumulator of a window without events."""
        return NOTHING

    def add(self, value: bytes, accumulator: bytes) -> bytes:
        """Add one partial to the window."""
        began_ns = time.perf_counter_ns()
        merged = aggregate.accumulate(accumulator, bytes(value)) if accumulator else bytes(value)
        self._counters.merge(time.perf_counter_ns() - began_ns)
        return merged

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

    def __init__(self, submission: Submission, counters: WindowCounters) -> None:
        self._submission, self._counters = submission, counters

    def open(self, runtime_context: RuntimeContext) -> None:
        """Make the counters."""
        self._counters.register(runtime_context.get_metrics_group())

    def process(self, key: int, context: ProcessWindowFunction.Context, elements: Iterable[bytes]) -> Iterator[bytes]:
        """Encode the rows of one firing."""
        watermark_ms = context.current_watermark()
        is_final = watermark_ms >= context.window().max_timestamp()
        self._counters.fire(context.window(), watermark_ms)
        for partial in elements:
            yield aggregate.encode_result(partial, self._submission, is_final=is_final)


class DescribeLate(FlatMapFunction):
    """Turns a late partial into dead letters."""

    def __init__(self, topic: str, max_letter_bytes: int) -> None:
        self._topic, self._max_letter_bytes = topic, max_letter_bytes

    def flat_map(self, value: bytes) -> Iterator[bytes]:
        """Encode the dead letters."""
        yield from aggregate.encode_late(bytes(value), self._topic, self._max_letter_bytes)
