"""`rtea sink`: writes the results topic to a table."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
import msgspec

from rtea import exporter, logs, plugins
from rtea.cli.root import resolve, with_settings
from rtea.config import Config
from rtea.plugins import SinkKind
from rtea.sinks.registry import make_sink
from rtea.sinks.result import WindowResult


class _Sinks(click.Group):
    """A command for each sink of `rtea.plugins`, made of its options."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the sinks without importing them."""
        return plugins.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Make the command of a sink."""
        return with_settings(_command(plugins.sink(cmd_name))) if cmd_name in plugins.names() else None


@click.group(cls=_Sinks)
def group() -> None:
    """Write the windows' results to a table."""


def _command(kind: SinkKind) -> click.Command:
    own = [
        click.Option(
            [option.flag, f"{kind.section}__{option.key}"],
            help=option.help,
            is_flag=option.is_flag,
            default=None,
        )
        for option in kind.options
    ]
    shared = [
        click.Option(["--bootstrap-servers", "kafka__bootstrap_servers"], help="Brokers, host:port."),
        click.Option(
            ["--progress"], type=click.Choice(["text", "json"]), default="text", help="Format of the reports."
        ),
        click.Option(
            ["--metrics-port"], type=click.IntRange(1, 65535), help="Serve Prometheus metrics on 127.0.0.1:PORT."
        ),
    ]

    @click.pass_context
    def run(context: click.Context, /, progress: str, metrics_port: int | None, **flags: object) -> None:
        _run(resolve(context, **flags), kind.name, progress, metrics_port)

    example = f"rtea sink {kind.name} {kind.example}".rstrip()
    return click.Command(kind.name, params=[*own, *shared], callback=run, help=f"{kind.summary}\n\nExample: {example}")


def _run(config: Config, name: str, progress: str, metrics_port: int | None) -> None:
    from rtea.sinks import runner

    logs.start()
    stop: threading.Event = runner.stop_on_signals()
    with exporter.serving(metrics_port), _running_beside(plugins.sink(name).beside(config), stop):
        runner.run(config, make_sink(config, name), stop, _report_json if progress == "json" else _report_text)


@contextmanager
def _running_beside(work: Callable[[threading.Event], None] | None, stop: threading.Event) -> Iterator[None]:
    """Run something in a thread for a block. If it fails, the block is asked to stop, and its error is raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            if work:
                work(stop)
        except BaseException as error:
            errors.append(error)
            stop.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _report_text(results: Sequence[WindowResult], readable_at_ms: int) -> None:
    for result in results:
        delay_s = (readable_at_ms - result.window_end_ms) / 1000
        when = f"readable {delay_s:.2f} s after its end" if result.is_final else "early: the window is still open"
        click.echo(f"window {result.window_start_ms} revision {result.revision}: {len(result.rows)} rows, {when}")


def _report_json(results: Sequence[WindowResult], readable_at_ms: int) -> None:
    for result in results:
        line = {
            "window_start_ms": result.window_start_ms,
            "window_end_ms": result.window_end_ms,
            "revision": result.revision,
            "is_final": result.is_final,
            "rows": len(result.rows),
            "readable_at_ms": readable_at_ms,
        }
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
