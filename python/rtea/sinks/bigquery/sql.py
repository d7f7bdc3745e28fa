"""The statements of the BigQuery sink, and the ready queries for users.

The configuration checks table names as identifiers, so they are safe between backticks. This module writes all
times and numbers as literals itself.
"""

from collections.abc import Collection
from datetime import datetime, timezone

from rtea.sinks import queries, table
from rtea.sinks.bigquery.schema import CLUSTERING_FIELDS, DESCRIPTION, PARTITION_FIELD, TYPES
from rtea.sinks.result import DEAD_LETTERS

LAST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""

# Rows of earlier releases lack these values.
_IF_NULL = {"generation": "IFNULL(generation, 0) AS generation", "is_final": "IFNULL(is_final, TRUE) AS is_final"}


def ddl(table_id: str, partition_expiration_days: int) -> str:
    """The statement that makes the table; `table_id` is project.dataset.table."""
    columns = ",\n".join(
        f"  {column.name} {TYPES[column.kind]}{' NOT NULL' * column.required} "
        f"OPTIONS (description = {_text(column.description)})"
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
    """The statement that makes the table with the one row that every `merge` updates."""
    return (
        f"CREATE TABLE IF NOT EXISTS `{writer_id}`\n"
        "OPTIONS (description = 'One row that each MERGE of RTEA updates, so that they run one after the other.')\n"
        "AS SELECT 1 AS turn"
    )


def merge(table_id: str, staging_id: str, writer_id: str, starts_ms: Collection[int]) -> str:
    """A script that replaces the windows that start at `starts_ms` by those of a staging table, if these are newer. The
    staging table has at most one result of each window.

    BigQuery lets statements that only insert run at once. If two MERGEs find the same key missing, both insert it. So
    each MERGE also updates the one row of `writer_id` in its transaction: if two transactions update the same row,
    BigQuery ends one of them with an error.

    The source of the MERGE has the rows of newer results. It also has the rows of older results that the newer ones
    lack, marked for deletion: a clause WHEN NOT MATCHED BY SOURCE would read every partition. Constant ranges and days
    let BigQuery skip all other partitions, even if a batch has windows of last year and of today.
    """
    names = [column.name for column in table.COLUMNS]
    columns = ", ".join(names)
    changes = ", ".join(f"{name} = S.{name}" for name in names if name not in table.KEY)
    matches = " AND ".join(f"T.{name} = S.{name}" for name in table.KEY)
    # If the table has a row twice, the source must have it once: MERGE demands unique keys in the source.
    once = ", ".join(f"O.{name}" if name in table.KEY else f"ANY_VALUE(O.{name}) AS {name}" for name in names)
    lacks = " AND ".join(f"O.{name} = N.{name}" for name in table.KEY)

    days = ", ".join(f"DATE '{day}'" for day in sorted({_day(start_ms) for start_ms in starts_ms}))

    def spans(alias: str) -> str:
        return (
            f"{alias}.window_start >= {timestamp(min(starts_ms))} AND {alias}.window_start < "
            f"{timestamp(max(starts_ms) + 1)} AND DATE({alias}.window_start) IN ({days})"
        )

    def places(one: str, other: str) -> str:
        refused = f"metric = '{DEAD_LETTERS}'"
        return f"{one}.window_start = {other}.window_start AND ({one}.{refused}) = ({other}.{refused})"

    return (
        "BEGIN TRANSACTION;\n"
        f"UPDATE `{writer_id}` SET turn = turn + 1 WHERE TRUE;\n"
        f"ASSERT @@row_count > 0 AS '{writer_id} holds no row: drop it, the sink makes it again';\n"
        f"MERGE `{table_id}` T\n"
        "USING (\n"
        "  WITH newer AS (\n"
        f"    SELECT S.* FROM `{staging_id}` S WHERE NOT EXISTS (\n"
        f"      SELECT 1 FROM `{table_id}` O WHERE {spans('O')} AND {places('O', 'S')}\n"
        "      AND (IFNULL(O.generation, 0) > S.generation\n"
        "        OR (IFNULL(O.generation, 0) = S.generation AND (O.revision > S.revision\n"
        "          OR (O.revision = S.revision AND (IFNULL(O.is_final, TRUE) OR NOT S.is_final)))))))\n"
        f"  SELECT {columns}, FALSE AS is_gone FROM newer\n"
        f"  UNION ALL\n"
        f"  SELECT {once}, TRUE AS is_gone FROM `{table_id}` O WHERE {spans('O')}\n"
        f"    AND EXISTS (SELECT 1 FROM newer N WHERE {places('O', 'N')})\n"
        f"    AND NOT EXISTS (SELECT 1 FROM newer N WHERE {lacks})\n"
        f"    GROUP BY {', '.join(f'O.{name}' for name in table.KEY)}\n"
        ") S\n"
        f"ON {spans('T')} AND {matches}\n"
        "WHEN MATCHED AND S.is_gone THEN DELETE\n"
        f"WHEN MATCHED THEN UPDATE SET {changes}\n"
        f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({', '.join(f'S.{name}' for name in names)});\n"
        "COMMIT TRANSACTION;\n"
    )


def select(table_id: str, start_ms: int, end_ms: int) -> str:
    """The rows of the windows that start in `[start_ms, end_ms)`, in key order; times in ms."""
    names = [
        f"UNIX_MILLIS({column.name}) AS {column.name}"
        if column.kind == "timestamp"
        else _IF_NULL.get(column.name, column.name)
        for column in table.COLUMNS
    ]
    return (
        f"SELECT {', '.join(names)} FROM `{table_id}` T\n"
        f"WHERE T.window_start >= {timestamp(start_ms)} AND T.window_start < {timestamp(end_ms)}\n"
        f"ORDER BY {', '.join(f'T.{name}' for name in table.KEY)}"
    )


def totals(table_id: str, start_ms: int, end_ms: int, bucket_ms: int) -> str:
    """Sums of counts and revenue of the final windows that start in `[start_ms, end_ms)`, by bucket."""
    return (
        f"SELECT DIV(UNIX_MILLIS(T.window_start), {bucket_ms}) * {bucket_ms} AS bucket, T.metric, T.dimension, "
        "T.currency, SUM(IFNULL(CAST(T.event_count AS FLOAT64), CAST(T.revenue AS FLOAT64))) AS value\n"
        f"FROM `{table_id}` T\n"
        f"WHERE T.window_start >= {timestamp(start_ms)} AND T.window_start < {timestamp(end_ms)}\n"
        "AND IFNULL(T.is_final, TRUE) AND (T.event_count IS NOT NULL OR T.revenue IS NOT NULL)\n"
        "GROUP BY bucket, T.metric, T.dimension, T.currency"
    )


def look(table_id: str) -> str:
    """The query for the server's time, and for the length of the windows in the table (null if it has no row). It has a
    condition on the partitions, because some tables require one.
    """
    return (
        "SELECT CURRENT_TIMESTAMP() AS now, (SELECT TIMESTAMP_DIFF(window_end, window_start, MILLISECOND) "
        f"FROM `{table_id}` WHERE window_start >= {timestamp(0)} LIMIT 1) AS window_ms"
    )


def _text(text: str) -> str:
    r"""A string literal.

    >>> print(_text("a shop's"))
    'a shop\'s'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).date().isoformat()


def timestamp(ms: int) -> str:
    """A time as a literal; a time beyond BigQuery's last one becomes the last one.

    >>> timestamp(1_760_000_000_123)
    "TIMESTAMP '2025-10-09 08:53:20.123+00:00'"
    """
    time = datetime.fromtimestamp(min(ms, LAST_MS) / 1000, timezone.utc)
    return f"TIMESTAMP '{time.isoformat(' ', 'milliseconds')}'"


def ready_query(name: str, table_id: str) -> str:
    """A query of `rtea.sinks.queries`, for this table.

    Raises:
        ConfigError: there is no query of that name.
    """
    return queries.query(name, f"`{table_id}`", queries.BIGQUERY)
