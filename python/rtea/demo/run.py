"""Runs the whole pipeline once (stack, job, sink, generator), and stops all of it at the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib import util
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.live import Live

from rtea import config as configuration
from rtea import manifest, plugins, verify
from rtea.config import Config
from rtea.demo import summary as summaries
from rtea.demo import view
from rtea.demo.monitor import Monitor
from rtea.demo.summary import Summary
from rtea.errors import ConfigError, DeliveryError, PortInUseError, RteaError, SinkError, StackError
from rtea.job import submit as job
from rtea.metrics import registry
from rtea.sinks.contract import Sink
from rtea.sinks.registry import make_sink
from rtea.stack import jars, local, rest, supervisor
from rtea.stack.layout import Layout

MANIFEST = "manifest.jsonl"
REFRESH_SECONDS = 1.0
FIRST_WINDOW_MS = 3_000
"""Longest first window. The demo starts its event time behind the clock, shortly before the end of a window: so the
first rows do not take a minute."""

STOP_SECONDS = 60
CATCH_UP_SECONDS = 60
"""How long the rows of the last finished window may take; after that, they count as missing."""


def own_config(config: Config) -> Config:
    """The demo's configuration, with every metric. It has its own state directory, DuckDB file and BigQuery table: so
    every run starts with empty topics and an empty table, and does not touch the user's data.
    """
    root = config.stack.state_dir / "demo"
    own: dict[str, Any] = {
        kind.section: kind.of_demo(getattr(config, kind.section), root) for kind in map(plugins.sink, plugins.names())
    }
    return config.model_copy(
        update={
            "stack": config.stack.model_copy(update={"state_dir": root}),
            "kafka": config.kafka.model_copy(update={"bootstrap_servers": local.broker_address(config)}),
            # The page shows what every metric says.
            "job": config.job.model_copy(update={"metrics": tuple(registry())}),
            "dashboard": config.dashboard.model_copy(update={"manifest": root / MANIFEST}),
        }
        | own
    )


def run(config: Config, sink_name: str, minutes: float, console: Console) -> Summary:
    """Run the demo with a sink of `rtea.plugins`; `config` comes from `own_config`.

    Raises:
        RteaError: a part did not start or failed; everything is stopped.
    """
    _require_a_window(config, minutes)
    layout = Layout.of(config.stack.state_dir)
    if supervisor.Supervisor(layout).states() is not None:
        stop = f"rtea --set stack.state_dir={layout.root} stack down"
        raise StackError(f"a demo is running already in {layout.root}: wait for it, or stop it with `{stop}`")
    supervisor.require_no_leftovers(layout)
    layout.clear()
    table = make_sink(config, sink_name)
    with closing(table):  # Find missing credentials or another schema now, not after a minute.
        table.open()
    jars.fetch(config.jars, ("kafka", "flink"))
    with ExitStack() as parts:
        parts.callback(_stop_children)
        with console.status("starting Kafka and Flink"):
            parts.enter_context(local.running(config))
        with console.status("submitting the job"):
            monitor = Monitor(config, job.submit(config))
        console.print(f"Flink's web page: {rest.address(config)}")
        if address := parts.enter_context(_dashboard(config, sink_name)):
            console.print(f"dashboard: {address}", style="bold")
        sink = parts.enter_context(_process(config, layout, "sink", "rtea", "sink", sink_name, "--progress", "json"))
        if sink.stdout:
            monitor.read_progress(sink.stdout)
        monitor.watch_stack()
        monitor.watch_process("sink", sink.pid)
        return _send(config, minutes, console, monitor, sink, make_sink(config, sink_name))


def _require_a_window(config: Config, minutes: float) -> None:
    needed_s = (min(FIRST_WINDOW_MS, config.job.window_ms) + config.job.watermark_delay_ms) / 1000 + 1
    if minutes * 60 < needed_s:
        raise ConfigError(
            f"--minutes {minutes} is {minutes * 60:.0f} s, too short for a window to finish: expected at least "
            f"{needed_s / 60:.2f}"
        )


def _stop_children() -> None:
    """Stop what still runs: a signal may come between the start of a process and the code that stops it."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=STOP_SECONDS)
    for child in alive:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _send(
    config: Config, minutes: float, console: Console, monitor: Monitor, sink: "subprocess.Popen[bytes]", table: Sink
) -> Summary:
    layout = Layout.of(config.stack.state_dir)
    path = layout.root / MANIFEST
    arguments = ["rtea_gen", "--duration", str(minutes * 60), "--manifest", str(path), "--no-progress"]
    arguments += ["--start", str(start_ms(round(time.time() * 1000), config.job.window_ms))]
    with (
        _process(config, layout, "generator", *arguments) as generator,
        monitor.finding_problems(),
        Live(console=console, auto_refresh=False) as live,
    ):
        monitor.watch_process("generator", generator.pid)
        started_s = time.time()
        while generator.poll() is None:
            _require_alive(sink, layout)
            if path.exists() and not monitor.behind_ms:
                monitor.behind_ms = _behind_ms(path)
            monitor.sample()
            live.update(view.draw(monitor, "sending"), refresh=True)
            _wait(generator, REFRESH_SECONDS)
        seconds = time.time() - started_s
        if generator.returncode:
            raise DeliveryError(f"the generator failed: {supervisor.tail(layout.logs / 'generator.log', 1)}")
        live.update(view.draw(monitor, "waiting for the last window"), refresh=True)
        sent = manifest.read(path)
        windows = sent.finished(config.job.watermark_delay_ms, config.kafka.partitions)
        report = verify.wait_for(windows, table, CATCH_UP_SECONDS)
        monitor.sample()
        live.update(view.draw(monitor, "done"), refresh=True)
    return summaries.summarize(monitor, sent, report, seconds)


