"""Promise: a release continues where an earlier one stopped, with its topics, its savepoint and its table."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bench import checkout
from rtea import config as configuration
from rtea import manifest
from rtea.config import Config
from rtea.job import submit as job
from rtea.stack import local
from tests.conftest import stack_config
from tests.drills import load
from tests.drills.conftest import SECONDS
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(1200)

EARLIER = "ea9f280ff6986de8bb71c72b04cb4ab48c9f682f"
"""The release before this one."""


class Earlier:
    """The commands of an earlier release, with a configuration."""

    def __init__(self, tree: Path, config: Config) -> None:
        self.tree = tree
        # Settings that it does not know yet are left at their defaults.
        own, defaults = configuration.as_environment(config), configuration.as_environment(Config())
        changed = {name: value for name, value in own.items() if defaults.get(name) != value}
        self._environment = checkout.environment(tree) | changed

    def run(self, *arguments: str) -> str:
        """Run `rtea` to its end; returns what it printed."""
        ran = subprocess.run(
            [sys.executable, *arguments], env=self._environment, capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout.strip()

    @contextmanager
    def sinking(self) -> Iterator[None]:
        """Its DuckDB sink, for a block."""
        with subprocess.Popen([sys.executable, "-m", "rtea", "sink", "duckdb"], env=self._environment) as sink:
            try:
                yield
            finally:
                sink.terminate()
        assert sink.returncode == 0


def runs_in_taskmanager(config: Config, extension: Path) -> bool:
    """Whether the TaskManager, or a Python worker of it, has an extension in its memory."""
    taskmanager = psutil.Process(pipeline.pid_of(config, "taskmanager"))
    processes = [taskmanager, *taskmanager.children(recursive=True)]
    return any(entry.path == str(extension) for process in processes for entry in process.memory_maps())


def test_a_release_continues_where_an_earlier_one_stopped(tmp_path: Path, undisturbed: load.Rows) -> None:
    config = load.drill_config(stack_config(tmp_path / "stack", sink__duckdb_path=tmp_path / "metrics.duckdb"))
    with checkout.built(EARLIER, "upgrade") as tree:
        earlier = Earlier(tree, config)
        earlier.run("-m", "rtea", "jars", "fetch")
        earlier.run(str(tree / "jars" / "build.py"))
        try:
            upgrade_under_load(config, earlier, tmp_path / "m.jsonl")
            with pipeline.sinking(config):
                load.assert_undisturbed(config, manifest.read(tmp_path / "m.jsonl"), undisturbed)
        finally:
            local.down(config)


def upgrade_under_load(config: Config, earlier: Earlier, path: Path) -> None:
    """Start with the earlier release, go on with this one; ends with the load."""
    extension = earlier.tree / "python" / "rtea" / "_core.abi3.so"
    earlier.run("-m", "rtea", "stack", "up")
    job_id = earlier.run("-m", "rtea", "job", "submit").split()[1]
    with pipeline.generating(config, path, *load.arguments(SECONDS)) as generator:
        with earlier.sinking():
            pipeline.wait_for_rows(config)
            assert runs_in_taskmanager(config, extension)
            savepoint = earlier.run("-m", "rtea", "job", "stop", job_id)
        earlier.run("-m", "rtea", "stack", "down")
        local.up(config)
        # Without the savepoint's offsets it would miss what came before.
        job.submit(load.drill_config(config, start_from="latest"), savepoint=savepoint)
        assert not runs_in_taskmanager(config, extension)
        assert generator.wait(300) == 0
