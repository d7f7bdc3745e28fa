"""Supervises processes with supervisord: starts them, restarts them after a crash, and stops all of them."""

import configparser
import http.client
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
from supervisor.xmlrpc import SupervisorTransport

from rtea.errors import PortInUseError, StackError
from rtea.stack.layout import Layout

STOP_SECONDS = 30


def write(layout: Layout, programs: Mapping[str, list[str]]) -> None:
    """Write the supervisor's settings: the programs in order, each with a script that starts it.

    All paths in the settings are relative to the state directory, where the supervisor runs. The user's own path must
    not be in them: ` #` and ` ;` begin a comment there, and cannot be escaped.
    """
    layout.scripts.mkdir(exist_ok=True)
    conf = configparser.RawConfigParser()
    # The path of a socket may have at most 107 bytes.
    conf["unix_http_server"] = {"file": f"/proc/self/cwd/{layout.supervisor_socket.name}", "chmod": "0700"}
    conf["supervisord"] = {
        "logfile": f"{layout.logs.name}/supervisord.log",
        "logfile_maxbytes": "10MB",
        "pidfile": "supervisord.pid",
        "umask": "077",
        "minfds": str(_at_most(1024, resource.RLIMIT_NOFILE)),
        "minprocs": str(_at_most(200, resource.RLIMIT_NPROC)),
    }
    conf["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for priority, (name, command) in enumerate(programs.items()):
        (layout.scripts / f"{name}.sh").write_text(f"exec {shlex.join(command)}\n", "utf-8")
        conf[f"program:{name}"] = {
            "command": f"/bin/sh {layout.scripts.name}/{name}.sh",
            "priority": str(priority),
            "autorestart": "true",
            # A process that ends sooner than this counts as a failed start; after three retries it is FATAL.
            "startsecs": "3",
            "startretries": "3",
            "stopwaitsecs": str(STOP_SECONDS),
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": f"{layout.logs.name}/{name}.log",
            "stdout_logfile_maxbytes": "50MB",
            "stdout_logfile_backups": "1",
        }
    with open(layout.supervisor_conf, "w") as file:
        conf.write(file)


def _at_most(wanted: int, limit: int) -> int:
    """The wanted amount of a resource, but at most this user's limit."""
    _, hard = resource.getrlimit(limit)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def start(layout: Layout, programs_environment: Mapping[str, str]) -> None:
    """Start the supervisor as a daemon in a session of its own; the programs inherit its environment.

    Raises:
        StackError: supervisord did not start.
    """
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", layout.supervisor_conf.name]
    environment = {**os.environ, **programs_environment, "PYTHONWARNINGS": "ignore"}
    started = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=layout.root)
    if started.returncode:
        raise StackError(f"supervisord did not start: {(started.stderr or started.stdout).strip()}")


@contextmanager
def _reachable(layout: Layout) -> Iterator[str | None]:
    """A short path to the control socket, valid during the block; None if there is no socket."""
    if not layout.supervisor_socket.exists():
        yield _earlier_socket(layout)
        return
    folder = os.open(layout.root, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{layout.supervisor_socket.name}"
    finally:
        os.close(folder)


def _earlier_socket(layout: Layout) -> str | None:
    """The socket of a stack that an earlier release started: its settings name it."""
    conf = configparser.RawConfigParser()
    conf.read(layout.supervisor_conf)
    named = conf.get("unix_http_server", "file", fallback="")
    return named if Path(named).name.startswith(f"rtea-{os.getuid()}-") else None


class Supervisor:
    """Controls a running supervisor; each call uses a new connection."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _call(self, method: str, *arguments: object) -> Any:
        """Call a method of supervisord's XML-RPC interface; None if it does not answer."""
        with _reachable(self._layout) as address:
            return self._ask(address, method, *arguments) if address else None

    def _ask(self, address: str, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{address}")
        try:
            server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(server.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.Fault):
            return None
        finally:
            transport.close()

    def states(self) -> dict[str, dict[str, Any]] | None:
        """The state of each program (`statename`, `pid`, ...); None if the supervisor does not run."""
        programs = self._call("getAllProcessInfo")
        return None if programs is None else {program["name"]: program for program in programs}

    def start_again(self) -> list[str]:
        """Start the programs that the supervisor gave up after failed starts; return their names."""
        given_up = [name for name, program in (self.states() or {}).items() if program["statename"] == "FATAL"]
        for name in given_up:
            self._call("startProcess", name, False)
        return given_up

    def remember_processes(self) -> None:
        """Save the ids and start times of the supervisor and its programs, for `stop_leftovers`."""
        pids = [self._call("getPID"), *(program["pid"] for program in (self.states() or {}).values())]
        known = {pid: psutil.Process(pid).create_time() for pid in pids if pid and psutil.pid_exists(pid)}
        self._layout.pids.write_bytes(msgspec.json.encode(known))

    def stop(self) -> None:
        """Stop every program, then the supervisor, and wait until they are gone."""
        processes = _known_processes(self._layout)
        self._call("shutdown")
        _, alive = psutil.wait_procs(processes, timeout=STOP_SECONDS + 10)
        _kill(alive)
        self._layout.pids.unlink(missing_ok=True)


def stop_leftovers(layout: Layout) -> int:
    """Stop the processes of a stack whose supervisor does not answer: SIGTERM, then SIGKILL. Return their number."""
    processes = _known_processes(layout)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=STOP_SECONDS)
    _kill(alive)
    layout.pids.unlink(missing_ok=True)
    return len(processes)


def require_no_leftovers(layout: Layout) -> None:
    """Check that no process of an earlier stack runs.

    Raises:
        StackError: some processes run, but their supervisor does not answer.
    """
    if running := _known_processes(layout):
        raise StackError(
            f"{len(running)} processes of a stack run in {layout.root}, but its supervisor does not answer: stop them "
            f"with `rtea --set stack.state_dir={layout.root} stack down`"
        )


def _known_processes(layout: Layout) -> list[psutil.Process]:
    found = []
    known = msgspec.json.decode(layout.pids.read_bytes(), type=dict[int, float]) if layout.pids.exists() else {}
    for pid, create_time in known.items():
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - create_time) < 1:
                found += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return list(dict.fromkeys(found))


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)


def require_free_ports(ports: Mapping[str, int], host: str) -> None:
    """Check that nothing listens on the ports.

    Raises:
        PortInUseError: a port is in use; the message names it, its setting and, if known, the process.
    """
    for setting, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise PortInUseError(
                    f"port {port} on {host} is in use{_owner_of(port)}: stop what listens there or set {setting}"
                ) from error


def _owner_of(port: int) -> str:
    try:
        pids = [
            c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.status == "LISTEN"
        ]
        return f" by process {pids[0]} ({psutil.Process(pids[0]).name()})" if pids and pids[0] else ""
    except (psutil.Error, OSError):
        return ""


def tail(path: Path, lines: int) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
