"""`rtea completion`: prints the completion script of a shell."""

import click
from click.shell_completion import get_completion_class


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes the commands and options of rtea.

    Example, for bash: rtea completion bash > ~/.local/share/bash-completion/completions/rtea
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    # Not `source()`: for bash, that starts bash only to learn its version.
    made = kind(context.find_root().command, {}, "rtea", "_RTEA_COMPLETE")
    click.echo(made.source_template % made.source_vars())
