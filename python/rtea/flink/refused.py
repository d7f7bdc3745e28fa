"""Health: how many events of each window were refused, and why.

The counts come from `rtea.flink.fold` with each batch, and from the merge for late events. Their sums go to the
results topic as rows of the metric `dead_letters`. They are in the job's state, so they are exact after a recovery;
the dead letters themselves may come twice.
"""

from collections.abc import Iterator

from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, MapFunction, RuntimeContext, TimerService
from pyflink.datastream.state import ValueStateDescriptor

from rtea import aggregate
from rtea.aggregate import Submission
from rtea.flink.counters import DeadLetterCounter

EMIT_INTERVAL_MS = 1_000
"""Shortest processing time between two sums of the same window."""

LAST_WATERMARK_MS = 2**63 - 2
"""Event time that the watermark reaches only at the end of a bounded topic."""

KEEP_MS = 86_400_000
"""Event time after the allowed lateness at which the job forgets the counts of a window. It keeps them for at least
half of this time after the last count: so a timer is moved at most every half of this time, not with each batch."""


def window_of(refused: bytes) -> int:
    """The key of the counts: the start of the window."""
    return aggregate.describe_refused(bytes(refused)).window_start_ms


class CountLate(MapFunction):
    """Counts the events of a late partial."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Make the counter."""
        self._counter = DeadLetterCounter(runtime_context.get_metrics_group())

    def map(self, value: bytes) -> bytes:
        """Count one partial."""
        refused = aggregate.count_late(bytes(value))
        self._counter.add(refused)
        return refused


class Sum(KeyedProcessFunction):
    """Adds up the counts of each window. Emits a sum at most once a second per window, always the last one, and one
    when the watermark passes the window's end: then the counts are final.
    """

    def __init__(self, submission: Submission, allowed_lateness_ms: int) -> None:
        self._submission = submission
        self._keep_ms = allowed_lateness_ms + KEEP_MS

    def open(self, runtime_context: RuntimeContext) -> None:
        """Get the state."""
        # In thread mode, Flink 2.3 cannot read a state of plain bytes that has no value. Pickled bytes work.
        self._sum = runtime_context.get_state(ValueStateDescriptor("refused", Types.PICKLED_BYTE_ARRAY()))
        self._forget_at_ms = runtime_context.get_state(ValueStateDescriptor("forget-at-ms", Types.LONG()))
        self._tell_at_ms = runtime_context.get_state(ValueStateDescriptor("tell-at-ms", Types.LONG()))

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[bytes]:
        """Add the counts of one batch."""
        known = self._sum.value()
        self._sum.update(aggregate.merge_refused(known, bytes(value)) if known is not None else bytes(value))
        timers = ctx.timer_service()
        self._keep(timers)
        if timers.current_watermark() < self._last_ms(ctx.get_current_key()):
            timers.register_event_time_timer(self._last_ms(ctx.get_current_key()))
        if self._tell_at_ms.value() is None:
            tell_at_ms = timers.current_processing_time() + EMIT_INTERVAL_MS
            timers.register_processing_time_timer(tell_at_ms)
            # At the end of a bounded topic, the last watermark comes before the second is over: emit the sum then.
            timers.register_event_time_timer(LAST_WATERMARK_MS)
            self._tell_at_ms.update(tell_at_ms)
        return iter(())

    def _last_ms(self, window_start_ms: int) -> int:
        return window_start_ms + self._submission.window_ms - 1

    def _keep(self, timers: TimerService) -> None:
        now_ms = timers.current_watermark()
        if now_ms < 0:
            # Before the first watermark there is no event time: a timer would fire with the first watermark.
            return
        forget_at_ms = self._forget_at_ms.value()
        if forget_at_ms is not None and forget_at_ms >= now_ms + self._keep_ms - KEEP_MS // 2:
            return
        if forget_at_ms is not None:
            timers.delete_event_time_timer(forget_at_ms)
        timers.register_event_time_timer(now_ms + self._keep_ms)
        self._forget_at_ms.update(now_ms + self._keep_ms)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[bytes]:
        """Emit the sum if it is new, and forget the counts of an old window."""
        refused = self._sum.value()
        last_ms = self._last_ms(ctx.get_current_key())
        is_new = self._tell_at_ms.value() is not None
        if refused is not None and (is_new or timestamp == last_ms):
            self._tell_at_ms.clear()
            ctx.timer_service().delete_event_time_timer(LAST_WATERMARK_MS)
            is_final = ctx.timer_service().current_watermark() >= last_ms
            yield aggregate.encode_refused(refused, self._submission, is_final=is_final)
        if timestamp == self._forget_at_ms.value():
            self._sum.clear()
            self._forget_at_ms.clear()
