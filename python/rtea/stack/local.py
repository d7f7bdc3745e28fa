"""`rtea stack up|status|down`: starts and stops Kafka and Flink on this machine together.

All processes listen on the loopback only, and keep their files in one state directory. A supervisor restarts a process
that dies.
"""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import psutil
from tenacity import RetryError, retry_if_result, stop_after_delay, wait_fixed
from tenacity import Retrying as Waiting

from rtea import topics
from rtea.config import Config
from rtea.errors import BrokerError, ConfigError, DiskSpaceError, JobError, StackError, SystemRefusalError
from rtea.stack import flink, kafka, rest, supervisor
from rtea.stack.layout import Layout

START_SECONDS = 90
POLL_SECONDS = 0.2

FLINK_ROLES = ("zookeeper", "jobmanager", "taskmanager")
ROLES = ("kafka", *FLINK_ROLES)


@dataclass(frozen=True)
class ProcessState:
    """One process of the stack; `state` is the supervisor's, for example RUNNING."""

    name: str
    state: str
    pid: int | None
    cpu_seconds: float


def up(config: Config) -> bool:
    """Start the stack and wait until it is ready. If it runs already, return False, after starting the processes that
    the supervisor gave up, for example because the disk was full.

    Raises:
        ConfigError, PortInUseError, DiskSpaceError, JarError, StackError: the stack cannot run; this call leaves no
            process behind.
    """
    if config.kafka.bootstrap_servers not in (broker_address(config), f"localhost:{config.stack.kafka_port}"):
        raise ConfigError(
            f"kafka.bootstrap_servers is {config.kafka.bootstrap_servers}, the stack's broker listens on "
            f"{broker_address(config)}: set kafka.bootstrap_servers or stack.kafka_port"
        )
    _require_listener(config)
    layout = Layout.of(config.stack.state_dir)
    if any(separator in str(layout.root) for separator in ",:"):
        raise ConfigError(
            f"stack.state_dir {layout.root} has a comma or a colon, which Kafka and Flink take for the end of a path: "
            "name another directory"
        )
    running = supervisor.Supervisor(layout)
    if running.states() is not None:
        _require_same_ports(config, layout)
        running.start_again()
        _wait_until(lambda: _missing(config), config)
        running.remember_processes()
        return False
    supervisor.require_no_leftovers(layout)
    _require_disk_space(config, layout)
    supervisor.require_free_ports(ports(config), kafka.LOOPBACK)
    try:
        layout.make()
        commands = {"kafka": kafka.prepare(config, layout)}
        commands |= {role: flink.command(role, layout) for role in FLINK_ROLES}
        flink.prepare(config, layout)
        supervisor.write(layout, commands)
        layout.ports.write_bytes(msgspec.json.encode(ports(config)))
    except OSError as error:
        kind = DiskSpaceError if error.errno in (errno.ENOSPC, errno.EDQUOT) else SystemRefusalError
        raise kind(
            f"cannot write to {layout.root}: {error.strerror}: free some space, allow writing, or set stack.state_dir"
        ) from error
    try:
        supervisor.start(layout, flink.environment(layout))
        _wait_until(lambda: None if _kafka_answers(config) else "kafka", config)
        topics.create(config)
        _wait_until(lambda: _missing(config), config)
        supervisor.Supervisor(layout).remember_processes()
    except BaseException:
        down(config)
        raise
    return True


def ports(config: Config) -> dict[str, int]:
    """The stack's ports by the names of their settings."""
    stack = config.stack
    return {
        "stack.kafka_port": stack.kafka_port,
        "stack.controller_port": stack.controller_port,
        "stack.zookeeper_port": stack.zookeeper_port,
        "stack.rest_port": stack.rest_port,
        "stack.rpc_port": stack.rpc_port,
        "stack.blob_port": stack.blob_port,
    }


def _require_listener(config: Config) -> None:
    """Check that the broker has a listener for the clients' security protocol."""
    protocol = config.kafka.security_protocol
    listeners = config.stack.kafka_properties.get("listeners")
    if protocol != "PLAINTEXT" and f"{protocol}://" not in (listeners.get_secret_value() if listeners else ""):
        raise ConfigError(
            f"kafka.security_protocol is {protocol}, but the stack's broker has no listener for it: add one to "
            "stack.kafka_properties, or set kafka.security_protocol to PLAINTEXT"
        )


