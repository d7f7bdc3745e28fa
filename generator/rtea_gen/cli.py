"""The command `rtea-gen`."""

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

import rtea
from rtea import config as configuration
from rtea.cli import root
from rtea.errors import ConfigError
from rtea_gen import plan as plans


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rtea.__version__, prog_name="rtea-gen")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Configuration file [default: rtea.toml].")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting; repeatable.")
@click.option("--procs", "generator__procs", type=int, help="Processes [default: 2].")
@click.option("--rate", "generator__rate", type=int, help="Events per second of event time [default: 50000].")
@click.option("--speed", "generator__speed", type=float, help="Event time per real time; 0: as fast as possible.")
@click.option("--seed", "generator__seed", type=int, help="Seed [default: 1].")
@click.option("--format", "generator__format", type=click.Choice(["json", "msgpack"]), help="Format [default: json].")
@click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port.")
@click.option("--topic", "kafka__events_topic", help="Topic [default: ecommerce_clickstream].")
@click.option("--duration", "duration_s", type=click.FloatRange(min=0), help="Seconds of event time.")
@click.option("--events", type=click.IntRange(min=0), help="Number of events.")
@click.option("--start", metavar="TIME", help="Event time of the first event, RFC 3339 or ms since the epoch.")
@click.option("--manifest", type=click.Path(path_type=Path), default=Path("manifest.jsonl"), show_default=True)
@click.option("--progress/--no-progress", default=None, help="Progress bar [default: on a terminal].")
def command(
    file: Path | None,
    settings: tuple[str, ...],
    duration_s: float | None,
    events: int | None,
    start: str | None,
    manifest: Path,
    progress: bool | None,
    **flags: Any,
) -> int:
    """Send a deterministic e-commerce clickstream to Kafka and write the manifest of what was sent."""
    from rtea_gen import run

    if duration_s is not None and events is not None:
        raise ConfigError("--duration and --events were both given: name one of them")
    named = {name.replace("__", "."): value for name, value in flags.items()}
    config = configuration.Request(file, configuration.parse_flags(settings)).resolve(named)
    start_ms = _time_ms(start)
    if start_ms is not None and start_ms <= 0:
        # Kafka's client takes a timestamp of 0 for "now".
        raise ConfigError(f"--start {start!r} is not after 1970-01-01T00:00:00Z: name a later time")
    plan = plans.make(config, start_ms=start_ms, events=events, duration_s=duration_s)
    summary = run.run(plan, manifest, progress=sys.stderr.isatty() if progress is None else progress)
    rate = summary.sent / summary.seconds if summary.seconds > 0 else 0.0
    click.echo(
        f"{summary.sent} events ({summary.bytes / 2**20:.0f} MiB) in {summary.seconds:.1f} s, {rate:,.0f}/s, "
        f"at most {summary.most_behind_s:.2f} s behind schedule, {summary.cpu_s:.1f} CPU s; manifest: {manifest}"
    )
    return 130 if summary.interrupted and plan.events is not None else 0


def _time_ms(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise ConfigError(f"--start {text!r} is no time: expected RFC 3339 or ms since the epoch") from error
    return int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp() * 1000)


def main() -> None:
    """The console script `rtea-gen`."""
    sys.exit(root.run(command))
