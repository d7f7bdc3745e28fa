"""`rtea dashboard`: serves the live page."""

import threading
import webbrowser
from pathlib import Path

import click

from rtea import logs
from rtea.cli.root import resolve


@click.command
@click.option("--port", "dashboard__port", type=click.IntRange(0, 65535), help="Port; 0: any  [default: 8050].")
@click.option("--host", "dashboard__host", help="Address to listen on; needs a token if it is not the loopback.")
@click.option("--manifest", "dashboard__manifest", type=click.Path(path_type=Path), help="Compare the table with it.")
@click.option("--sink", "sink_name", default="duckdb", show_default=True, help="Its table has the time before.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.pass_context
def command(context: click.Context, /, sink_name: str, opens: bool, **flags: object) -> None:
    """Serve the live page until interrupted: how the shop is doing, and how the pipeline is. It reads the results
    topic, and the table once at the start.

    Example: rtea dashboard --port 8050 --open
    """
    from rtea.dashboard import server
    from rtea.sinks import runner
    from rtea.sinks.registry import make_sink

    logs.start()
    config = resolve(context, **flags)
    stop: threading.Event = runner.stop_on_signals()
    has_table = sink_name != "duckdb" or config.sink.duckdb_path.exists()
    history = make_sink(config, sink_name) if has_table else None
    with server.serving(config, make_sink(config, sink_name), history) as address:
        click.echo(f"dashboard: {address}")
        if opens:
            token = config.dashboard.token
            here = address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
            webbrowser.open(f"{here}?token={token.get_secret_value()}" if token else here)
        stop.wait()
