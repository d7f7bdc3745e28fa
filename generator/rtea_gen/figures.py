"""The shards' figures while they run: one row of numbers per shard, in shared memory.

Each shard writes its own row. `rtea_gen.run` reads the rows for the progress bar, the summary and the manifest;
`rtea_gen.metrics` reads them for Prometheus. After a shard was killed, its row keeps the last values.
"""

import bisect
import ctypes
import multiprocessing
from multiprocessing.context import SpawnContext

BOUNDS_MS = tuple(10 ** (n / 10) for n in range(51))
"""Upper bounds of the buckets of delivery latency: 1 ms to 100 s, ten per decade. One more bucket has no bound."""

LAST_NUMBER = 2**62
"""A shard that has ended sets `acked` and `truth_ms` to this, so that it no longer holds back the others."""

FIELDS = ("acked", "truth_ms", "next", "sent", "failed", "size_bytes", "behind_us", "most_behind_us", "cpu_us", "moved")
WIDTH = len(FIELDS) + len(BOUNDS_MS) + 1

Numbers = ctypes.Array
"""Shared memory without a lock. A killed shard could never release a lock. None is needed: only one process writes each
number, and writes it at once.
"""


class Figures:
    """The rows of all shards.

    - `acked`: all of the shard's events with a lower number are acknowledged.
    - `truth_ms`: the truth file is complete up to this event time.
    - `next`: number of the next event.
    - `sent`, `failed`: numbers of records; `size_bytes`: bytes of their values.
    - `behind_us`, `most_behind_us`: how late events were sent, now and at most.
    - `cpu_us`: CPU time.
    - `moved`: records that went to another partition because their own must stay idle.
    """

    def __init__(self, numbers: "Numbers[ctypes.c_longlong]") -> None:
        self.numbers = numbers

    @classmethod
    def of(cls, context: SpawnContext, shards: int) -> "Figures":
        """Make rows of zeros for this number of shards."""
        return cls(context.RawArray(ctypes.c_longlong, shards * WIDTH))

    @property
    def shards(self) -> int:
        """Number of rows."""
        return len(self.numbers) // WIDTH

    def get(self, shard: int, field: str) -> int:
        """One number of a shard."""
        return int(self.numbers[shard * WIDTH + FIELDS.index(field)])

    def set(self, shard: int, field: str, value: int) -> None:
        """Change one number; a shard may only change its own row."""
        self.numbers[shard * WIDTH + FIELDS.index(field)] = value

    def all(self, field: str) -> list[int]:
        """One number of each shard."""
        first = FIELDS.index(field)
        return list(self.numbers[first::WIDTH])

    def add_latency(self, shard: int, milliseconds: float, count: int) -> None:
        """Count records whose acknowledgement took this long."""
        self.numbers[shard * WIDTH + len(FIELDS) + bisect.bisect_left(BOUNDS_MS, milliseconds)] += count

    def latencies(self, shard: int) -> list[int]:
        """The number of records in each bucket."""
        first = shard * WIDTH + len(FIELDS)
        return list(self.numbers[first : first + len(BOUNDS_MS) + 1])


def percentile_ms(buckets: list[int], share: float) -> float | None:
    """The upper bound of the bucket with a percentile. None without records; infinite for the bucket without a bound.

    >>> round(percentile_ms([0] * 10 + [98] + [0] * 9 + [2] + [0] * 31, 0.99))
    100
    """
    total, seen = sum(buckets), 0
    if not total:
        return None
    for bound, count in zip((*BOUNDS_MS, float("inf")), buckets, strict=True):
        seen += count
        if seen >= share * total:
            return bound
    return float("inf")


def spawning() -> SpawnContext:
    """The way to start processes: as new interpreters, which copy no thread and no lock."""
    return multiprocessing.get_context("spawn")
