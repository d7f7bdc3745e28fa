"""When a window gives its rows: early ones while it is open, the final ones at its end, corrections after it.

The window operator in `rtea.job.graph` calls it for each partial. All times of timers are of the TaskManager's clock,
but for the window's end, which the watermark reaches.
"""

from pyflink.common import Types
from pyflink.datastream import TimeWindow, Trigger, TriggerResult
from pyflink.datastream.state import ValueState, ValueStateDescriptor

CORRECTIONS_IN_AN_AGE = 10
"""The number of corrections that a window may get while its age doubles, about. An old window changes less."""

DUE = ValueStateDescriptor("due-ms", Types.LONG())
"""When a window that changed since its last firing fires again."""

FINAL = ValueStateDescriptor("final", Types.LONG())
"""Set when the watermark has passed the window's end."""

RESTORED_WAIT_MS = 50
"""How long a window of a restored job waits for the job's watermark."""

FIRED = ValueStateDescriptor("fired-ms", Types.LONG())
"""When a window fired last."""


def correction_wait_ms(late_rows_ms: int, age_ms: int, since_fired_ms: int) -> int:
    """How long a closed window waits with a correction, for others to join it: at least `late_rows_ms`, and at least a
    tenth of its age since it last fired.

    >>> correction_wait_ms(1_000, age_ms=5_000, since_fired_ms=60_000)
    1000
    >>> correction_wait_ms(1_000, age_ms=3_600_000, since_fired_ms=60_000)
    300000
    """
    return max(late_rows_ms, age_ms // CORRECTIONS_IN_AN_AGE - since_fired_ms)


class Firing(Trigger[bytes, TimeWindow]):
    """Fires an open window at most once in `early_rows_ms` (0: never), when the watermark passes its end, and then at
    most as often as `correction_wait_ms` says. The last change of a window always comes, at the latest when its allowed
    lateness ends.
    """

    def __init__(self, early_rows_ms: int, late_rows_ms: int, allowed_lateness_ms: int) -> None:
        self._early_rows_ms, self._late_rows_ms = early_rows_ms, late_rows_ms
        self._allowed_lateness_ms = allowed_lateness_ms

    def on_element(
        self, element: bytes, timestamp: int, window: TimeWindow, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Note that the window changed."""
        is_closed = ctx.get_current_watermark() >= window.max_timestamp()
        if is_closed:
            ctx.get_partitioned_state(FINAL).update(1)
        else:
            ctx.register_event_time_timer(window.max_timestamp())
        due: ValueState[int] = ctx.get_partitioned_state(DUE)
        if due.value() is None and (is_closed or self._early_rows_ms):
            due_ms = ctx.get_current_processing_time()
            due_ms += self._correction_wait_ms(window, ctx) if is_closed else self._early_rows_ms
            # In thread mode, PyFlink takes every timer for one of event time: at these times it would close the window.
            while due_ms in (window.max_timestamp(), window.max_timestamp() + self._allowed_lateness_ms):
                due_ms += 1
            ctx.register_processing_time_timer(due_ms)
            due.update(due_ms)
        return TriggerResult.CONTINUE

    def _correction_wait_ms(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> int:
        fired_ms = ctx.get_partitioned_state(FIRED).value()
        now_ms = ctx.get_current_processing_time()
        # Another machine's clock may have been ahead of this one.
        since_fired_ms = now_ms if fired_ms is None else max(now_ms - fired_ms, 0)
        return correction_wait_ms(self._late_rows_ms, ctx.get_current_watermark() - window.end, since_fired_ms)

    def on_processing_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fire with what changed."""
        if ctx.get_partitioned_state(DUE).value() != time:
            return TriggerResult.CONTINUE
        return self._fire(window, ctx)

    def on_event_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fire at the window's end, and, if something changed since, at the end of its lateness."""
        due_ms = ctx.get_partitioned_state(DUE).value()
        if time != window.max_timestamp() and due_ms is None:
            return TriggerResult.CONTINUE
        if due_ms is not None:
            ctx.delete_processing_time_timer(due_ms)
        if time == window.max_timestamp():
            ctx.get_partitioned_state(FINAL).update(1)
        return self._fire(window, ctx)

    def _fire(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        is_final = ctx.get_partitioned_state(FINAL).value() is not None
        if is_final and ctx.get_current_watermark() < window.max_timestamp():
            # A restored job has timers before it has its watermark: the rows would be early ones.
            due_ms = ctx.get_current_processing_time() + RESTORED_WAIT_MS
            ctx.register_processing_time_timer(due_ms)
            ctx.get_partitioned_state(DUE).update(due_ms)
            return TriggerResult.CONTINUE
        ctx.get_partitioned_state(DUE).clear()
        ctx.get_partitioned_state(FIRED).update(ctx.get_current_processing_time())
        return TriggerResult.FIRE

    def on_merge(self, window: TimeWindow, ctx: Trigger.OnMergeContext) -> None:
        """Do nothing: tumbling windows do not merge."""

    def clear(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> None:
        """Forget the window."""
        due_ms = ctx.get_partitioned_state(DUE).value()
        if due_ms is not None:
            ctx.delete_processing_time_timer(due_ms)
        for state in (DUE, FIRED, FINAL):
            ctx.get_partitioned_state(state).clear()
