"""`rtea stack`: the local Kafka and Flink."""

import click

from rtea.cli import output
from rtea.cli.root import resolve


@click.group
def group() -> None:
    """The local Kafka and Flink."""


@group.command
@click.pass_context
def up(context: click.Context) -> None:
    """Start Kafka and Flink and wait until they are ready.

    Example: rtea stack up
    """
    from rtea.stack import local, rest

    config = resolve(context)
    started = local.up(config)
    click.echo(f"stack {'is up' if started else 'was up already'}: Flink {rest.address(config)}")


@group.command
@output.json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> int:
    """Show the processes; exit code 1 if the stack is down.

    Example: rtea stack status
    """
    from rtea.stack import local

    processes = local.status(resolve(context))
    if as_json:
        output.show_json(processes)
        return 0 if processes else 1
    if not processes:
        click.echo("stack is down: start it with `rtea stack up`")
        return 1
    rows = [(each.name, each.state, each.pid or "-", f"{each.cpu_seconds:.1f}") for each in processes]
    output.show_table(["process", "state", "pid", "CPU s"], rows)
    return 0


@group.command
@click.pass_context
def down(context: click.Context) -> None:
    """Stop every process; keep the files.

    Example: rtea stack down
    """
    from rtea.stack import local

    click.echo("stack is down" if local.down(resolve(context)) else "stack was down already")
