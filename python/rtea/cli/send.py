"""`rtea send`: sends the events of a file to the events topic."""

from pathlib import Path

import click

from rtea.cli.root import FiniteRange, resolve


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "events__map", help="Layout of the events: a preset or a map's path [default: events.map].")
@click.option("--rate", type=FiniteRange(min=0.001), help="Events per second [default: as fast as possible].")
@click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port.")
@click.pass_context
def command(context: click.Context, /, file: Path, rate: float | None, **flags: object) -> None:
    """Send the events of FILE to the events topic: lines of JSON, or a .csv file with a header, also compressed as .gz
    or
    .zst. If it is interrupted, run it again: it continues after the last event that was sent.

    Example: rtea send --map my_shop.toml sample.ndjson
    """
    from rtea import sending

    sent = sending.send(resolve(context, **flags), file, rate_hz=rate)
    before = f" after {sent.before} of an earlier run" if sent.before else ""
    refused = f"; the map does not count {sent.not_counted} of them" if sent.not_counted else ""
    click.echo(f"{sent.events} events sent{before}{refused}")
