"""The default sink: a DuckDB file.

While one process writes to a DuckDB file, no other process can open it. So the sink opens the file only for each write,
for about 20 ms, and writers and readers retry while another process holds it. Writers retry without end.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from rtea import aggregate
from rtea.errors import DiskSpaceError, SinkError
from rtea.sinks import queries, result, table
from rtea.sinks.contract import AbandonedError, Batch, Sink, StoredRow, Total
from rtea.sinks.duckdb.loading import TYPES, loadable, quoted
from rtea.sinks.metrics import RETRIES
from rtea.sinks.result import DEAD_LETTERS, WindowResult

if TYPE_CHECKING:
    import pyarrow

logger = logging.getLogger(__name__)

LOCK_PATIENCE_SECONDS = 60.0
"""How long reading, and opening for the first time, wait for a locked file; writing waits without end."""

WARNING_SECONDS = 10.0
"""Time between warnings while the sink waits."""

AGE = "(coalesce(generation, 0), revision, coalesce(is_final, true))"
"""The age of a row (`rtea.sinks.result.WindowResult.age`) as an SQL expression."""

T = TypeVar("T")


class DuckDbSink(Sink):
    """The table in a DuckDB file; `table_name` must be a plain identifier (the configuration checks it)."""

    name = "duckdb"

    def __init__(self, path: Path, table_name: str, *, lock_patience_s: float = LOCK_PATIENCE_SECONDS) -> None:
        self._path = path
        self._table_name = table_name
        self._table = f'"{table_name}"'
        names = [column.name for column in table.COLUMNS]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in table.KEY)
        self._upsert = f"INSERT INTO {self._table} ({', '.join(names)})"
        self._on_conflict = f"ON CONFLICT ({', '.join(table.KEY)}) DO UPDATE SET {changes}"
        self._lock_patience_s = lock_patience_s
        self._next_warning_s = WARNING_SECONDS

    @property
    def destination(self) -> str:
        """The file's absolute path and the table."""
        return f"{self._path.resolve()}#{self._table_name}"

    def open(self, stop: threading.Event | None = None) -> bool:
        """Make the file, the table and the view of refused events."""
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
            f'CREATE OR REPLACE VIEW "{self._table_name}_health" AS SELECT window_start, window_end, '
            f"dimension AS reason, event_count AS events, updated_at, is_final FROM {self._table} "
            f"WHERE metric = '{DEAD_LETTERS}'"
        )

        def make(connection: duckdb.DuckDBPyConnection) -> bool:
            connection.execute(ddl)
            self._require_types(connection)
            for column in table.COLUMNS:
                if not column.required:  # Tables of earlier releases lack some columns.
                    connection.execute(
                        f"ALTER TABLE {self._table} ADD COLUMN IF NOT EXISTS {column.name} {TYPES[column.kind]}"
                    )
            connection.execute(health)
            return connection.execute(f"SELECT 1 FROM {self._table} LIMIT 1").fetchone() is None

        return self._with_file(make, stop=stop)

    def _require_types(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Refuse a table with other types. Give the column revenue of an earlier release's table more decimals."""
        found = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {self._table}").fetchall()}
        if found.get("revenue") == "DECIMAL(38,2)":
            connection.execute(f"ALTER TABLE {self._table} ALTER revenue TYPE {TYPES['decimal']}")
            found["revenue"] = TYPES["decimal"]
        for column in table.COLUMNS:
            wanted, kind = TYPES[column.kind], found.get(column.name)
            if kind != wanted and (kind is not None or column.required):
                raise SinkError(
                    f"table {self._table_name} in {self._path}: column {column.name} is {kind or 'missing'}, expected "
                    f"{wanted}: name another table with --table"
                )

    def write(self, batch: Batch, stop: threading.Event) -> None:
        """Replace windows by newer results, in one transaction. About 40,000 rows a second."""

        def replace_all(connection: duckdb.DuckDBPyConnection) -> None:
            table.require_length(self._window_ms(connection), batch.results, str(self._path))
            newer = [each for each in result.newest(batch.results) if each.age > self._age(connection, each)]
            if newer:
                with loadable(newer) as source:
                    connection.begin()
                    # Update existing rows in place: deleting and inserting them takes five times as long.
                    connection.execute(f"{self._upsert} {source} {self._on_conflict}")
                    for each in newer:
                        connection.execute(f"DELETE FROM {self._table} WHERE {_is_of(each)} AND {AGE} != {each.age}")
                    connection.commit()

        self._with_file(replace_all, stop=stop)

    def _window_ms(self, connection: duckdb.DuckDBPyConnection) -> int | None:
        query = f"SELECT epoch_ms(window_end) - epoch_ms(window_start) FROM {self._table} LIMIT 1"
        found = connection.execute(query).fetchone()
        return int(found[0]) if found else None

    def _age(self, connection: duckdb.DuckDBPyConnection, wanted: WindowResult) -> tuple[int, int, bool]:
        """The age of the newest row of a window (`WindowResult.age`)."""
        query = f"SELECT {AGE} AS age FROM {self._table} WHERE {_is_of(wanted)} ORDER BY age DESC LIMIT 1"
        found = connection.execute(query).fetchone()
        return found[0] if found else (-1, -1, False)

    def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
        """Read the rows back, in key order."""
        query = (
            f"SELECT epoch_ms(window_start), epoch_ms(window_end), metric, dimension, currency, event_count, revenue, "
            f"unique_visitors, visitors_sketch, revision, epoch_ms(updated_at), coalesce({{generation}}, 0), "
            f"coalesce({{is_final}}, true) "
            f"FROM {self._table} "
            f"WHERE window_start >= {_time(start_ms)} AND window_start < {_time(end_ms)} "
            f"ORDER BY {', '.join(table.KEY)}"
        )

        def fetch(connection: duckdb.DuckDBPyConnection) -> list[StoredRow]:
            # A table of an earlier release lacks some columns until a sink of this release opens it.
            present = {name for name, *_ in connection.execute(f"DESCRIBE {self._table}").fetchall()}
            later = ("generation", "is_final")
            chosen = query.format(**{name: name if name in present else "NULL" for name in later})
            return [StoredRow(*row) for row in connection.execute(chosen).fetchall()]

        return self._with_file(fetch, read_only=True)

    def totals(self, start_ms: int, end_ms: int, bucket_ms: int) -> list[Total]:
        """Sums by bucket, added up by DuckDB."""
        query = (
            f"SELECT epoch_ms(window_start) // {bucket_ms} * {bucket_ms} AS bucket, metric, dimension, currency, "
            f"coalesce(sum(event_count)::DOUBLE, sum(revenue)::DOUBLE) AS value FROM {self._table} "
            f"WHERE window_start >= {_time(start_ms)} AND window_start < {_time(end_ms)} "
            f"AND {{is_final}} GROUP BY ALL HAVING value IS NOT NULL"
        )

        def fetch(connection: duckdb.DuckDBPyConnection) -> list[Total]:
            present = {name for name, *_ in connection.execute(f"DESCRIBE {self._table}").fetchall()}
            final = "coalesce(is_final, true)" if "is_final" in present else "true"
            return [Total(*row) for row in connection.execute(query.format(is_final=final)).fetchall()]

        return self._with_file(fetch, read_only=True)

    def select(self, statement: str) -> tuple[list[str], list[tuple[object, ...]]]:
        """Run any statement, read-only; return the names of the columns, and all rows. It may use the functions
        `hll_count_extract` and `hll_count_merge`, and a view for each query of `rtea.sinks.queries`.

        Raises:
            SinkError: there is no such file, it stays locked, or the statement fails.
        """

        def run(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[tuple[object, ...]]]:
            self._prepare(connection, statement)
            found = connection.execute(statement)
            return [column[0] for column in found.description or []], found.fetchall()

        return self._with_file(run, read_only=True)

    def arrow(
        self, metric: str | None, start: datetime | None, end: datetime | None, *, final_only: bool
    ) -> "pyarrow.Table":
        """Rows as an Arrow table, in key order (`rtea.read_metrics`).

        Raises:
            SinkError: there is no such file or table, or it stays locked.
        """
        conditions = [f"metric = {quoted(metric)}"] if metric else []
        conditions += [f"window_start >= {_time(_ms(start))}"] if start else []
        conditions += [f"window_start < {_time(_ms(end))}"] if end else []
        conditions += ["coalesce(is_final, true)"] if final_only else []
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        query = f"FROM {self._table} {where} ORDER BY {', '.join(table.KEY)}"

        def fetch(connection: duckdb.DuckDBPyConnection) -> "pyarrow.Table":
            connection.execute("SET TimeZone = 'UTC'")
            return connection.sql(query).to_arrow_table()

        return self._with_file(fetch, read_only=True)

    def _prepare(self, connection: duckdb.DuckDBPyConnection, statement: str) -> None:
        """Add the functions and views that a statement names, for this connection only: other programs cannot call our
        functions.
        """
        views = [name for name in queries.names() if name in statement] if self._has_table(connection) else []
        texts = {name: queries.query(name, self._table, queries.DUCKDB).rstrip().rstrip(";") for name in views}
        # To make a function, DuckDB imports pandas if it is installed, which takes two seconds.
        if any("hll_count" in text.lower() for text in (statement, *texts.values())):
            connection.create_function("hll_count_extract", aggregate.estimate_sketch, ["BLOB"], "BIGINT")
            connection.create_function("rtea_merge_estimate", _merge_estimate, ["BLOB[]"], "BIGINT")
            connection.execute(
                "CREATE TEMP MACRO hll_count_merge(sketches) AS "
                "rtea_merge_estimate(coalesce(list(sketches) FILTER (WHERE sketches IS NOT NULL), []::BLOB[]))"
            )
        for name, text in texts.items():
            connection.execute(f'CREATE TEMP VIEW "{name}" AS {text}')

    def _has_table(self, connection: duckdb.DuckDBPyConnection) -> bool:
        columns = f"FROM duckdb_columns() WHERE table_name = {quoted(self._table_name)} AND column_name = 'is_final'"
        return connection.execute(columns).fetchone() is not None

    def close(self) -> None:
        """Do nothing: the file is open only during calls."""

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
            raise SinkError(
                f"DuckDB file {self._path} not found: start `rtea sink duckdb`, or name another with --path"
            )
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
        except OSError as error:
            raise DiskSpaceError(
                f"temporary file for {self._path} cannot be written: {error.strerror}: free some space or set TMPDIR"
            ) from error
        except (ValueError, OverflowError) as error:
            raise SinkError(f"a result does not fit the table in {self._path}: {error}") from error


def _time(time_ms: int) -> str:
    # Write values into the statements: to bind a parameter, DuckDB imports pandas if it is installed, which takes two
    # seconds.
    return f"make_timestamptz({time_ms * 1000:d})"


def _is_of(result: WindowResult) -> str:
    """The SQL condition for the rows that a result replaces: same window, and same kind (counted or refused events)."""
    return f"window_start = {_time(result.window_start_ms)} AND (metric != '{DEAD_LETTERS}') = {result.is_of_events}"


def _ms(time: datetime) -> int:
    return int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp() * 1000)


def _merge_estimate(sketches: list[bytes]) -> int:
    return aggregate.estimate_sketch(aggregate.merge_sketches(sketches))


def _is_locked(error: BaseException) -> bool:
    """Whether another process, or another connection of this process, holds the file."""
    if isinstance(error, duckdb.ConnectionException):
        return "different configuration" in str(error)
    # Compare the start of the message only: it also contains the path, which may contain any words.
    signs = {
        duckdb.IOException: "IO Error: Could not set lock on file",
        duckdb.BinderException: "Binder Error: Unique file handle conflict",
    }
    return any(isinstance(error, kind) and str(error).startswith(sign) for kind, sign in signs.items())


def _explained(error: duckdb.Error, path: Path) -> SinkError | DiskSpaceError:
    first_line = (str(error).splitlines() or ["no reason given"])[0]
    if "No space left" in first_line:
        return DiskSpaceError(f"no room on the disk of {path}: free some space and restart the sink; nothing is lost")
    if _is_locked(error):
        return SinkError(f"DuckDB file {path} stays locked by another process: close it there ({first_line})")
    return SinkError(f"DuckDB file {path}: {first_line}")
