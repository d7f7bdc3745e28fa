"""The command `rtea`: one module for each group of commands; all of them share the configuration."""

from rtea.cli.root import main

__all__ = ["main"]
