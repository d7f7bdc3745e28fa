"""`rtea demo`: the whole pipeline on this machine."""

from pathlib import Path

import click
import msgspec
from rich.console import Console

from rtea import plugins
from rtea.cli.root import FiniteRange, resolve


@click.command
@click.option("--rate", "generator__rate", type=int, help="Events per second [default: 50000].")
@click.option(
    "--minutes", type=FiniteRange(min=0.1, max=100_000), default=3.0, show_default=True, help="How long to send."
)
@click.option("--procs", "generator__procs", type=int, help="Generator processes [default: 2].")
@click.option("--sink", "sink_name", type=click.Choice(plugins.names()), default="duckdb", show_default=True)
@click.option("--project", "bigquery__project", help="The BigQuery project [default: the one in the credentials].")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the summary to this file.")
@click.pass_context
def command(context: click.Context, /, minutes: float, sink_name: str, json_file: Path | None, **flags: object) -> int:
    """Run Kafka, Flink, job, sink and generator, and compare every finished window with the manifest.

    Exit code 1 if one differs. At the end, the demo stops everything; the rows stay.

    Example: rtea demo
    """
    from rtea.demo import run, summary

    config = run.own_config(resolve(context, **flags))
    console = Console()
    outcome = run.run(config, sink_name, minutes, console)
    summary.show(outcome, console)
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)))
    console.print(run.whereabouts(config, sink_name), highlight=False, soft_wrap=True)
    return 0 if outcome.passed else 1
