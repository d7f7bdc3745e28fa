"""`rtea demo`: the whole pipeline on this machine."""

from pathlib import Path

import click
import msgspec
from rich.console import Console

from rtea.cli.root import resolve


@click.command
@click.option("--rate", "generator__rate", type=int, help="Events per second [default: 50000].")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="How long to send.")
@click.option("--procs", "generator__procs", type=int, help="Generator processes [default: 2].")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the summary to this file as well.")
@click.pass_context
def command(context: click.Context, /, minutes: float, json_file: Path | None, **flags: object) -> int:
    """Run Kafka, Flink, job, sink and generator, and compare every finished window with the manifest.

    Exit code 1 when one differs. Everything is stopped at the end; the DuckDB file stays.
    """
    from rtea.demo import run, summary

    config = run.own_config(resolve(context, **flags))
    console = Console()
    outcome = run.run(config, minutes, console)
    summary.show(outcome, console)
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)))
    console.print(f"rows stay in {config.sink.duckdb_path}; look at them with:", highlight=False)
    console.print(f"  {run.query_command(config)}", highlight=False)
    return 0 if outcome.passed else 1
