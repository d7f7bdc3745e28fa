"""The functions that take most of the CPU: decode, fold, merge, encode.

Each benchmark uses the Python functions that the job and the generator use, and checks the result. `bench.gate` runs
this suite on two trees and compares the medians.
"""

from collections.abc import Callable
from itertools import count

import pytest

from rtea import _core, aggregate, events

EVENTS = 4_000
"""Number of events in a full packed batch."""

WINDOW_MS = 60_000
START_MS = 1_760_000_040_000

Benchmark = Callable[..., object]


def stream(rate_hz: int = EVENTS) -> _core.EventStream:
    """A new event stream; equal streams give equal bytes."""
    return _core.EventStream(
        seed=7,
        start_ms=START_MS,
        rate_hz=rate_hz,
        window_ms=WINDOW_MS,
        lanes=20_000,
        visitors=200_000,
        products=20_000,
    )


def batch(format: events.Format, made: _core.EventStream | None = None, first: int = 0) -> bytes:
    """A packed batch of a stream's events from the first one on."""
    _, values, times = (made or stream()).batch(first, 1, EVENTS, format)
    return aggregate.pack_records(
        [(first + n, time, value) for n, (value, time) in enumerate(zip(values, times, strict=True))]
    )


def folder() -> aggregate.Folder:
    """A folder with the job's default settings."""
    return aggregate.Folder(window_ms=WINDOW_MS, max_event_bytes=262_144, topic="events")


@pytest.mark.parametrize("format", ["json", "msgpack"])
def test_decode(benchmark: Benchmark, format: events.Format) -> None:
    """Decode events to Structs."""
    _, values, _ = stream().batch(0, 1, 200, format)

    def decode_all() -> int:
        return sum(events.decode(value).event_time for value in values)

    assert benchmark(decode_all) == sum(START_MS + n * 1000 // EVENTS for n in range(200))


@pytest.mark.parametrize("format", ["json", "msgpack"])
def test_fold(benchmark: Benchmark, format: events.Format) -> None:
    """Fold a full packed batch to its partial."""
    packed, fold = batch(format), folder().fold
    folded = benchmark(fold, packed)
    assert isinstance(folded, aggregate.Folded)
    assert not folded.dead_letters
    ((_, partial),) = folded.partials
    assert aggregate.describe_partial(partial).events == EVENTS


def test_merge(benchmark: Benchmark) -> None:
    """Merge two partials of full batches."""
    ((_, partial),) = folder().fold(batch("json")).partials
    merged = benchmark(aggregate.merge_partials, partial, partial)
    assert isinstance(merged, bytes)
    assert aggregate.describe_partial(merged).events == 2 * EVENTS


@pytest.mark.parametrize("format", ["json", "msgpack"])
def test_encode(benchmark: Benchmark, format: events.Format) -> None:
    """Generate and encode the next batch of events."""
    source, numbers = stream(), count(0, EVENTS)
    batch = benchmark(lambda: source.batch(next(numbers), 1, EVENTS, format))
    assert isinstance(batch, tuple)
    values, times = batch[1:]
    assert len(values) == EVENTS
    assert [events.decode(value).event_time for value in (values[0], values[-1])] == [times[0], times[-1]]