def _require_same_ports(config: Config, layout: Layout) -> None:
    """Check that a running stack uses the ports in the settings."""
    if not layout.ports.exists():
        return
    used: dict[str, int] = msgspec.json.decode(layout.ports.read_bytes())
    differing = {name: port for name, port in ports(config).items() if used.get(name, port) != port}
    if differing:
        listed = ", ".join(f"{name} {used[name]} instead of {port}" for name, port in differing.items())
        raise ConfigError(
            f"the stack in {layout.root} runs with {listed}: use those ports, or stop it first with `rtea stack down`"
        )


def _require_disk_space(config: Config, layout: Layout) -> None:
    existing = next(path for path in (layout.root, *layout.root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < config.stack.min_free_bytes:
        needed = config.stack.min_free_bytes
        raise DiskSpaceError(
            f"{layout.root} has {free / 2**20:.0f} MiB free, the stack needs {needed / 2**20:.0f}: "
            "free some space or set stack.state_dir"
        )


def _wait_until(missing: Callable[[], str | None], config: Config) -> None:
    """Wait until every role is ready; `missing` returns the first one that is not."""
    layout = Layout.of(config.stack.state_dir)

    def check() -> str | None:
        states = supervisor.Supervisor(layout).states() or {}
        for role in ROLES:
            if states.get(role, {}).get("statename") == "FATAL":
                raise _failed_start(layout, role)
        return missing()

    waiting = Waiting(
        retry=retry_if_result(lambda role: role is not None),
        stop=stop_after_delay(START_SECONDS),
        wait=wait_fixed(POLL_SECONDS),
    )
    try:
        waiting(check)
    except RetryError as error:
        states = supervisor.Supervisor(layout).states() or {}
        down = [role for role in ROLES if states.get(role, {}).get("statename") != "RUNNING"]
        raise _failed_start(layout, [*down, error.last_attempt.result()][0]) from None


def _failed_start(layout: Layout, role: str) -> StackError | DiskSpaceError:
    log = layout.logs / f"{role}.log"
    last = supervisor.tail(log, 20)
    if "No space left on device" in last:
        return DiskSpaceError(f"{role} did not start: no room on the disk of {layout.root}: free some space")
    return StackError(f"{role} did not start: see {log}, which ends with: {last.rpartition(chr(10))[2] or '(nothing)'}")


def _kafka_answers(config: Config) -> bool:
    try:
        topics.list_partitions(config.kafka.model_copy(update={"timeout_ms": 1_000}))
    except BrokerError:
        return False
    return True


def _missing(config: Config) -> str | None:
    """The first role that is not ready; None if all are."""
    if not _kafka_answers(config):
        return "kafka"
    try:
        overview = rest.get(config, "/overview", timeout_s=2)
    except (StackError, JobError):
        return "jobmanager"
    return None if overview.get("slots-total", 0) >= config.stack.slots else "taskmanager"


def broker_address(config: Config) -> str:
    """The address of the stack's broker."""
    return f"{kafka.LOOPBACK}:{config.stack.kafka_port}"


def down(config: Config) -> bool:
    """Stop every process of the stack; return False if none ran. Keep the files."""
    layout = Layout.of(config.stack.state_dir)
    connection = supervisor.Supervisor(layout)
    if connection.states() is None:
        return supervisor.stop_leftovers(layout) > 0
    connection.remember_processes()
    connection.stop()
    return True


def status(config: Config) -> list[ProcessState]:
    """The stack's processes; empty if it is down."""
    states = supervisor.Supervisor(Layout.of(config.stack.state_dir)).states() or {}
    return [
        ProcessState(name, state["statename"], state["pid"] or None, _cpu_seconds(state["pid"]))
        for name, state in states.items()
    ]


def _cpu_seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times() if pid else None
    except psutil.NoSuchProcess:
        times = None
    return times.user + times.system if times else 0.0


@contextmanager
def running(config: Config) -> Iterator[None]:
    """Run a stack for a block. At the end, stop it, unless it ran before."""
    started = up(config)
    try:
        yield
    finally:
        if started:
            down(config)
