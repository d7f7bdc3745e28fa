"""The command `rtea-gen`."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from rtea import config as configuration
from rtea.cli import root
from rtea.errors import ConfigError
from rtea_gen import plan as plans


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rtea", prog_name="rtea-gen")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Configuration file [default: rtea.toml].")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting; repeatable.")
@click.option("--procs", "generator__procs", type=int, help="Processes [default: 2].")
@click.option("--rate", "generator__rate", type=int, help="Events per second of event time [default: 50000].")
@click.option("--speed", "generator__speed", type=float, help="Speed of event time; 0: as fast as possible.")
@click.option("--seed", "generator__seed", type=int, help="Seed [default: 1].")
@click.option(
    "--format",
    "generator__format",
    type=click.Choice(["json", "msgpack", "ga4-json"]),
    help="Format [default: json].",
)
@click.option(
    "--sink", "generator__sink", type=click.Choice(["kafka", "stdout", "file"]), help="Destination [default: kafka]."
)
@click.option("--path", "generator__path", type=click.Path(path_type=Path), help="File for --sink file.")
@click.option(
    "--compression",
    "generator__compression",
    type=click.Choice(["none", "gzip", "zstd"]),
    help="Compression for the sinks stdout and file [default: none].",
)
@click.option("--metrics-port", "generator__metrics_port", type=int, help="Serve Prometheus metrics on 127.0.0.1:PORT.")
@click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port.")
@click.option("--topic", "kafka__events_topic", help="Topic [default: ecommerce_clickstream].")
@click.option("--duration", "duration_s", type=root.FiniteRange(min=0, max=10**9), help="Seconds of event time.")
@click.option("--events", type=click.IntRange(min=0, max=10**15), help="Number of events.")
@click.option("--start", metavar="TIME", help="Event time of the first event, RFC 3339 or ms since the epoch.")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    help="File for the manifest [default: manifest.jsonl; none with --sink stdout].",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing manifest and existing files of events.")
@click.option("--resume", is_flag=True, help="Continue the manifest's run: repeat and skip no event.")
@click.option("--dry-run", is_flag=True, help="Check the settings and print what would be sent; send nothing.")
@click.option("--print-config", is_flag=True, help="Print the resolved configuration as JSON; send nothing.")
@click.option("--progress/--no-progress", default=None, help="Progress bar [default: on a terminal].")
def command(
    file: Path | None,
    settings: tuple[str, ...],
    duration_s: float | None,
    events: int | None,
    start: str | None,
    manifest: Path | None,
    overwrite: bool,
    resume: bool,
    dry_run: bool,
    print_config: bool,
    progress: bool | None,
    **flags: Any,
) -> int:
    """Send a deterministic e-commerce clickstream to Kafka, a file or a pipe, and write a manifest of what was
    sent.

    Example: rtea-gen --procs 2 --rate 50000 --duration 60
    """
    from rtea_gen import report, run

    if duration_s is not None and events is not None:
        raise ConfigError("--duration and --events exclude each other: name one of them")
    named = {name.replace("__", "."): value for name, value in flags.items()}
    config = configuration.Request(file, configuration.parse_flags(settings)).resolve(named)
    if print_config:
        click.echo(config.model_dump_json(indent=2))
        return 0
    if manifest is None and config.generator.sink != "stdout":
        manifest = Path("manifest.jsonl")
    earlier = None
    if resume:
        if manifest is None:
            raise ConfigError("--resume needs a manifest: name it with --manifest")
        if start is not None or duration_s is not None:
            raise ConfigError("--resume continues the run of --manifest: leave out --start and --duration")
        from rtea_gen import resume as resuming

        resumed = resuming.read(config, manifest, events)
        plan = resumed.plan
        earlier = run.Earlier(resumed.keep_bytes, resumed.totals, resumed.already)
    else:
        plan = plans.make(config, start_ms=_start_ms(start), events=events, duration_s=duration_s)
    if dry_run:
        report.preview(plan)
        return 0
    if not resume and not overwrite:
        run.require_new(plan, manifest)
    shows_bar = sys.stderr.isatty() if progress is None else progress
    summary = run.run(plan, manifest, earlier=earlier, progress=shows_bar)
    with suppress(OSError):  # The terminal may be gone.
        report.summarize(plan, summary, manifest)
    return 130 if summary.interrupted and (plan.events is not None or not summary.complete) else 0


command.params.append(root.log_format())


def _start_ms(text: str | None) -> int | None:
    start_ms = None if text is None else root.parse_ms("--start", text)
    if start_ms is not None and start_ms <= 0:
        # Kafka's client reads a timestamp of 0 as "now".
        raise ConfigError(f"--start {text!r} is not after 1970-01-01T00:00:00Z: name a later time")
    return start_ms


def main() -> None:
    """The console script `rtea-gen`."""
    sys.exit(root.run(command))
