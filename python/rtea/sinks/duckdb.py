"""The embedded default: a DuckDB file.

DuckDB lets one process write and refuses readers meanwhile. So the file is opened for each write
only, 20 ms or so, and both sides retry while the other holds it: writing waits for as long as it takes.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

import duckdb
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from rtea.errors import DiskSpaceError, SinkError
from rtea.sinks import table
from rtea.sinks.contract import AbandonedError, Batch, Sink, StoredRow
from rtea.sinks.metrics import RETRIES
from rtea.sinks.result import DEAD_LETTERS, WindowResult

logger = logging.getLogger(__name__)

LOCK_PATIENCE_SECONDS = 60.0
"""How long reading, and opening for the first time, wait for a locked file."""

WARNING_SECONDS = 10.0
"""Time between warnings while writing waits."""

TYPES: dict[table.Kind, str] = {
    "timestamp": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "int64": "BIGINT",
    "decimal": "DECIMAL(38, 2)",
    "bytes": "BLOB",
}

T = TypeVar("T")


class DuckDbSink(Sink):
    """The table in a DuckDB file; `table_name` must be a plain identifier (the configuration checks it)."""

    name = "duckdb"

    def __init__(self, path: Path, table_name: str, *, lock_patience_s: float = LOCK_PATIENCE_SECONDS) -> None:
        self._path = path
        self._table_name = table_name
        self._table = f'"{table_name}"'
        self._lock_patience_s = lock_patience_s
        self._next_warning_s = WARNING_SECONDS

    @property
    def destination(self) -> str:
        """The file's absolute path and the table."""
        return f"{self._path.resolve()}#{self._table_name}"

    def open(self, stop: threading.Event | None = None) -> bool:
        """Make file, table and the view of what was refused."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(
                f"folder of {self._path} cannot be made: {error.strerror}: name another with --path"
            ) from error
        columns = ", ".join(
            f"{column.name} {TYPES[column.kind]}{' NOT NULL' * column.required}" for column in table.COLUMNS
        )
        ddl = f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, PRIMARY KEY ({', '.join(table.KEY)}))"
        health = (
            f'CREATE VIEW IF NOT EXISTS "{self._table_name}_health" AS SELECT window_start, window_end, '
            f"dimension AS reason, event_count AS events, updated_at FROM {self._table} WHERE metric = '{DEAD_LETTERS}'"
        )

        def make(connection: duckdb.DuckDBPyConnection) -> bool:
            connection.execute(ddl)
            connection.execute(health)
            return connection.execute(f"SELECT 1 FROM {self._table} LIMIT 1").fetchone() is None

        return self._with_file(make, stop=stop)

    def write(self, batch: Batch, stop: threading.Event) -> None:
        """Upsert each result in a transaction of its own; a row yields to greater revisions only."""

        def upsert_all(connection: duckdb.DuckDBPyConnection) -> None:
            for result in batch.results:
                self._upsert(connection, result)

        self._with_file(upsert_all, stop=stop)

    def _upsert(self, connection: duckdb.DuckDBPyConnection, result: WindowResult) -> None:
        names = [column.name for column in table.COLUMNS]
        place = f"({', '.join('?' for _ in names)})"
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in table.KEY)
        rows = table.rows(result, datetime.now(timezone.utc))
        statement = (
            f"INSERT INTO {self._table} ({', '.join(names)}) VALUES {', '.join([place] * len(rows))} "
            f"ON CONFLICT ({', '.join(table.KEY)}) DO UPDATE SET {changes} "
            f"WHERE excluded.revision > {self._table}.revision"
        )
        # One statement is one transaction: the window's rows appear together.
        connection.execute(statement, [value for row in rows for value in row])

    def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
        """Read the rows back, in key order."""
        query = (
            f"SELECT epoch_ms(window_start), epoch_ms(window_end), metric, dimension, currency, event_count, revenue, "
            f"unique_visitors, visitors_sketch, revision, epoch_ms(updated_at) FROM {self._table} "
            f"WHERE window_start >= make_timestamptz(?) AND window_start < make_timestamptz(?) "
            f"ORDER BY {', '.join(table.KEY)}"
        )
        rows = self._with_file(
            lambda connection: connection.execute(query, [start_ms * 1000, end_ms * 1000]).fetchall(), read_only=True
        )
        return [StoredRow(*row) for row in rows]

    def close(self) -> None:
        """Nothing to release: the file is open during calls only."""

    def _count_try(self, state: RetryCallState) -> None:
        RETRIES.labels(self.name).inc()
        waited_s = state.seconds_since_start or 0.0
        if waited_s >= self._next_warning_s:
            logger.warning("DuckDB file %s is locked by another process for %.0f s: waiting", self._path, waited_s)
            self._next_warning_s = waited_s + WARNING_SECONDS

    def _with_file(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        *,
        read_only: bool = False,
        stop: threading.Event | None = None,
    ) -> T:
        patient = stop is not None
        stop = stop or threading.Event()
        if read_only and not self._path.exists():
            raise SinkError(f"DuckDB file {self._path} not found: start `rtea sink duckdb` first")
        waiting = Retrying(
            retry=retry_if_exception(_is_locked),
            stop=stop_when_event_set(stop) if patient else stop_after_delay(self._lock_patience_s),
            wait=wait_random_exponential(multiplier=0.01, max=0.2),
            before_sleep=self._count_try,
            reraise=True,
        )
        self._next_warning_s = WARNING_SECONDS
        try:
            with waiting(duckdb.connect, str(self._path), read_only=read_only) as connection:
                return work(connection)
        except duckdb.Error as error:
            if stop.is_set() and _is_locked(error):
                raise AbandonedError from error
            raise _explained(error, self._path) from error
        except (ValueError, OverflowError) as error:
            raise SinkError(f"a result does not fit the table in {self._path}: {error}") from error


def _is_locked(error: BaseException) -> bool:
    """Whether another holds the file: another process, or a reader or writer of this one."""
    if isinstance(error, duckdb.ConnectionException):
        return "different configuration" in str(error)
    return isinstance(error, duckdb.IOException) and "lock" in str(error)


def _explained(error: duckdb.Error, path: Path) -> SinkError | DiskSpaceError:
    first_line = str(error).splitlines()[0]
    if "No space left" in first_line:
        return DiskSpaceError(f"no room on the disk of {path}: free some space; nothing is lost, the sink catches up")
    if _is_locked(error):
        return SinkError(f"DuckDB file {path} stays locked by another process: close it there ({first_line})")
    return SinkError(f"DuckDB file {path}: {first_line}")
