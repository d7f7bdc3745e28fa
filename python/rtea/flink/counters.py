"""Counts what the UDFs do, as metrics of Flink: docs/observability.md lists them.

The names are final: the Prometheus reporter exports them as they are, with times in seconds. Flink counts whole numbers
only, so here times are in nanoseconds.
"""

from collections.abc import Iterable

from pyflink.datastream import TimeWindow
from pyflink.metrics import Counter, MetricGroup

from rtea import aggregate, events
from rtea.aggregate import SKIPPED, Folded

MERGES_AT_ONCE = 100
"""So many merges are counted together: to count takes microseconds."""


def _begin(counters: Iterable[Counter]) -> None:
    """Let counters begin at 0: Prometheus sees no increase in a series that begins with more. In process mode, a
    counter exists only since its first count, which must come with an element.
    """
    for counter in counters:
        counter.inc(0)


class DeadLetterCounter:
    """Counts events that gave dead letters, by reason, and events that an event map skipped."""

    def __init__(self, group: MetricGroup) -> None:
        self._by_reason: dict[str, Counter] = {
            reason: group.add_group("reason", reason).counter("rtea_job_dead_letters_total")
            for reason in events.REASONS
        }
        self._by_reason[SKIPPED] = group.counter("rtea_job_skipped_events_total")

    def begin(self) -> None:
        """Begin every count at 0."""
        _begin(self._by_reason.values())

    def add(self, refused: bytes) -> None:
        """Add the counts of one window, as `rtea.aggregate` gives them."""
        for reason, count in aggregate.describe_refused(refused).events.items():
            self._by_reason[reason].inc(count)


class FoldCounters:
    """Counts what a fold does."""

    def __init__(self, group: MetricGroup) -> None:
        self._partials = group.counter("rtea_job_partials_total")
        self._nanoseconds = group.counter("rtea_job_fold_nanoseconds_total")
        self._dead_letters = DeadLetterCounter(group)
        self._has_begun = False

    def add(self, folded: Folded, nanoseconds: int) -> None:
        """Add one batch, and how long its fold took."""
        if not self._has_begun:
            self._has_begun = True
            self._dead_letters.begin()
        self._partials.inc(len(folded.partials))
        self._nanoseconds.inc(nanoseconds)
        for refused in folded.refused:
            self._dead_letters.add(refused)


class WindowCounters:
    """Counts merges and firings of the windows of one subtask. The first final firing of a window and its corrections
    are different kinds: only the first ones show that the job goes on.

    Flink gives an aggregate function no metrics, so the window function registers the counters. In process mode, what
    is counted in a timer is lost: `counts_in_timers` says whether firings wait for the next merge.
    """

    def __init__(self, *, counts_in_timers: bool) -> None:
        self._counts_in_timers = counts_in_timers
        self._merges = self._nanoseconds = 0
        self._firings = dict.fromkeys(("early", "final", "correction"), 0)
        self._newest_end_ms: int | None = None
        self._counters: dict[str, Counter] = {}
        self._has_begun = False

    def register(self, group: MetricGroup) -> None:
        """Make the counters."""
        self._counters = {
            kind: group.add_group("kind", kind).counter("rtea_job_firings_total") for kind in self._firings
        }
        self._counters["merges"] = group.counter("rtea_job_merges_total")
        self._counters["nanoseconds"] = group.counter("rtea_job_merge_nanoseconds_total")

    def merge(self, nanoseconds: int) -> None:
        """Add one merge, and how long it took."""
        self._merges += 1
        self._nanoseconds += nanoseconds
        # Benchmarks merge without Flink, so nothing is registered.
        if self._counters and (any(self._firings.values()) or self._merges >= MERGES_AT_ONCE):
            self._count()

    def fire(self, window: TimeWindow, watermark_ms: int) -> None:
        """Add one firing."""
        if self._newest_end_ms is None:
            # After a restart, older windows have fired before.
            self._newest_end_ms = watermark_ms - (window.end - window.start)
        if watermark_ms < window.max_timestamp():
            kind = "early"
        else:
            kind = "final" if window.end > self._newest_end_ms else "correction"
            self._newest_end_ms = max(self._newest_end_ms, window.end)
        self._firings[kind] += 1
        if self._counts_in_timers:
            self._count()

    def _count(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            _begin(self._counters.values())
        for kind, firings in self._firings.items():
            self._counters[kind].inc(firings)
        self._counters["merges"].inc(self._merges)
        self._counters["nanoseconds"].inc(self._nanoseconds)
        self._firings = dict.fromkeys(self._firings, 0)
        self._merges = self._nanoseconds = 0
