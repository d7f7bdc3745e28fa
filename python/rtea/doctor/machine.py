"""Checks of this machine: the installation, Java, jars, disk, ports."""

import platform
import shutil
from collections.abc import Iterator
from importlib import metadata, util

import pooch

from rtea import _core
from rtea.config import Config
from rtea.doctor.finding import Found, ok
from rtea.errors import JobError, StackError
from rtea.stack import jars, java, local, rest, supervisor
from rtea.stack.kafka import LOOPBACK
from rtea.stack.layout import Layout


def python(_: Config) -> Iterator[Found]:
    """The interpreter, and whether the extension is a release build."""
    version = metadata.version("rtea")
    if _core.DEBUG_BUILD:
        yield (
            "failed",
            f"rtea {version} has a debug build of its extension, which is about 20 times slower",
            "install a wheel, or run `make setup` again",
        )
        return
    if util.find_spec("pyflink") is None:
        yield "failed", "apache-flink is not installed", 'run `pip install "rtea[flink]"`'
        return
    yield ok(
        f"Python {platform.python_version()}, rtea {version} (release build), apache-flink "
        f"{metadata.version('apache-flink')}"
    )


def java_runtime(_: Config) -> Iterator[Found]:
    """The runtime of Kafka and Flink."""
    yield ok(f"Java in {java.find_home()}")


def jar_files(config: Config) -> Iterator[Found]:
    """Jars in the cache, with their checksums. Reads 200 MB."""
    wanted = [jar for jar in jars.read_manifest() if jar.group in ("kafka", "flink")]
    folder = jars.cache_dir(config.jars)
    for jar in wanted:
        path = folder / jar.file_name
        if not path.is_file():
            yield "failed", f"jar {path.name} is missing in {folder}", "run `rtea jars fetch`"
            return
        digest = pooch.file_hash(str(path), alg="sha256")
        if digest != jar.sha256:
            yield "failed", f"jar {path.name} in {folder} is damaged", "run `rtea jars fetch`, which loads it again"
            return
    yield ok(f"{len(wanted)} jars in {folder}, checksums as pinned")


def disk(config: Config) -> Iterator[Found]:
    """Free space for the stack and the table."""
    for what, path in {"stack": Layout.of(config.stack.state_dir).root, "table": config.sink.duckdb_path}.items():
        path = path.expanduser().absolute()
        existing = next(each for each in (path, *path.parents) if each.exists())
        free = shutil.disk_usage(existing).free
        if free < config.stack.min_free_bytes:
            yield (
                "failed",
                f"the disk of the {what}, {existing}, has {free / 2**20:,.0f} MiB free, less than "
                f"{config.stack.min_free_bytes / 2**20:,.0f}",
                "free some space, or name another disk with stack.state_dir and sink.duckdb_path",
            )
            return
    yield ok(f"{free / 2**30:,.0f} GiB free")


def processes(config: Config) -> Iterator[Found]:
    """The processes of the local stack, or whether its ports are free; skipped for a cluster elsewhere."""
    states = local.status(config)
    down = [process for process in states if process.state != "RUNNING"]
    if down:
        log = Layout.of(config.stack.state_dir).logs / f"{down[0].name}.log"
        yield (
            "failed",
            f"{down[0].name} is {down[0].state.lower()}: its log ends with: {supervisor.tail(log, 1) or '(nothing)'}",
            f"see {log}, then run `rtea stack up`",
        )
    elif states:
        yield ok(
            f"the stack in {Layout.of(config.stack.state_dir).root} runs: {', '.join(each.name for each in states)}"
        )
    elif _answers(config):
        yield "skipped", "no stack of this directory runs; a Flink cluster answers at " + rest.address(config), ""
    else:
        supervisor.require_free_ports(local.ports(config), LOOPBACK)
        yield "failed", f"no stack runs in {Layout.of(config.stack.state_dir).root}", "start it with `rtea stack up`"


def _answers(config: Config) -> bool:
    try:
        rest.get(config, "/overview", timeout_s=2)
    except (StackError, JobError):
        return False
    return True
