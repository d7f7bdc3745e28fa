"""What shards tell of themselves while they run: rows of numbers in shared memory.

Each shard writes its own row; `rtea_gen.run` reads them for the progress bar, the summary and the
manifest, `rtea_gen.metrics` for Prometheus. A killed shard's row stays as it was.
"""

import bisect
import ctypes
import multiprocessing
from multiprocessing.context import SpawnContext

BOUNDS_MS = tuple(10 ** (n / 10) for n in range(51))
"""Upper bounds of the buckets of delivery latency, 1 ms to 100 s, ten in each decade; one more is open."""

LAST_NUMBER = 2**62
"""What a shard that has ended puts where it holds others back: it no longer does."""

FIELDS = ("acked", "truth_ms", "next", "sent", "failed", "size_bytes", "behind_us", "most_behind_us", "cpu_us", "moved")
WIDTH = len(FIELDS) + len(BOUNDS_MS) + 1

Numbers = ctypes.Array
"""Shared memory without a lock: each number is written by one process, as a whole. A lock would outlive a
killed shard that held it.
"""


class Figures:
    """The rows of all shards.

    Fields: `acked`, number below which all of the shard's events are acknowledged; `truth_ms`, event time
    before which its truth file is whole; `next`, number of its next event; `sent` and `failed`, records; `size_bytes`
    of their values; `behind_us` and `most_behind_us`, how long events waited for their turn, now and at most;
    `cpu_us`; `moved`, records that an idle partition sent elsewhere.
    """

    def __init__(self, numbers: "Numbers[ctypes.c_longlong]") -> None:
        self.numbers = numbers

    @classmethod
    def of(cls, context: SpawnContext, shards: int) -> "Figures":
        """Rows of zeros for that many shards."""
        return cls(context.RawArray(ctypes.c_longlong, shards * WIDTH))

    @property
    def shards(self) -> int:
        """Number of rows."""
        return len(self.numbers) // WIDTH

    def get(self, shard: int, field: str) -> int:
        """One number of a shard."""
        return int(self.numbers[shard * WIDTH + FIELDS.index(field)])

    def set(self, shard: int, field: str, value: int) -> None:
        """Change one number of one's own row."""
        self.numbers[shard * WIDTH + FIELDS.index(field)] = value

    def all(self, field: str) -> list[int]:
        """One number of each shard."""
        first = FIELDS.index(field)
        return list(self.numbers[first::WIDTH])

    def add_latency(self, shard: int, milliseconds: float, count: int) -> None:
        """Count records by how long their acknowledgement took."""
        self.numbers[shard * WIDTH + len(FIELDS) + bisect.bisect_left(BOUNDS_MS, milliseconds)] += count

    def latencies(self, shard: int) -> list[int]:
        """Records by bucket."""
        first = shard * WIDTH + len(FIELDS)
        return list(self.numbers[first : first + len(BOUNDS_MS) + 1])


def percentile_ms(buckets: list[int], share: float) -> float | None:
    """Upper bound of the bucket that holds a percentile; None without records, infinite in the open bucket.

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
    """How processes start: as new interpreters, so that no thread or lock is copied."""
    return multiprocessing.get_context("spawn")
