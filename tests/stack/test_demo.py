"""Promise: one command runs the whole pipeline, proves its rows, and leaves nothing running."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rtea import config as configuration
from rtea.config import Config
from rtea.stack import local
from tests.conftest import stack_config
from tests.stack.test_stack import processes_below

pytestmark = pytest.mark.timeout(300)


def demo(config: Config, *arguments: str) -> "subprocess.Popen[str]":
    environment = os.environ | configuration.as_environment(config)
    command = [sys.executable, "-m", "rtea", "demo", "--procs", "1", *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_demo_matches_every_window_and_stops_everything(tmp_path: Path) -> None:
    config = stack_config(tmp_path / "state", job__window_ms=5_000)
    figures = tmp_path / "summary.json"
    ran = demo(config, "--rate", "5000", "--minutes", "0.5", "--json", str(figures))
    output, errors = ran.communicate()
    assert ran.returncode == 0, output + errors
    summary = json.loads(figures.read_text())
    assert summary["matching"] == summary["windows"] >= 4
    assert f"{summary['windows']} of {summary['windows']} windows match" in output
    assert summary["events"] == 150_000
    assert summary["cpu_seconds"].keys() == {*local.ROLES, "sink", "generator"}
    assert processes_below(tmp_path) == []
    rows = subprocess.run(
        [sys.executable, "-m", "rtea", "query", "--path", str(tmp_path / "state" / "demo" / "metrics.duckdb")],
        capture_output=True,
        text=True,
    )
    assert "unique_visitors" in rows.stdout


def test_an_interrupted_demo_stops_everything(tmp_path: Path) -> None:
    config = stack_config(tmp_path / "state")
    with demo(config, "--rate", "1000") as ran:
        generator_started = tmp_path / "state" / "demo" / "logs" / "generator.log"
        while not generator_started.exists():
            assert ran.poll() is None, ran.communicate()
            time.sleep(0.1)
        ran.send_signal(signal.SIGINT)
        _, errors = ran.communicate(timeout=120)
    assert (ran.returncode, errors.strip()) == (130, "interrupted")
    assert processes_below(tmp_path) == []


def test_a_closed_terminal_stops_everything(tmp_path: Path) -> None:
    config = stack_config(tmp_path / "state")
    environment = os.environ | configuration.as_environment(config)
    command = [sys.executable, "-m", "rtea", "demo", "--procs", "1", "--rate", "1000"]
    outer, inner = pty.openpty()
    # A session of its own, whose terminal is the one that is closed.
    take = (
        "import fcntl, os, signal, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        # These tests may themselves run below nohup.
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        f"os.execv({command[0]!r}, {command!r})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", take], stdin=inner, stdout=inner, stderr=inner, env=environment
    ) as ran:
        os.close(inner)
        drain = threading.Thread(target=drained, args=(outer,), daemon=True)
        drain.start()
        generator_started = tmp_path / "state" / "demo" / "logs" / "generator.log"
        while not generator_started.exists():
            assert ran.poll() is None
            time.sleep(0.1)
        ran.send_signal(signal.SIGSTOP)
        os.close(outer)
        ran.send_signal(signal.SIGCONT)
        ran.wait(120)
    assert processes_below(tmp_path) == []


def drained(terminal: int) -> None:
    """Read what is shown, so that nothing blocks."""
    with suppress(OSError):
        while os.read(terminal, 65_536):
            pass
