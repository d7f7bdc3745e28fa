"""`rtea topics`: creates the pipeline's topics."""

import click

from rtea.cli.root import resolve


@click.group
def group() -> None:
    """The pipeline's topics."""


@group.command
@click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port.")
@click.option("--replication-factor", default=1, show_default=True, type=click.IntRange(min=1))
@click.pass_context
def create(context: click.Context, kafka__bootstrap_servers: str | None, replication_factor: int) -> None:
    """Create the topics that are missing.

    Example: rtea topics create --replication-factor 3
    """
    from rtea import topics

    config = resolve(context, kafka__bootstrap_servers=kafka__bootstrap_servers)
    made = topics.create(config, replication_factor=replication_factor)
    click.echo(f"created: {', '.join(made)}" if made else "every topic exists")
