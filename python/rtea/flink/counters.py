"""Counts what the UDFs do, as metrics of Flink: docs/observability.md lists them.

The names are final: the Prometheus reporter exports them as they are, with times in seconds. Flink counts whole numbers
only, so here times are in nanoseconds.
"""

from collections.abc import Iterable

from pyflink.datastream import TimeWindow
from pyflink.metrics import Counter, MetricGroup

from rtea import aggregate, events
from rtea.aggregate import SKIPPED, Folded


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


class MergeTime:
    """How often and how long the merge of a subtask ran: Flink gives an aggregate function no metrics, so the window
    function beside it counts them when a window fires.
    """

    def __init__(self) -> None:
        self.merges = self.nanoseconds = 0

    def add(self, nanoseconds: int) -> None:
        """Add one merge."""
        self.merges += 1
        self.nanoseconds += nanoseconds


class FiringCounters:
    """Counts the firings of windows, and the merges before them. The first final firing of a window and its corrections
    are different kinds: only the first ones show that the job goes on.
    """

    def __init__(self, group: MetricGroup, spent: MergeTime) -> None:
        self._firings = {
            kind: group.add_group("kind", kind).counter("rtea_job_firings_total")
            for kind in ("early", "final", "correction")
        }
        self._newest_end_ms: int | None = None
        self._merges = group.counter("rtea_job_merges_total")
        self._nanoseconds = group.counter("rtea_job_merge_nanoseconds_total")
        self._spent = spent
        self._counted = (0, 0)

    def add(self, window: TimeWindow, watermark_ms: int) -> None:
        """Add one firing, and the merges since the last one."""
        if self._newest_end_ms is None:
            # After a restart, older windows have fired before.
            self._newest_end_ms = watermark_ms - (window.end - window.start)
            _begin([*self._firings.values(), self._merges, self._nanoseconds])
        if watermark_ms < window.max_timestamp():
            kind = "early"
        else:
            kind = "final" if window.end > self._newest_end_ms else "correction"
            self._newest_end_ms = max(self._newest_end_ms, window.end)
        self._firings[kind].inc()
        merges, nanoseconds = self._counted
        self._counted = (self._spent.merges, self._spent.nanoseconds)
        self._merges.inc(self._counted[0] - merges)
        self._nanoseconds.inc(self._counted[1] - nanoseconds)
