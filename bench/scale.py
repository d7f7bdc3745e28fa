"""How time and state grow with a window's events, visitors and categories, and with subtasks and partitions.

The first part folds and merges one window in this process, as the job's operators do, and compares the result with what
went in. The second part drains a full topic on the stack (`bench.drain`) with other settings.

    python -m bench.scale [--core-only]

Promises: per event, no window takes more than twice the time of the least one, however many events and visitors it has.
Per event and name of a batch, a window of many categories takes at most four times the time of one with few: its names
do not fit into the processor's caches. The state does not grow with events or with visitors beyond two dense sketches,
and grows in proportion to the categories that it keeps; rows are right.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from bench import drain, machine
from bench.rivals.flink import Rtea
from bench.test_core import EVENTS, START_MS, WINDOW_MS
from rtea import aggregate
from rtea.aggregate import Submission
from rtea.flink.counters import WindowCounters
from rtea.flink.merge import Merge
from rtea.sinks import result

MOST_GROWTH = {"events": 2.0, "visitors": 2.0, "categories": 4.0}
"""Highest time for a unit of work, in times of the least one of the series."""

DENSE_SKETCHES_BYTES = 2 * 34_000
"""Two sketches of 32 KiB, for the two sources, and the rest of a state."""
CATEGORY_BYTES = 40


@dataclass(frozen=True)
class Window:
    """What happens in one window."""

    events: int = 400_000
    visitors: int = 50_000
    categories: int = 12
    max_dimensions: int = 1_000

    @property
    def kept(self) -> int:
        """The categories that have rows of their own."""
        return min(self.categories, self.max_dimensions)

    @property
    def work(self) -> float:
        """For each event: the event, and its share of the names in a batch, which are merged one by one."""
        return 1 + min(self.categories, EVENTS) / EVENTS

    @property
    def most_state_bytes(self) -> int:
        """The promised limit of the state."""
        return DENSE_SKETCHES_BYTES + CATEGORY_BYTES * self.kept

    def batches(self) -> Iterator[bytes]:
        """All events, packed; each is a purchase of one item."""
        for first in range(0, self.events, EVENTS):
            numbers = range(first, min(first + EVENTS, self.events))
            yield aggregate.pack_records([(number, START_MS, self._event(number)) for number in numbers])

    def _event(self, number: int) -> bytes:
        # Steps through all visitors and categories in an order that is not sorted.
        visitor, category = number * 7_919 % self.visitors, number * 104_729 % self.categories
        return (
            b'{"event_id":"e%d","event_type":"purchase","source":"%s","event_time":%d,"visitor_id":"visitor-%d",'
            b'"items":[{"product_id":"p%d","category":"category-%d","price":1.25,"quantity":1}]}'
        ) % (number, b"mobile" if number % 2 else b"website", START_MS, visitor, category, category)


@dataclass(frozen=True)
class Cost:
    """What a window costs."""

    fold_ns: float
    """For each event, like `merge_ns`."""
    merge_ns: float
    state_bytes: int
    result_bytes: int


def measure(window: Window) -> Cost:
    """Fold and merge a window; check its rows.

    Raises:
        AssertionError: a row is wrong.
    """
    folder = aggregate.Folder(
        window_ms=WINDOW_MS, max_event_bytes=262_144, topic="t", max_dimensions=window.max_dimensions
    )
    merge = Merge(WindowCounters(counts_in_timers=False))
    state, fold_s, merge_s = merge.create_accumulator(), 0.0, 0.0
    for batch in window.batches():
        began_s = time.process_time()
        ((_, partial),) = folder.fold(batch).partials
        folded_s = time.process_time()
        state = merge.add(partial, state)
        merge_s += time.process_time() - folded_s
        fold_s += folded_s - began_s
    state = merge.get_result(state)
    frame = aggregate.encode_result(state, Submission(WINDOW_MS, 0, ""))
    encoded = frame[4 + int.from_bytes(frame[:4], "little") :]
    _check(window, result.decode(encoded, "t"))
    events = window.events
    return Cost(fold_s / events * 1e9, merge_s / events * 1e9, len(state), len(encoded))


def _check(window: Window, found: result.WindowResult) -> None:
    counted = sum(row.event_count or 0 for row in found.rows)
    sold_minor = sum(int(row.revenue_minor or 0) for row in found.rows)
    names = {row.dimension for row in found.rows if row.metric == "revenue"} - {"(other)"}
    (visitors,) = [row.unique_visitors or 0 for row in found.rows if row.key[:2] == ("unique_visitors", "all")]
    error = abs(visitors / min(window.visitors, window.events) - 1)
    assert (counted, sold_minor, len(names)) == (window.events, 125 * window.events, window.kept), found.rows[:5]
    assert error < 4 * aggregate.SKETCH_STANDARD_ERROR + 0.01, visitors


BASE = Window()

SERIES: dict[str, list[Window]] = {
    "events": [replace(BASE, events=BASE.events * factor) for factor in (1, 10, 50)],
    "visitors": [
        *(replace(BASE, visitors=visitors) for visitors in (100, 10_000, 400_000)),
        replace(BASE, visitors=10_000_000, events=10_000_000),
    ],
    "categories": [replace(BASE, categories=categories) for categories in (12, 1_000, 100_000)],
    "categories, job.max_dimensions = 20,000": [
        replace(BASE, categories=categories, max_dimensions=20_000) for categories in (12, 1_000, 100_000)
    ],
}


def in_this_process() -> bool:
    """Print the first part; whether its promises are kept."""
    print("| growing | events | visitors | categories | fold ns | merge ns | state bytes | result bytes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    kept = True
    for name, windows in SERIES.items():
        costs = [measure(window) for window in windows]
        for window, cost in zip(windows, costs, strict=True):
            cells = (window.events, window.visitors, window.categories, round(cost.fold_ns), round(cost.merge_ns))
            numbers = " | ".join(f"{number:,}" for number in (*cells, cost.state_bytes, cost.result_bytes))
            print(f"| {name} | {numbers} |", flush=True)
            kept &= cost.state_bytes <= window.most_state_bytes
        times_ns = [(cost.fold_ns + cost.merge_ns) / window.work for window, cost in zip(windows, costs, strict=True)]
        growth = max(times_ns) / min(times_ns)
        print(f"{name}: time for a unit of work grows {growth:.2f} times", flush=True)
        kept &= growth <= MOST_GROWTH[name.partition(",")[0]]
    print(f"time and state within their limits: {'kept' if kept else 'NOT KEPT'}")
    return kept


LAYOUTS = ((1, 4), (2, 4), (4, 4), (2, 8), (2, 16))
"""Subtasks and partitions."""


def on_the_stack(state_dir: Path, events: int) -> None:
    """Print what a drain costs with other numbers of subtasks and partitions. Each drain's rows are checked."""
    lines = []
    for parallelism, partitions in LAYOUTS:
        flags = {"job.parallelism": parallelism, "kafka.partitions": partitions}
        with drain.full_topic(state_dir, events, "json", flags) as (config, sent):
            measured = drain.measure(Rtea(config, sent), rounds=2, warm_up=2)
        cells = (parallelism, partitions, f"{measured.rate_hz:,.0f}", f"{measured.worker_cpu_seconds:.1f}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    print("| subtasks | partitions | events per second | CPU seconds |\n| --- | --- | --- | --- |", *lines, sep="\n")


@click.command
@click.option("--core-only", is_flag=True, help="Only the part in this process.")
@click.option("--events", default=18_000_000, show_default=True, help="Events of a drain on the stack.")
@click.option("--state-dir", default=Path(".rtea/scale"), type=click.Path(path_type=Path))
def main(core_only: bool, events: int, state_dir: Path) -> None:
    """Run the measurement; exit code 1 if a promise is not kept."""
    print(machine.describe())
    is_kept = in_this_process()
    if not core_only:
        on_the_stack(state_dir, events)
    sys.exit(0 if is_kept else 1)


if __name__ == "__main__":
    main()
