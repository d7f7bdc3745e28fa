"""`rtea config`: show and document the settings."""

import click

from rtea import config as configuration
from rtea.cli.root import resolve


@click.group
def group() -> None:
    """Show and document the settings."""


@group.command
@click.pass_context
def show(context: click.Context) -> None:
    """Print the resolved configuration as JSON."""
    click.echo(resolve(context).model_dump_json(indent=2))


@group.command
def docs() -> None:
    """Print the page docs/configuration.md."""
    click.echo(configuration.document(), nl=False)
