"""What each metric costs: time of fold and merge for an event, and bytes of a window's state and result.

It folds and merges a minute of the generator's events at 50,000 events/s, in this process, as the job's operators do:
with the default metrics, with each other metric besides them, and with all. It compares the counts of events in the
rows with the number of events.

    python -m bench.metrics

Promise: all metrics together take at most a tenth of a core at that rate.
"""

import statistics
import sys
import time
from dataclasses import dataclass

import click

from bench import machine
from bench.test_core import EVENTS, START_MS, WINDOW_MS
from rtea import _core, aggregate
from rtea.aggregate import Submission
from rtea.flink.counters import WindowCounters
from rtea.flink.merge import Merge
from rtea.metrics import DEFAULT, registry
from rtea.sinks import result

RATE_HZ = 50_000
MOST_CORES = 0.1


@dataclass(frozen=True)
class Cost:
    """Nanoseconds for an event, and bytes of the window."""

    fold_ns: float
    merge_ns: float
    state_bytes: int
    result_bytes: int

    @property
    def ns(self) -> float:
        """Fold and merge."""
        return self.fold_ns + self.merge_ns

    @property
    def cores(self) -> float:
        """Share of a core at 50,000 events/s."""
        return self.ns * RATE_HZ / 1e9


def batches(minutes: float) -> list[bytes]:
    """Packed batches of one window's events, in four partitions' order."""
    start_ms = START_MS // WINDOW_MS * WINDOW_MS
    stream = _core.EventStream(
        seed=7,
        start_ms=start_ms,
        rate_hz=RATE_HZ,
        window_ms=WINDOW_MS,
        lanes=200_000,
        visitors=2_000_000,
        products=20_000,
    )
    packed = []
    for first in range(0, int(RATE_HZ * 60 * minutes), EVENTS):
        _, values, times = stream.batch(first, 1, EVENTS, "json")
        records = [(first + n, time_ms, value) for n, (value, time_ms) in enumerate(zip(values, times, strict=True))]
        packed.append(aggregate.pack_records(records))
    return packed


def measure(packed: list[bytes], metrics: tuple[str, ...]) -> Cost:
    """Fold and merge the batches.

    Raises:
        AssertionError: the rows do not count all events.
    """
    folder = aggregate.Folder(window_ms=WINDOW_MS, max_event_bytes=262_144, topic="t", metrics=metrics)
    merge = Merge(WindowCounters(counts_in_timers=False))
    state, fold_s, merge_s = merge.create_accumulator(), 0.0, 0.0
    for batch in packed:
        began_s = time.process_time()
        folded = folder.fold(batch)
        folded_s = time.process_time()
        for _, partial in folded.partials[:1]:
            state = merge.add(partial, state)
        merge_s += time.process_time() - folded_s
        fold_s += folded_s - began_s
    state = merge.get_result(state)
    frame = aggregate.encode_result(state, Submission(WINDOW_MS, 0, ""))
    encoded = frame[4 + int.from_bytes(frame[:4], "little") :]
    counted = sum(row.event_count or 0 for row in result.decode(encoded, "t").rows if row.metric == "event_count")
    events = aggregate.describe_partial(state).events
    assert counted == events > 0.9 * len(packed) * EVENTS, (counted, events)
    total = len(packed) * EVENTS
    return Cost(fold_s / total * 1e9, merge_s / total * 1e9, len(state), len(encoded))


@click.command
@click.option("--minutes", default=1.0, show_default=True, type=click.FloatRange(min=0.05, max=1.0))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
def main(minutes: float, rounds: int) -> None:
    """Print the table; exit code 1 if the promise is not kept."""
    print(machine.describe())
    packed = batches(minutes)
    others = [name for name in registry() if name not in DEFAULT]
    choices = {"the default": DEFAULT, **{f"+ {name}": (*DEFAULT, name) for name in others}, "all": tuple(registry())}
    costs: dict[str, list[Cost]] = {name: [] for name in choices}
    for _ in range(rounds):
        for name, metrics in choices.items():
            costs[name].append(measure(packed, metrics))
    print("| metrics | fold ns | merge ns | cores at 50,000/s | state bytes | result bytes |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, rounds_of in costs.items():
        best = min(rounds_of, key=lambda cost: cost.ns)
        cells = (f"{best.fold_ns:.0f}", f"{best.merge_ns:.0f}", f"{best.cores:.3f}")
        print(f"| {name} | {' | '.join(cells)} | {best.state_bytes:,} | {best.result_bytes:,} |")
    median = {name: statistics.median(cost.ns for cost in each) for name, each in costs.items()}
    print(f"all take {median['all'] / median['the default']:.2f} times the time of the default")
    cores = median["all"] * RATE_HZ / 1e9
    print(f"all take {cores:.3f} cores, at most {MOST_CORES}: {'kept' if cores <= MOST_CORES else 'NOT KEPT'}")
    sys.exit(0 if cores <= MOST_CORES else 1)


if __name__ == "__main__":
    main()
