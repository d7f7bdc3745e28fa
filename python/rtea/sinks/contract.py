"""What a sink promises, and what is promised to it.

`rtea.sinks.runner` reads the results topic in offset order and calls a sink from one thread:

1. `open` before anything else, and again whenever partitions are assigned. It makes the table when it is
   missing and the settings allow it, and says whether the table is empty: then the committed offsets are
   set back to the topic's start before the first `write`, so that a new table misses no window,
   whenever a run may crash. The first gives up on a silent server after a while; those after it are
   given `stop` and wait.
2. `write` with a batch of results, as large and as frequent as the sink's `limits` say. When it
   returns, their rows are durable and readable.
3. The runner commits the offsets of what was written, after `write` returned, never before.
4. `close` once, at the end, also after an error.

`read` may be called at any time, also by a process that never called `open`.

A result may be given again, also an older one after a newer one: after a crash between 2 and 3, or when the
topic is read from its start. So a sink must be idempotent: **a newer result replaces its window as a whole, an older
or equal one changes nothing** (`rtea.sinks.result.WindowResult` says which is newer). Rows of the older result that the
newer one lacks are removed; the rows of one result appear together or not at all. Rows of events counted and rows of
events refused replace each other separately. Under this contract at-least-once delivery gives exactly-once rows.

A table knows the length of its windows and refuses results of another length (`rtea.sinks.table.require_length`).

A server that does not answer is waited for, however long: `write` tries again until the `stop` event is
set, and then raises `AbandonedError`; nothing is committed, and the next run reads the same results again.
Each further try counts in `rtea.sinks.metrics.RETRIES`. An error that a retry cannot fix is a `SinkError` that
names the remedy, and ends the runner.

Offsets belong to a `destination`: two tables filled in turn do not take each other's windows away.

A new sink is one module with a class like this and one line in `rtea.sinks.registry`.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rtea.sinks.result import WindowResult


@dataclass(frozen=True)
class StoredRow:
    """One row as read back from a table; times in ms since the epoch, UTC."""

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


@dataclass(frozen=True)
class Batch:
    """Results in offset order; `id`, 32 hexadecimal digits, names their place in the topic and their
    content: the same records read again in one batch have the same id.
    """

    results: Sequence[WindowResult]
    id: str


@dataclass(frozen=True)
class Limits:
    """How the runner cuts batches: each as soon as something is there, but no sooner than `interval_s`
    after the one before, unless it is full. `size_bytes` counts result records and may be passed by
    those read at a time (`rtea.sinks.runner.READ_RECORDS`).
    """

    records: int = 100
    size_bytes: int = 33_554_432
    interval_s: float = 0.0


class AbandonedError(Exception):
    """`write` gave up waiting because it was asked to stop; whether the rows are durable is unknown."""


class Sink(ABC):
    """A table that holds the windows' rows."""

    name: str
    """The sink's name in `rtea.sinks.registry`, and in its metrics."""

    limits = Limits()

    @property
    @abstractmethod
    def destination(self) -> str:
        """What names the table among all tables, the same in every run; no secret."""

    @abstractmethod
    def open(self, stop: threading.Event | None = None) -> bool:
        """Make the table when it is missing; safe to repeat. Returns whether the table is empty.

        Raises:
            SinkError: it cannot be made, or, without `stop`, not be reached for a while.
            AbandonedError: `stop` was set while the server was waited for.
        """

    @abstractmethod
    def write(self, batch: Batch, stop: threading.Event) -> None:
        """Replace the windows of some results, each as a whole, where they are newer than what is there.

        Raises:
            SinkError: nothing of the failed result was written.
            AbandonedError: `stop` was set while the server was waited for.
        """

    @abstractmethod
    def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
        """The rows of the windows that start in `[start_ms, end_ms)`, for verification.

        Raises:
            SinkError: the table cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what `open` took."""
