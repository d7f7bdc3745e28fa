"""Promises: an open window fires early and at its end, a closed one seldom, and no timer closes a window too soon."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from pyflink.datastream import TimeWindow, TriggerResult

from rtea.flink.firing import Firing

WINDOW = TimeWindow(60_000, 120_000)


class Value:
    """A state of one value."""

    def __init__(self) -> None:
        self._value: int | None = None

    def value(self) -> int | None:
        return self._value

    def update(self, value: int) -> None:
        self._value = value

    def clear(self) -> None:
        self._value = None


@dataclass
class Context:
    """What a trigger asks of Flink."""

    now_ms: int
    watermark_ms: int
    processing_timers: set[int] = field(default_factory=set)
    event_timers: set[int] = field(default_factory=set)
    states: dict[str, Value] = field(default_factory=dict)

    def get_current_processing_time(self) -> int:
        return self.now_ms

    def get_current_watermark(self) -> int:
        return self.watermark_ms

    def register_processing_time_timer(self, time: int) -> None:
        self.processing_timers.add(time)

    def register_event_time_timer(self, time: int) -> None:
        self.event_timers.add(time)

    def delete_processing_time_timer(self, time: int) -> None:
        self.processing_timers.discard(time)

    def get_partitioned_state(self, descriptor: Any) -> Value:
        return self.states.setdefault(descriptor.name, Value())


def add(firing: Firing, context: Context) -> None:
    assert firing.on_element(b"", 60_000, WINDOW, context) == TriggerResult.CONTINUE  # type: ignore[arg-type]


def at_event_time(firing: Firing, context: Context, time_ms: int) -> TriggerResult:
    context.watermark_ms = max(context.watermark_ms, time_ms)
    return firing.on_event_time(time_ms, WINDOW, context)  # type: ignore[arg-type]


def test_an_open_window_fires_once_in_a_while_and_at_its_end() -> None:
    firing, context = Firing(5_000, 1_000, 60_000), Context(1_000_000, 70_000)
    add(firing, context)
    context.now_ms += 1_000
    add(firing, context)
    assert (context.processing_timers, context.event_timers) == ({1_005_000}, {119_999})
    assert firing.on_processing_time(1_005_000, WINDOW, context) == TriggerResult.FIRE  # type: ignore[arg-type]
    context.processing_timers.clear()
    add(firing, context)
    assert at_event_time(firing, context, 119_999) == TriggerResult.FIRE
    assert not context.processing_timers, "nothing is left to say"
    assert at_event_time(firing, context, 179_999) == TriggerResult.CONTINUE, "nothing came since"


def test_without_early_rows_only_the_end_fires() -> None:
    firing, context = Firing(0, 1_000, 60_000), Context(1_000_000, 70_000)
    add(firing, context)
    assert not context.processing_timers
    assert at_event_time(firing, context, 119_999) == TriggerResult.FIRE


def test_a_closed_window_waits_for_a_tenth_of_its_age_and_always_says_its_last_change() -> None:
    firing, context = Firing(5_000, 1_000, 10**8), Context(5_000_000, 120_000 + 3_600_000)
    add(firing, context)
    assert context.processing_timers == {5_001_000}, "long after it fired last"
    assert firing.on_processing_time(5_001_000, WINDOW, context) == TriggerResult.FIRE  # type: ignore[arg-type]
    context.now_ms = 5_011_000
    add(firing, context)
    assert max(context.processing_timers) == 5_000_000 + 360_000, "six minutes after the last correction"
    assert at_event_time(firing, context, 119_999 + 10**8) == TriggerResult.FIRE
    assert firing.on_processing_time(max(context.processing_timers | {0}), WINDOW, context) == TriggerResult.CONTINUE  # type: ignore[arg-type]


@pytest.mark.parametrize("lateness_ms", [0, 60_000])
def test_no_timer_of_the_clock_looks_like_the_end_of_the_window(lateness_ms: int) -> None:
    """In thread mode, PyFlink would take it for that, and clear the window."""
    end_ms = WINDOW.max_timestamp() + lateness_ms
    firing, context = Firing(5_000, 1_000, lateness_ms), Context(end_ms - 5_000, 70_000)
    add(firing, context)
    assert context.processing_timers == {end_ms + 1}


def test_a_restored_window_that_was_final_waits_for_the_watermark() -> None:
    """Flink restores timers before the job has its watermark: the rows would replace final ones as early ones."""
    firing, context = Firing(5_000, 1_000, 60_000), Context(1_000_000, 70_000)
    add(firing, context)
    context.watermark_ms = 119_999
    assert at_event_time(firing, context, 119_999) == TriggerResult.FIRE
    add(firing, context)
    (due_ms,) = context.processing_timers
    context.watermark_ms, context.now_ms = -(2**63), due_ms
    context.processing_timers.clear()
    assert firing.on_processing_time(due_ms, WINDOW, context) == TriggerResult.CONTINUE  # type: ignore[arg-type]
    (later_ms,) = context.processing_timers
    assert due_ms < later_ms <= due_ms + 1_000
    context.watermark_ms, context.now_ms = 119_999, later_ms
    assert firing.on_processing_time(later_ms, WINDOW, context) == TriggerResult.FIRE  # type: ignore[arg-type]
