"""`rtea verify`: compares a sink's rows with a manifest."""

from pathlib import Path

import click

from rtea import plugins
from rtea.cli.root import FiniteRange, resolve
from rtea.sinks.registry import make_sink


@click.command
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--sink", "sink_name", type=click.Choice(plugins.names()), default="duckdb", show_default=True)
@click.option("--path", "sink__duckdb_path", type=click.Path(path_type=Path), help="The DuckDB file.")
@click.option("--table", "sink__table", help="The table.")
@click.option("--wait", "wait_s", type=FiniteRange(min=0), default=0.0, help="Seconds to wait for the rows to match.")
@click.pass_context
def command(context: click.Context, /, manifest: Path, sink_name: str, wait_s: float, **flags: object) -> int:
    """Compare every finished window of MANIFEST with the sink's rows; exit code 1 if one differs.

    Example: rtea verify manifest.jsonl
    """
    from rtea import manifest as manifests
    from rtea import verify

    config = resolve(context, **flags)
    sent = manifests.read(manifest)
    windows = sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
    report = verify.wait_for(windows, make_sink(config, sink_name), wait_s)
    for start_ms, problems in report.problems.items():
        for problem in problems:
            click.echo(f"window {start_ms}: {problem}", err=True)
    click.echo(f"{report}, {report.events} events")
    if not sent.end.complete:
        click.echo("the manifest is incomplete: its run failed, so its windows may differ from what was sent", err=True)
    return 0 if report.passed else 1
