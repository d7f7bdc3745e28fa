"""Verification: compares the rows of a sink with the manifest of the generator.

Counts and revenue must be equal to the last unit. Unique visitors must lie within the sketch's error, and must be
what the sketch's bytes estimate.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import chain

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from rtea import aggregate, money
from rtea.manifest import Window
from rtea.metrics import registry
from rtea.sinks.contract import Sink, StoredRow
from rtea.sinks.result import DEAD_LETTERS

UNITS = {series.name: series.unit for series in chain.from_iterable(registry().values())}
"""The unit of each series."""

STANDARD_ERRORS = 4
"""Allowed error of unique visitors, in standard errors: 2.3 %. A correct sketch exceeds it once in 16,000 windows."""


@dataclass
class Report:
    """The number of windows compared, and what is wrong with those that differ."""

    windows: int = 0
    events: int = 0
    problems: dict[int, list[str]] = field(default_factory=dict)

    @property
    def matching(self) -> int:
        """Number of windows in which every row matches."""
        return self.windows - len(self.problems)

    @property
    def passed(self) -> bool:
        """Whether there was something to compare, and all of it matched."""
        return self.windows > 0 and not self.problems

    def __str__(self) -> str:
        return f"{self.matching} of {self.windows} windows match"


def verify(windows: list[Window], sink: Sink) -> Report:
    """Compare windows of a manifest with a sink's rows.

    Raises:
        SinkError: the sink cannot be read.
    """
    report = Report(len(windows), sum(window.events for window in windows))
    if not windows:
        return report
    stored = sink.read(windows[0].window_start_ms, windows[-1].window_start_ms + 1)
    rows: dict[int, list[StoredRow]] = defaultdict(list)
    for row in stored:
        rows[row.window_start_ms].append(row)
    for window in windows:
        if problems := compare(window, rows[window.window_start_ms]):
            report.problems[window.window_start_ms] = problems
    return report


def compare(window: Window, rows: list[StoredRow]) -> list[str]:
    """The differences between a window and its rows; empty if they match."""
    problems = [f"{row.metric} {row.dimension} ends at {row.window_end_ms}, expected {window.window_end_ms}"
                for row in rows if row.window_end_ms != window.window_end_ms]  # fmt: skip
    problems += _mixtures(rows)
    counted = [row for row in rows if row.metric != DEAD_LETTERS]
    early = sum(not row.is_final for row in counted)
    problems += [f"{early} of {len(counted)} rows are not final yet"] if early else []
    found = {(row.metric, row.dimension, row.currency): row for row in counted}
    expected = {(row.metric, row.dimension, row.currency): row.value for row in window.expected()}
    for key in sorted(expected.keys() | found.keys()):
        problems += _problems(key, expected.get(key), found.get(key))
    problems += [f"{row.metric} {row.dimension} has revision {row.revision}, expected {window.events}"
                 for row in rows if row.metric != DEAD_LETTERS and row.revision > window.events]  # fmt: skip
    return problems


def _mixtures(rows: list[StoredRow]) -> list[str]:
    """Rows that occur twice, and windows with rows of different results."""
    keys = Counter((row.metric, row.dimension, row.currency) for row in rows)
    problems = [
        f"{' '.join(filter(None, key))} occurs {count} times" for key, count in sorted(keys.items()) if count > 1
    ]
    for name, are_refused in (("events", False), ("dead letters", True)):
        mine = [row for row in rows if (row.metric == DEAD_LETTERS) == are_refused]
        ages = sorted({(row.generation, row.revision, row.is_final) for row in mine})
        if len(ages) > 1:
            listed = ", ".join(
                f"{revision}{'' if is_final else ' (early)'} of generation {generation}"
                for generation, revision, is_final in ages
            )
            problems.append(f"rows of {name} are of several revisions: {listed}")
    return problems


def _problems(key: tuple[str, str, str], expected: int | None, row: StoredRow | None) -> list[str]:
    """What is wrong with one row, by the unit of its metric."""
    metric, _, currency = key
    name = " ".join(filter(None, key))
    unit = UNITS.get(metric)
    if expected is None or row is None or unit is None:
        return [f"{name} is {row and (row.event_count or row.revenue or row.unique_visitors)}, expected {expected}"]
    if unit == "distinct":
        return _problems_of_sketch(name, expected, row)
    found, wanted = (
        (row.event_count, expected) if unit == "count" else (row.revenue, money.major_units(expected, currency))
    )
    return [] if found == wanted else [f"{name} is {found}, expected {wanted}"]


def _problems_of_sketch(name: str, exact: int, row: StoredRow) -> list[str]:
    estimate, problems = row.unique_visitors, []
    allowed = STANDARD_ERRORS * aggregate.SKETCH_STANDARD_ERROR * exact + 1
    if estimate is None or abs(estimate - exact) > allowed:
        problems.append(f"{name} is {estimate}, expected {exact} ± {allowed:.0f}")
    if row.visitors_sketch is None or aggregate.estimate_sketch(row.visitors_sketch) != estimate:
        problems.append(f"{name} is {estimate}, not what its sketch estimates")
    return problems


def wait_for(windows: list[Window], sink: Sink, timeout_s: float) -> Report:
    """Verify again and again until everything matches or the time is over; return the last report.

    Raises:
        SinkError: the sink cannot be read.
    """
    attempts = Retrying(
        retry=retry_if_result(lambda report: not report.passed),
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(0.5),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else Report(),
    )
    report: Report = attempts(verify, windows, sink)
    return report
