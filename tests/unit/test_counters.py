"""Promise: early, final and corrected results are counted apart, in timers only where Flink counts there; merges are
counted without Flink, too.
"""

from typing import Any

import pytest
from pyflink.datastream import TimeWindow

from rtea.flink.counters import MERGES_AT_ONCE, WindowCounters


class Group:
    """Keeps what is counted, by label and name."""

    def __init__(self, counts: dict[str, int], label: str = "") -> None:
        self._counts, self._label, self._name = counts, label, ""

    def add_group(self, name: str, extra: str) -> "Group":
        return Group(self._counts, f"{name}={extra} ")

    def counter(self, name: str) -> "Group":
        made = Group(self._counts)
        made._name = self._label + name
        return made

    def inc(self, count: int) -> None:
        self._counts[self._name] = self._counts.get(self._name, 0) + count


@pytest.mark.parametrize("counts_in_timers", [True, False])
def test_kinds_of_firings(counts_in_timers: bool) -> None:
    counts: dict[str, int] = {}
    group: Any = Group(counts)
    counters = WindowCounters(counts_in_timers=counts_in_timers)
    counters.register(group)
    counters.merge(7)
    first, second = TimeWindow(0, 1_000), TimeWindow(1_000, 2_000)
    for window, watermark_ms in ((first, 500), (first, 999), (first, 1_500), (second, 1_999), (first, 2_500)):
        counters.fire(window, watermark_ms)
    assert bool(counts) == counts_in_timers
    counters.merge(0)
    shown = {kind: counts[f"kind={kind} rtea_job_firings_total"] for kind in ("early", "final", "correction")}
    assert shown == {"early": 1, "final": 2, "correction": 2}
    assert counts["rtea_job_merge_nanoseconds_total"] == 7


def test_corrections_after_a_restart_are_no_final_results() -> None:
    counts: dict[str, int] = {}
    group: Any = Group(counts)
    counters = WindowCounters(counts_in_timers=True)
    counters.register(group)
    counters.fire(TimeWindow(0, 1_000), 60_000)
    assert counts["kind=final rtea_job_firings_total"] == 0
    assert counts["kind=correction rtea_job_firings_total"] == 1


def test_merges_without_flink_are_no_error() -> None:
    counters = WindowCounters(counts_in_timers=False)
    for _ in range(2 * MERGES_AT_ONCE):
        counters.merge(1)
