"""`rtea jars`: downloads the jars from Maven."""

import click

from rtea.cli.root import resolve


@click.group
def group() -> None:
    """Jars that Kafka and Flink need."""


@group.command
@click.option("--mirror", "jars__mirror", help="Base address of a Maven repository.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    type=click.Choice(["kafka", "flink", "build"]),
    help="Fetch only this group; repeatable.",
)
@click.pass_context
def fetch(context: click.Context, jars__mirror: str | None, groups: tuple[str, ...]) -> None:
    """Download the pinned jars that are missing, and check every checksum.

    Example: rtea jars fetch
    """
    from rtea.stack import jars

    config = resolve(context, jars__mirror=jars__mirror)
    downloads = jars.fetch(config.jars, groups or ("kafka", "flink", "build"))  # type: ignore[arg-type]
    click.echo(f"{downloads} jars downloaded; every jar is in {jars.cache_dir(config.jars)}")
