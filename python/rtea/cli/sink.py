"""`rtea sink`: results topic to a table."""

import sys
import threading
from pathlib import Path

import click
import msgspec

from rtea.cli.root import resolve
from rtea.config import Config
from rtea.sinks.contract import Sink
from rtea.sinks.registry import SINKS
from rtea.sinks.result import WindowResult


@click.group
def group() -> None:
    """Write the windows' results to a table."""


@group.command
@click.option("--path", "sink__duckdb_path", type=click.Path(path_type=Path), help="The DuckDB file.")
@click.option("--table", "sink__table", help="The table.")
@click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port.")
@click.option("--progress", type=click.Choice(["text", "json"]), default="text", help="How writes are reported.")
@click.pass_context
def duckdb(context: click.Context, /, progress: str, **flags: object) -> None:
    """Write to a DuckDB file until interrupted."""
    config = resolve(context, **flags)
    _run(config, SINKS["duckdb"](config), progress)


def _run(config: Config, sink: Sink, progress: str) -> None:
    from rtea.sinks import runner

    stop: threading.Event = runner.stop_on_signals()
    runner.run(config, sink, stop, _report_json if progress == "json" else _report_text)


def _report_text(results: list[WindowResult], readable_at_ms: int) -> None:
    for result in results:
        delay_s = (readable_at_ms - result.window_end_ms) / 1000
        click.echo(
            f"window {result.window_start_ms} revision {result.revision}: {len(result.rows)} rows, "
            f"readable {delay_s:.2f} s after its end"
        )


def _report_json(results: list[WindowResult], readable_at_ms: int) -> None:
    for result in results:
        line = {
            "window_start_ms": result.window_start_ms,
            "window_end_ms": result.window_end_ms,
            "revision": result.revision,
            "rows": len(result.rows),
            "readable_at_ms": readable_at_ms,
        }
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
