"""What a sink promises, and what the runner promises to it.

`rtea.sinks.runner` reads the results topic in offset order and calls a sink from one thread:

1. `open`, before anything else, and again each time partitions are assigned. The sink makes the table if it is missing
   and the settings allow it, and returns whether the table is empty. If it is empty, the runner resets the committed
   offsets to the start of the topic before the first `write`, so a new table misses no window even after a crash. The
   first call gives up after a while if the server does not answer. Later calls get `stop`, and wait.
2. `write`, with a batch of results. The sink's `limits` say how large and how frequent batches are. When `write`
   returns, the rows are durable and readable.
3. The runner commits the offsets of the batch, only after `write` returned.
4. `close`, once, at the end, also after an error.

Any process may call `read` at any time, also without `open`.

The runner may pass a result twice, or an older one after a newer one: after a crash between 2 and 3, or when it reads
the topic from its start. So a sink must be idempotent: **a newer result replaces its window as a whole, an older or
equal one changes nothing** (`rtea.sinks.result.WindowResult` says which is newer). The sink removes rows of the older
result that the newer one lacks. The rows of one result appear together or not at all. Rows of counted events and rows
of refused events are replaced separately. With this contract, at-least-once delivery gives each row exactly once.

The sink refuses results whose window length differs from the table's (`rtea.sinks.table.require_length`).

If the server does not answer, `write` retries without end, until the `stop` event is set. Then it raises
`AbandonedError`, the runner commits nothing, and the next run reads the same results again. Each retry counts in
`rtea.sinks.metrics.RETRIES`. An error that a retry cannot fix is a `SinkError` that names the remedy; it ends the
runner.

Each `destination` has its own offsets, so several tables can be filled from the same topic.

A new sink is one module with a subclass of `Sink` and a `SinkKind`, and one line that registers it: in `rtea.plugins`,
or in another package as an entry point of `rtea.sinks`.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from rtea.sinks.result import WindowResult


@dataclass(frozen=True)
class StoredRow:
    """One row, read from a table; times in ms since the epoch, UTC."""

    window_start_ms: int
    window_end_ms: int
    metric: str
    dimension: str
    currency: str
    event_count: int | None
    revenue: Decimal | None
    unique_visitors: int | None
    visitors_sketch: bytes | None
    revision: int
    updated_at_ms: int
    generation: int
    is_final: bool


class Total(NamedTuple):
    """The sum of a row's counts, or of its revenue in major units, over the windows of a bucket."""

    bucket_start_ms: int
    metric: str
    dimension: str
    currency: str
    value: float


@dataclass(frozen=True)
class Batch:
    """Results in offset order. `id` (32 hexadecimal digits) is a digest of their offsets and contents: if the same
    records are read again as one batch, it has the same id.
    """

    results: Sequence[WindowResult]
    id: str


@dataclass(frozen=True)
class Limits:
    """How the runner cuts batches. A batch is ready as soon as it has a result, but not sooner than `interval_s` after
    the one before, unless it is full. With nothing but early results it waits for `early_interval_s`. `size_bytes` is
    the size of the result records. A batch may exceed its limits by the records of one read
    (`rtea.sinks.runner.READ_RECORDS`).
    """

    records: int = 100
    size_bytes: int = 33_554_432
    interval_s: float = 0.0
    early_interval_s: float = 0.0


class AbandonedError(Exception):
    """`open` or `write` stopped waiting because `stop` was set. The rows may or may not be durable."""


class Sink(ABC):
    """A table that holds the windows' rows."""

    name: str
    """The sink's name in `rtea.plugins`, and in its metrics."""

    limits = Limits()

    @property
    @abstractmethod
    def destination(self) -> str:
        """A name for the table, unique and the same in every run; not a secret."""

    @abstractmethod
    def open(self, stop: threading.Event | None = None) -> bool:
        """Make the table if it is missing; safe to repeat. Return whether the table is empty.

        Raises:
            SinkError: the table cannot be made, or, without `stop`, the server did not answer for a while.
            AbandonedError: `stop` was set while the sink waited for the server.
        """

    @abstractmethod
    def write(self, batch: Batch, stop: threading.Event) -> None:
        """For each result that is newer than the table's, replace its window as a whole.

        Raises:
            SinkError: nothing of the failed result was written.
            AbandonedError: `stop` was set while the sink waited for the server.
        """

    @abstractmethod
    def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
        """The rows of the windows that start in `[start_ms, end_ms)`, for verification.

        Raises:
            SinkError: the table cannot be read.
        """

    def totals(self, start_ms: int, end_ms: int, bucket_ms: int) -> list[Total]:
        """Sums of counts and revenue of the final windows that start in `[start_ms, end_ms)`, by bucket. A table with a
        query language should let it add up.

        Raises:
            SinkError: the table cannot be read.
        """
        sums: dict[tuple[int, str, str, str], float] = {}
        for row in filter(lambda row: row.is_final, self.read(start_ms, end_ms)):
            value = row.event_count if row.revenue is None else float(row.revenue)
            if value is not None:
                key = (row.window_start_ms // bucket_ms * bucket_ms, row.metric, row.dimension, row.currency)
                sums[key] = sums.get(key, 0.0) + value
        return [Total(*key, value) for key, value in sums.items()]

    @abstractmethod
    def close(self) -> None:
        """Release what `open` acquired."""
