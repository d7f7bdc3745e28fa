"""`rtea query`: queries the rows of the DuckDB sink."""

import sys
from pathlib import Path

import click

from rtea.cli import output
from rtea.cli.root import resolve
from rtea.sinks.duckdb import DuckDbSink

NEWEST_WINDOW = """
SELECT window_start, metric, dimension, currency, coalesce(event_count, unique_visitors) AS number, revenue, is_final
FROM {table}
WHERE window_start = (SELECT max(window_start) FROM {table} WHERE metric != 'dead_letters' AND window_start <= now())
ORDER BY metric, dimension, currency"""


@click.command
@click.argument("sql", required=False)
@click.option("--path", "sink__duckdb_path", type=click.Path(path_type=Path), help="The DuckDB file.")
@click.option("--format", "format_", type=click.Choice(output.FORMATS), default="table", show_default=True)
@click.pass_context
def command(context: click.Context, /, sql: str | None, format_: output.Format, **flags: object) -> None:
    """Run SQL on the DuckDB file, read-only. If SQL is -, read it from standard input; without SQL, show the newest
    window. If another process holds the file, wait up to a minute.

    Example: rtea query "SELECT * FROM ecommerce_metrics LIMIT 5"
    """
    config = resolve(context, **flags)
    statement = sys.stdin.read() if sql == "-" else sql or NEWEST_WINDOW.format(table=config.sink.table)
    sink = DuckDbSink(config.sink.duckdb_path, config.sink.table)
    names, rows = sink.select(statement)
    if format_ == "table":
        output.show_table(names, rows)
    else:
        # Write UTF-8 bytes directly: click would remove escape sequences.
        sys.stdout.buffer.write(output.write_rows(names, rows, format_).encode())
        sys.stdout.buffer.flush()