@contextmanager
def _dashboard(config: Config, sink_name: str) -> Iterator[str]:
    """Serve the live page for a block; gives its address, or nothing if its extra is not installed."""
    if util.find_spec("starlette") is None or util.find_spec("uvicorn") is None:
        yield ""
        return
    from rtea.dashboard import server

    with ExitStack() as parts:
        try:
            address = parts.enter_context(server.serving(config, make_sink(config, sink_name)))
        except PortInUseError:  # Perhaps by `rtea dashboard`: a demo takes any free port.
            free = config.dashboard.model_copy(update={"port": 0})
            own = config.model_copy(update={"dashboard": free})
            address = parts.enter_context(server.serving(own, make_sink(config, sink_name)))
        yield address


def start_ms(now_ms: int, window_ms: int) -> int:
    """The newest time at which a window has `FIRST_WINDOW_MS` left, or its whole length if it is shorter.

    >>> start_ms(1_000_000, 60_000), start_ms(1_020_000, 60_000), start_ms(1_000_999, 2_000)
    (957000, 1017000, 1000000)
    """
    before_ms = min(FIRST_WINDOW_MS, window_ms)
    return (now_ms + before_ms) // window_ms * window_ms - before_ms


def _behind_ms(path: Path) -> int:
    """How far event time is behind the clock; 0 while the manifest has no header."""
    try:
        header = manifest.read_cut(path).header
    except RteaError:
        return 0
    return header.began_ms - header.start_ms


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _require_alive(sink: "subprocess.Popen[bytes]", layout: Layout) -> None:
    if sink.poll() is not None:
        raise SinkError(f"the sink ended early: {supervisor.tail(layout.logs / 'sink.log', 1)}")


@contextmanager
def _process(
    config: Config, layout: Layout, name: str, module: str, *arguments: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of our commands with the demo's configuration; at the end, stop it with a signal."""
    command = [sys.executable, "-m", module, *arguments]
    environment = os.environ | configuration.as_environment(config)
    with open(layout.logs / f"{name}.log", "ab") as log:
        output = subprocess.PIPE if name == "sink" else log
        process = subprocess.Popen(command, stdout=output, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM if name == "sink" else signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for member in (*psutil.Process(process.pid).children(recursive=True), process):
                member.kill()
            process.wait()


def whereabouts(config: Config, sink_name: str) -> str:
    """Say where the demo's rows are, and how to look at them."""
    kind = plugins.sink(sink_name)
    return kind.whereabouts(getattr(config, kind.section))
