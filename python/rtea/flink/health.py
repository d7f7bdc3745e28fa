"""Health: how many events of each window were refused, and why.

Counts come from `rtea.flink.fold` with each batch and from `rtea.flink.merge` for late events; their
sums, rows of the metric `dead_letters`, go to the results topic. They are state of the job, so unlike
dead letters themselves they are exact after a recovery.
"""

from collections.abc import Iterator

from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, MapFunction, OutputTag, RuntimeContext, TimerService
from pyflink.datastream.state import ValueStateDescriptor

from rtea import aggregate
from rtea.aggregate import Submission
from rtea.flink.connect import BYTES

REFUSED = OutputTag("refused", BYTES)

TELL_MS = 1_000
"""Least processing time between two sums of a window."""

LAST_WATERMARK_MS = 2**63 - 2
"""Event time that only the end of a bounded topic passes."""

KEEP_MS = 86_400_000
"""Event time after which a window's counts are forgotten: half of it to all of it after the last of them came, so
that a timer is set twice a day and not for every batch."""


def window_of(refused: bytes) -> int:
    """The key of the counts: the window's start."""
    return aggregate.describe_refused(bytes(refused)).window_start_ms


class CountLate(MapFunction):
    """Counts the events of a partial that missed its window."""

    def map(self, value: bytes) -> bytes:
        """Count one partial."""
        return aggregate.count_late(bytes(value))


class Sum(KeyedProcessFunction):
    """Adds up the counts of each window, and tells a new sum at most once a second and window, the last one always."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take hold of the state."""
        # As plain bytes, a state without a value cannot be read in thread mode (Flink 2.3).
        self._sum = runtime_context.get_state(ValueStateDescriptor("refused", Types.PICKLED_BYTE_ARRAY()))
        self._forget_at_ms = runtime_context.get_state(ValueStateDescriptor("forget-at-ms", Types.LONG()))
        self._tell_at_ms = runtime_context.get_state(ValueStateDescriptor("tell-at-ms", Types.LONG()))

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[bytes]:
        """Add the counts of one batch."""
        known = self._sum.value()
        self._sum.update(aggregate.merge_refused(known, bytes(value)) if known is not None else bytes(value))
        timers = ctx.timer_service()
        self._keep(timers)
        if self._tell_at_ms.value() is None:
            tell_at_ms = timers.current_processing_time() + TELL_MS
            timers.register_processing_time_timer(tell_at_ms)
            # The end of a bounded topic is no reason to wait: the last watermark comes before the second is over.
            timers.register_event_time_timer(LAST_WATERMARK_MS)
            self._tell_at_ms.update(tell_at_ms)
        return iter(())

    def _keep(self, timers: TimerService) -> None:
        now_ms = timers.current_watermark()
        if now_ms < 0:
            # Before the first watermark there is no event time to count from: a timer would fire with the first.
            return
        forget_at_ms = self._forget_at_ms.value()
        if forget_at_ms is not None and forget_at_ms >= now_ms + KEEP_MS // 2:
            return
        if forget_at_ms is not None:
            timers.delete_event_time_timer(forget_at_ms)
        timers.register_event_time_timer(now_ms + KEEP_MS)
        self._forget_at_ms.update(now_ms + KEEP_MS)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[bytes]:
        """Tell a new sum, and forget the counts of a window that is long over."""
        refused = self._sum.value()
        if refused is not None and self._tell_at_ms.value() is not None:
            self._tell_at_ms.clear()
            ctx.timer_service().delete_event_time_timer(LAST_WATERMARK_MS)
            yield aggregate.encode_refused(refused, self._submission)
        if timestamp == self._forget_at_ms.value():
            self._sum.clear()
            self._forget_at_ms.clear()
