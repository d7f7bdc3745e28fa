"""`rtea query`: look at the rows of the DuckDB sink."""

from pathlib import Path

import click
import duckdb
from rich.console import Console
from rich.table import Table

from rtea.cli.root import resolve
from rtea.errors import SinkError

PIPE_COLUMNS = 200

NEWEST_WINDOW = """
SELECT window_start, metric, dimension, currency, coalesce(event_count, unique_visitors) AS number, revenue
FROM {table}
WHERE window_start = (SELECT max(window_start) FROM {table} WHERE metric != 'dead_letters')
ORDER BY metric, dimension, currency"""


@click.command
@click.argument("sql", required=False)
@click.option("--path", "sink__duckdb_path", type=click.Path(path_type=Path), help="The DuckDB file.")
@click.pass_context
def command(context: click.Context, /, sql: str | None, **flags: object) -> None:
    """Run SQL on the DuckDB file, read-only; without SQL, show the newest window."""
    config = resolve(context, **flags)
    path = config.sink.duckdb_path
    if not path.exists():
        raise SinkError(f"DuckDB file {path} not found: run `rtea demo`, or name one with --path")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            found = connection.execute(sql or NEWEST_WINDOW.format(table=config.sink.table))
            table = Table(*(column[0] for column in found.description or []))
            for row in found.fetchall():
                table.add_row(*("" if value is None else str(value) for value in row))
    except duckdb.Error as error:
        raise SinkError(f"query failed: {str(error).splitlines()[0]}") from error
    console = Console()
    # A pipe has no width to fit into.
    (console if console.is_terminal else Console(width=PIPE_COLUMNS)).print(table)
