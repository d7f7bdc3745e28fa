"""What a sink promises, and what is promised to it.

`rtea.sinks.runner` reads the results topic in offset order and calls a sink from one thread:

1. `open` once, before anything else. It makes the table when it is missing, and says whether the table
   is empty: then the committed offsets are set back to the topic's start before the first `write`, so
   that a table made anew misses no window, whenever a run may crash.
2. `write` with one or more results. When it returns, their rows are durable and readable.
3. The runner commits the offsets of what was written, after `write` returned, never before.
4. `close` once, at the end, also after an error.

A result may be given again, also an older revision after a newer one: after a crash between 2 and
3, or when the topic is read from its start. So a sink must be idempotent: **a row is replaced only
by a row of the same key with a greater revision**. The rows of one result appear together or not at
all. Under this contract at-least-once delivery gives exactly-once rows.

Offsets belong to a `destination`: two tables filled in turn do not take each other's windows away.

A new sink is one module with a class like this and one line in `rtea.sinks.registry`.
"""

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


class Sink(ABC):
    """A table that holds the windows' rows."""

    @property
    @abstractmethod
    def destination(self) -> str:
        """What names the table among all tables, the same in every run; no secret."""

    @abstractmethod
    def open(self) -> bool:
        """Make the table when it is missing; safe to repeat. Returns whether the table is empty.

        Raises:
            SinkError: it cannot be reached or made.
        """

    @abstractmethod
    def write(self, results: Sequence[WindowResult]) -> None:
        """Upsert the rows of some results, each result as a whole.

        Raises:
            SinkError: nothing of the failed result was written.
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
