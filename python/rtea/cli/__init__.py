"""The command `rtea`: one module per group of commands, all over the one configuration."""

from rtea.cli.root import main

__all__ = ["main"]
