"""`rtea schema`: prints the JSON Schema of an event."""

import click

from rtea import events


@click.command
def command() -> None:
    """Print the JSON Schema of an event."""
    click.echo(events.SCHEMA_FILE.read_text(), nl=False)
