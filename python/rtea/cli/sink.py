"""`rtea sink`: writes the results topic to a table."""

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from rtea import exporter
from rtea.cli.root import resolve
from rtea.config import Config
from rtea.sinks.registry import SINKS
from rtea.sinks.result import WindowResult


@click.group
def group() -> None:
    """Write the windows' results to a table."""


_shared = [
    click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port."),
    click.option("--progress", type=click.Choice(["text", "json"]), default="text", help="Format of the reports."),
    click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve Prometheus metrics on 127.0.0.1:PORT."),
]


def _with_shared_options(command: Callable[..., object]) -> Callable[..., object]:
    for option in reversed(_shared):
        command = option(command)
    return command


@group.command
@click.option("--path", "sink__duckdb_path", type=click.Path(path_type=Path), help="The DuckDB file.")
@click.option("--table", "sink__table", help="The table.")
@_with_shared_options
@click.pass_context
def duckdb(context: click.Context, /, progress: str, metrics_port: int | None, **flags: object) -> None:
    """Write to a DuckDB file until interrupted."""
    _run(resolve(context, **flags), "duckdb", progress, metrics_port)


@group.command
@click.option("--project", "bigquery__project", help="The project [default: the one in the credentials].")
@click.option("--table", "bigquery__table", help="The table, DATASET.TABLE [default: rtea.ecommerce_metrics].")
@click.option("--location", "bigquery__location", help="Location of the dataset that --create makes.")
@click.option("--endpoint", "bigquery__endpoint", help="Address of an emulator; sends no credentials.")
@click.option("--create", "bigquery__create", is_flag=True, default=None, help="Make a missing dataset or table.")
@click.option(
    "--add-columns", "bigquery__add_columns", is_flag=True, default=None, help="Add nullable columns that are missing."
)
@click.option("--partition-expiration-days", "bigquery__partition_expiration_days", type=int, help="With --create.")
@click.option("--print-ddl", is_flag=True, help="Print the statement that makes the table, then exit.")
@_with_shared_options
@click.pass_context
def bigquery(
    context: click.Context, /, print_ddl: bool, progress: str, metrics_port: int | None, **flags: object
) -> None:
    """Write to a BigQuery table until interrupted."""
    config = resolve(context, **flags)
    if print_ddl:
        from rtea.sinks.bigquery import sql

        click.echo(sql.ddl(config.bigquery.table_id, config.bigquery.partition_expiration_days), nl=False)
        return
    _run(config, "bigquery", progress, metrics_port)


def _run(config: Config, name: str, progress: str, metrics_port: int | None) -> None:
    from rtea.sinks import runner

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    stop: threading.Event = runner.stop_on_signals()
    with exporter.serving(metrics_port):
        runner.run(config, SINKS[name](config), stop, _report_json if progress == "json" else _report_text)


def _report_text(results: Sequence[WindowResult], readable_at_ms: int) -> None:
    for result in results:
        delay_s = (readable_at_ms - result.window_end_ms) / 1000
        when = f"readable {delay_s:.2f} s after its end" if result.is_final else "early: the window is still open"
        click.echo(f"window {result.window_start_ms} revision {result.revision}: {len(result.rows)} rows, {when}")


def _report_json(results: Sequence[WindowResult], readable_at_ms: int) -> None:
    for result in results:
        line = {
            "window_start_ms": result.window_start_ms,
            "window_end_ms": result.window_end_ms,
            "revision": result.revision,
            "is_final": result.is_final,
            "rows": len(result.rows),
            "readable_at_ms": readable_at_ms,
        }
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
