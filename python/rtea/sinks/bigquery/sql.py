"""The statements of the BigQuery sink, and the ready queries for users.

Table names are checked identifiers (`rtea.config`), so they can stand between backticks; times and
numbers are literals of our own making.
"""

from datetime import datetime, timezone
from importlib import resources

from rtea.errors import ConfigError
from rtea.sinks import table
from rtea.sinks.bigquery.schema import CLUSTERING_FIELDS, DESCRIPTION, PARTITION_FIELD, TYPES

LAST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""

QUERIES = resources.files("rtea.sinks.bigquery") / "queries"


def ddl(table_id: str, partition_expiration_days: int) -> str:
    """The statement that makes the table; `table_id` is project.dataset.table."""
    columns = ",\n".join(
        f"  {column.name} {TYPES[column.kind]}{' NOT NULL' * column.required} "
        f"OPTIONS (description = '{column.description}')"
        for column in table.COLUMNS
    )
    options = [f"description = '{DESCRIPTION}'"]
    if partition_expiration_days:
        options.append(f"partition_expiration_days = {partition_expiration_days}")
    return (
        f"CREATE TABLE IF NOT EXISTS `{table_id}` (\n{columns}\n)\nPARTITION BY DATE({PARTITION_FIELD})\n"
        f"CLUSTER BY {', '.join(CLUSTERING_FIELDS)}\nOPTIONS ({', '.join(options)});\n"
    )


def make_writer(writer_id: str) -> str:
    """The statement that makes the table whose one row every `merge` updates."""
    return (
        f"CREATE TABLE IF NOT EXISTS `{writer_id}`\n"
        "OPTIONS (description = 'One row that each MERGE of RTEA updates, so that they run one after the other.')\n"
        "AS SELECT 1 AS turn"
    )


def merge(table_id: str, staging_id: str, writer_id: str, first_ms: int, end_ms: int) -> str:
    """The guarded upsert of a staging table whose windows start in `[first_ms, end_ms)`, one script.

    BigQuery lets statements that only insert run at once, and of two MERGEs that find a key missing both
    insert it. So each updates the one row of `writer_id` in the same transaction: of two transactions that
    update a row, BigQuery ends one with an error.

    The constant range lets BigQuery skip the other partitions. A key may stand in the staging table
    with several revisions; only its greatest takes part, as MERGE demands one source row for a target.
    """
    names = [column.name for column in table.COLUMNS]
    matches = " AND ".join(f"T.{name} = S.{name}" for name in table.KEY)
    changes = ", ".join(f"{name} = S.{name}" for name in names if name not in table.KEY)
    return (
        "BEGIN TRANSACTION;\n"
        f"UPDATE `{writer_id}` SET turn = turn + 1 WHERE TRUE;\n"
        f"ASSERT @@row_count > 0 AS '{writer_id} holds no row: drop it, the sink makes it again';\n"
        f"MERGE `{table_id}` T\n"
        f"USING (SELECT * FROM `{staging_id}` WHERE TRUE\n"
        f"  QUALIFY ROW_NUMBER() OVER (PARTITION BY {', '.join(table.KEY)} ORDER BY revision DESC) = 1) S\n"
        f"ON T.window_start >= {timestamp(first_ms)} AND T.window_start < {timestamp(end_ms)}\n"
        f"  AND {matches}\n"
        f"WHEN MATCHED AND S.revision > T.revision THEN UPDATE SET {changes}\n"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f'S.{name}' for name in names)});\n"
        "COMMIT TRANSACTION;\n"
    )


def select(table_id: str, start_ms: int, end_ms: int) -> str:
    """The rows of the windows that start in `[start_ms, end_ms)`, in key order; times in ms."""
    names = [
        f"UNIX_MILLIS({column.name}) AS {column.name}" if column.kind == "timestamp" else column.name
        for column in table.COLUMNS
    ]
    return (
        f"SELECT {', '.join(names)} FROM `{table_id}` T\n"
        f"WHERE T.window_start >= {timestamp(start_ms)} AND T.window_start < {timestamp(end_ms)}\n"
        f"ORDER BY {', '.join(f'T.{name}' for name in table.KEY)}"
    )


def any_row(table_id: str) -> str:
    """The current time, and whether the table holds any row. The range suits tables that demand one."""
    return (
        f"SELECT CURRENT_TIMESTAMP() AS now, EXISTS (SELECT 1 FROM `{table_id}` "
        f"WHERE window_start >= {timestamp(0)}) AS has_rows"
    )


def timestamp(ms: int) -> str:
    """A time as a literal; the last BigQuery knows for those beyond it.

    >>> timestamp(1_760_000_000_123)
    "TIMESTAMP '2025-10-09 08:53:20.123+00:00'"
    """
    time = datetime.fromtimestamp(min(ms, LAST_MS) / 1000, timezone.utc)
    return f"TIMESTAMP '{time.isoformat(' ', 'milliseconds')}'"


def query_names() -> list[str]:
    """Names of the ready queries.

    >>> "daily_uniques" in query_names()
    True
    """
    return sorted(path.name.removesuffix(".sql") for path in QUERIES.iterdir() if path.name.endswith(".sql"))


def ready_query(name: str, table_id: str) -> str:
    """A ready query on a table.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in query_names():
        raise ConfigError(f"query {name!r} is unknown: expected one of {', '.join(query_names())}")
    return (QUERIES / f"{name}.sql").read_text().replace("{table}", table_id)
