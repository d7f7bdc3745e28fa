"""Compiles the Java rivals as our jar is compiled, and starts them."""

import os
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jars.build import compile_java, library
from rtea import config as configuration
from rtea.config import Config
from rtea.stack import flink, jars, java
from rtea.stack.layout import Layout

SOURCES = Path(__file__).parent / "java"


def _needed() -> list[Path]:
    """Jars beside Flink's own."""
    settings = configuration.load().jars
    jars.fetch(settings, ["kafka", "bench"])
    return [*jars.locate(settings, "bench"), *jars.locate(settings, "kafka")]


@contextmanager
def built() -> Iterator[Path]:
    """Compile every rival into one jar, for a block."""
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        classes, target = Path(folder) / "classes", Path(folder) / "rivals.jar"
        classes.mkdir()
        compile_java([SOURCES], classes, [*library(), *_needed()])
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(classes.rglob("*.class")):
                archive.write(path, path.relative_to(classes))
        yield target


def arguments(config: Config, rows_topic: str, letters_topic: str) -> list[str]:
    """The command line of a rival, as the Java class Settings reads it."""
    kafka, job = config.kafka, config.job
    numbers = (
        *(job.parallelism, job.window_ms, job.watermark_delay_ms),
        *(job.idle_timeout_ms, job.allowed_lateness_ms, job.checkpoint_interval_ms),
    )
    return [kafka.bootstrap_servers, kafka.events_topic, rows_topic, letters_topic, *map(str, numbers)]


def submit(config: Config, jar: Path, main_class: str, program_arguments: list[str]) -> str:
    """Submit a job to the cluster, detached; return its id."""
    layout = Layout.of(config.stack.state_dir)
    connector = jars.locate(configuration.load().jars, "flink")
    wanted = re.compile(r"jackson-(core|databind|annotations)|datasketches")
    beside = [*connector, *(path for path in _needed() if wanted.match(path.name))]
    shared = [part for path in beside for part in ("-C", path.as_uri())]
    command = flink.client_command("run", "-d", "-c", main_class, *shared, str(jar), *program_arguments)
    environment = {**os.environ, **flink.environment(layout)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=layout.root)
    found = re.search(r"JobID ([0-9a-f]{32})", ran.stdout)
    if not found:
        raise AssertionError(f"{main_class} was not submitted: {ran.stdout}{ran.stderr}")
    return found[1]


def command(jar: Path, main_class: str, *flags: str) -> list[str]:
    """The command of a program of its own."""
    class_path = os.pathsep.join(map(str, [jar, *_needed()]))
    return [str(java.find_home() / "bin" / "java"), *flags, "-cp", class_path, main_class]
