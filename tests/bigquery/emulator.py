"""The BigQuery emulator `local-bigquery`, installed from packages and run on the loopback.

    python -m tests.bigquery.emulator     # install it into the user's cache; done once

Its environment needs a Python 3.13 of its own (see emulator_environment/pyproject.toml) and about 650 MB.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

ENVIRONMENT = Path(__file__).with_name("emulator_environment")
UV = Path(sys.executable).with_name("uv")
SERVER = Path(__file__).with_name("emulator_server.py")
PROJECT = "demo"
START_SECONDS = 60


def home() -> Path:
    """Where the environment of this lock file lives."""
    digest = hashlib.sha256((ENVIRONMENT / "uv.lock").read_bytes()).hexdigest()[:12]
    return platformdirs.user_cache_path("rtea") / f"bigquery-emulator-{digest}"


def is_installed() -> bool:
    """Whether `install` has finished."""
    return (home() / "installed").exists()


def find_python() -> str | None:
    """A Python 3.13 that really runs; a shim on the path may not. pyenv keeps its versions in one directory each."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [pyenv / "versions", Path(sys.base_prefix).parent]
    found = [str(path) for folder in folders for path in sorted(folder.glob("3.13*/bin/python3.13"), reverse=True)]
    candidates = [shutil.which("python3.13"), *found]
    probe = "import sys; sys.exit(sys.version_info[:2] != (3, 13))"
    return next((name for name in candidates if name and not _fails([name, "-c", probe])), None)


def _fails(command: list[str]) -> bool:
    return bool(subprocess.run(command, capture_output=True).returncode)


def install() -> None:
    """Build the environment; repeated calls do nothing. Without a Python 3.13, CI fails and others skip the tests."""
    if is_installed():
        return
    python = find_python()
    if python is None:
        missing = "no Python 3.13 found for the BigQuery emulator: install one (pyenv install 3.13)"
        if os.environ.get("CI"):
            sys.exit(f"error: {missing}")
        print(f"WARNING: {missing}; THE TESTS OF THE BIGQUERY SINK WILL BE SKIPPED", file=sys.stderr)
        return
    shutil.rmtree(home(), ignore_errors=True)
    sync = [str(UV), "sync", "--quiet", "--locked", "--no-build", "--project", str(ENVIRONMENT), "--python", python]
    subprocess.run(sync, check=True, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(home() / "venv")})
    extensions = home() / "home" / ".duckdb" / "extensions" / "v1.5.5" / "linux_amd64"
    extensions.mkdir(parents=True)
    packages = home() / "venv" / "lib" / "python3.13" / "site-packages"
    for extension in packages.glob("duckdb_extension_*/extensions/v1.5.5/*.duckdb_extension"):
        shutil.copy(extension, extensions)
    (home() / "installed").touch()


class Emulator:
    """One emulator process; its data and its job history survive `kill` and `start`."""

    def __init__(self, data: Path, port: int, grpc_port: int) -> None:
        self._data, self.port, self._grpc_port = data, port, grpc_port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._data.mkdir(parents=True, exist_ok=True)
        command = [str(home() / "venv" / "bin" / "python"), str(SERVER), "--host", "127.0.0.1"]
        command += [
            "--port",
            str(self.port),
            "--grpc-port",
            str(self._grpc_port),
            "--project",
            PROJECT,
            "--dataset",
            "unused",
        ]
        command += ["--data-dir", str(self._data), "serve"]
        environment = os.environ | {"HOME": str(home() / "home")}
        with open(self._data.with_suffix(".log"), "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        patient = Retrying(
            retry=retry_if_exception_type(requests.ConnectionError),
            stop=stop_after_delay(START_SECONDS),
            wait=wait_fixed(0.1),
            reraise=True,
        )
        patient(requests.get, f"{self.endpoint}/bigquery/v2/projects/{PROJECT}/datasets", timeout=10)

    def kill(self) -> None:
        """kill -9."""
        if self._process:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(root: Path) -> Iterator[Emulator]:
    """An emulator for a block, on free ports."""
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in (first, second)]
    emulator = Emulator(root / "data", *ports)
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.kill()


if __name__ == "__main__":
    install()
