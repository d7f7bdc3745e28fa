"""Promise: events are due by an open-loop schedule that a stall does not move."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtea import config as configuration
from rtea_gen import plan as plans
from rtea_gen.plan import Plan


def plan(**flags: object) -> Plan:
    config = configuration.load(flags={f"generator.{name}": value for name, value in flags.items()})
    return Plan(config, start_ms=1_000_000, began_s=5_000.0, events=None)


@given(number=st.integers(0, 10**9), rate=st.integers(1, 10**6), speed=st.sampled_from([0.5, 1.0, 10.0]))
def test_an_event_is_due_exactly_from_its_time_on(number: int, rate: int, speed: float) -> None:
    schedule = plan(rate=rate, speed=speed)
    assert schedule.due_number(schedule.due_at_s(number)) == pytest.approx(number, abs=1e-3 * rate)


def test_at_full_speed_everything_is_due() -> None:
    assert plan(speed=0).due_number(0.0) == math.inf


def test_a_simulated_run_ends_in_the_past_and_a_live_one_starts_shortly() -> None:
    import time

    now_ms = time.time_ns() // 1_000_000
    config = configuration.load(flags={"generator.speed": 0, "generator.rate": 1000})
    past = plans.make(config, start_ms=None, events=None, duration_s=60)
    assert past.events == 60_000
    assert abs(past.start_ms - (now_ms - 60_000)) < 5_000
    fast = plans.make(config.model_copy(update={"generator": config.generator.model_copy(update={"speed": 2.0})}),
                      start_ms=1, events=None, duration_s=60)  # fmt: skip
    assert fast.due_number(fast.began_s + 1) == pytest.approx(2 * 1000)
    live = plans.make(configuration.load(), start_ms=None, events=None, duration_s=1)
    assert now_ms < live.start_ms < now_ms + 60_000
