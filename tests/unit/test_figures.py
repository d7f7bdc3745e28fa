"""Promises: percentiles are within a bucket of the true ones; each acknowledgement is counted once, with its time."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtea_gen import latency
from rtea_gen.figures import BOUNDS_MS, Figures, percentile_ms, spawning


@given(latencies=st.lists(st.floats(0.5, 99_000), min_size=1, max_size=200), share=st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_the_bound_above_the_true_one(latencies: list[float], share: float) -> None:
    figures = Figures.of(spawning(), 2)
    for latency_ms in latencies:
        figures.add_latency(1, latency_ms, 1)
    true = sorted(latencies)[math.ceil(share * len(latencies)) - 1]
    found = percentile_ms(figures.latencies(1), share)
    assert found is not None
    assert true <= found <= max(true * 10**0.1, 1) * 1.0001
    assert sum(figures.latencies(0)) == 0


def test_latencies_above_the_last_bound_are_not_hidden() -> None:
    figures = Figures.of(spawning(), 1)
    figures.add_latency(0, BOUNDS_MS[-1] * 10, 1)
    assert percentile_ms(figures.latencies(0), 0.5) == math.inf
    assert percentile_ms([0] * (len(BOUNDS_MS) + 1), 0.5) is None


def test_the_kth_acknowledgement_is_timed_from_the_kth_record(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: Iterator[float] = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(latency.time, "monotonic", lambda: next(seconds))
    found: list[tuple[float, int]] = []
    clock = latency.LatencyClock(lambda ms, count: found.append((ms, count)))
    clock.note_sent(10)
    clock.note_sent(15)
    clock.note_acked(12)
    clock.note_acked(15)
    assert found == [(3_000.0, 10), (6_000.0, 5)]
