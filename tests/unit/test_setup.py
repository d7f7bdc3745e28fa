"""Promises: set-up installs the versions in the lock files, even if newer ones were published, and names what is
missing."""

import http.server
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rtea.cli.root import COMMANDS
from tests.bigquery import emulator

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LOCK = msgspec.toml.decode((ROOT / "uv.lock").read_bytes())["package"]
LOCKS = [ROOT / "uv.lock", *(ROOT / "tests").glob("*/uv.lock"), *(ROOT / "tests").glob("*/*/uv.lock")]
MAKE = ["make", "--no-print-directory", "VENV=.venv", f"PYTHON={sys.executable}", f"UV={BIN / 'uv'}"]
OUTER = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "VENV"}
"""The environment without what the make that runs these tests adds."""

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def recipes() -> dict[str, list[str]]:
    """The Makefile's commands by target, continued lines joined and variables as make prints them."""
    text = subprocess.run(
        [*MAKE, "--print-data-base", "--question", "help"], cwd=ROOT, env=OUTER, capture_output=True, text=True
    )
    found: dict[str, list[str]] = {}
    target = ""
    for line in text.stdout.replace("\\\n", " ").splitlines():
        if line.startswith("\t"):
            found.setdefault(target, []).append(line.strip())
        elif heading := re.match(r"([^\s#:=][^:=]*):(?!=)", line):
            target = heading[1]
    return found


def test_only_the_target_lock_resolves_versions() -> None:
    commands = {target: re.sub(r'echo "[^"]*"', "", " ; ".join(lines)) for target, lines in recipes().items()}
    assert "lock" in commands
    assert "$(INSTALL)" in commands["test-oldest-duckdb"]
    installer = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("INSTALL"))
    assert "sync --quiet --locked" in installer
    for target, text in commands.items():
        if target == "lock":
            continue
        assert "uv lock" not in text
        assert "$(UV) lock" not in text
        verbs = set(re.findall(r"(?:\$\(UV\)|\buv) ([a-z]+(?: [a-z]+)?)", text))
        assert verbs <= {"pip install", "export", "sync"}, (target, verbs)
        for sync in re.findall(r"(?:\$\(UV\)|\buv) sync[^;&|]*", text):
            assert "--locked" in sync, (target, sync)
        for pip in re.findall(r"pip install[^;&|]*", text):
            unresolved = ("--no-deps", "--require-hashes") if "-r " in pip else ("--no-deps", "--no-build-isolation")
            assert all(option in pip for option in unresolved), (target, pip)
        for cargo in re.findall(r"\bcargo [^;&|]*?(?:build|test|clippy|install)\b[^;&|]*", text):
            assert "--locked" in cargo, (target, cargo)
            assert "cargo install" not in cargo or "--version" in cargo, (target, cargo)


def test_everything_that_is_installed_is_locked_by_version_and_hash() -> None:
    locked = {canonical(package["name"]): package for package in LOCK}
    installed = {canonical(each.metadata["Name"]): each.version for each in metadata.distributions()}
    ours = {"rtea"}
    assert len(installed) > 50
    differing = {
        name: version
        for name, version in installed.items()
        if name not in ours and version not in {p["version"] for p in LOCK if canonical(p["name"]) == name}
    }
    assert differing == {}
    unhashed = [
        name
        for name in installed.keys() - ours
        if not all(file["hash"].startswith("sha256:") for file in files(locked[name]))
    ]
    assert unhashed == []


def files(package: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a locked package."""
    found = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    assert found
    return found


def test_uv_itself_is_pinned_to_the_locked_version_by_hash() -> None:
    (locked,) = (package for package in LOCK if package["name"] == "uv")
    bootstrap = (ROOT / "uv-bootstrap.txt").read_text()
    assert bootstrap.startswith(f"uv=={locked['version']} ")
    hashes = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", bootstrap))
    assert hashes
    assert hashes <= {file["hash"] for file in files(locked)}


class Index(http.server.BaseHTTPRequestHandler):
    """An index on which every package has a newer release; it notes who asked."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.strip("/").rpartition("/")[2].replace("-", "_")
        page = f'<a href="/{name}-9999.0-py3-none-any.whl">{name}-9999.0-py3-none-any.whl</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output quiet."""


@contextmanager
def newer_index() -> Iterator[tuple[str, list[str]]]:
    """The address of an index with newer releases, and what it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (Index,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def moved_tree(tree: Path, index: str) -> None:
    """The files that set-up reads, as if they had been locked from another index."""
    for name in ("Makefile", "Cargo.toml", "pyproject.toml", "uv-bootstrap.txt"):
        shutil.copy(ROOT / name, tree)
    lock = (ROOT / "uv.lock").read_text().replace("https://pypi.org/", f"{index}/")
    (tree / "uv.lock").write_text(lock.replace("https://files.pythonhosted.org/", f"{index}/"))


def test_set_up_takes_the_locked_versions_from_an_index_that_has_newer_ones(tmp_path: Path) -> None:
    with newer_index() as (index, asked):
        moved_tree(tmp_path, index)
        environment = OUTER | {"UV_DEFAULT_INDEX": f"{index}/simple", "UV_PROJECT_ENVIRONMENT": ".venv"}
        planned = subprocess.run(
            [*MAKE, "-n", ".venv/packages"], cwd=tmp_path, env=OUTER, capture_output=True, text=True
        )
        steps = [line for line in planned.stdout.splitlines() if " sync " in line]
        assert len(steps) == 2, planned.stdout + planned.stderr
        installed = ""
        for step in steps:
            command = [word for word in shlex.split(step.lstrip("@")) if word != "--quiet"]
            ran = subprocess.run(
                [*command, "--dry-run"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
            )
            assert ran.returncode == 0, ran.stderr
            installed += ran.stderr
        assert asked == []
        # The index does work: what is not locked would be resolved to the newer release.
        resolve = [BIN / "uv", "pip", "compile", "-", "--no-deps", "--quiet", "--default-index", f"{index}/simple"]
        ran = subprocess.run(resolve, input="google-auth", cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert any("google-auth" in path for path in asked), ran.stderr
    versions = {package["name"]: package["version"] for package in LOCK}
    for name in ("google-auth", "confluent-kafka", "duckdb", "setuptools"):
        assert f" + {name}=={versions[name]}\n" in installed
    assert "9999" not in installed


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_every_lock_fits_the_requirements_beside_it(lock: Path) -> None:
    assert len(LOCKS) == 3
    python = emulator.find_python() if "emulator" in lock.parent.name else sys.executable
    if python is None:
        pytest.skip("no Python 3.13 for the BigQuery emulator")
    check = [BIN / "uv", "lock", "--check", "--offline", "--python", python, "--project", lock.parent]
    ran = subprocess.run(check, capture_output=True, text=True, env=os.environ | {"UV_PYTHON_DOWNLOADS": "never"})
    assert ran.returncode == 0, ran.stderr


def fake_rustc(folder: Path, version: str) -> None:
    """A toolchain that names a version."""
    for name in ("rustc", "cargo"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho {name} {version} '(0123456 2024-01-01)'\n")
        program.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.74.1", "error: rustc is 1.74.1, RTEA needs 1.90 or newer: run `rustup update stable`"),
        ("1.9.0", "error: rustc is 1.9.0, RTEA needs 1.90 or newer: run `rustup update stable`"),
        (None, "error: no Rust toolchain found: install Rust 1.90 or newer, for example with rustup"),
        ("1.90.0", ""),
        ("1.101.0-nightly", ""),
    ],
)
def test_an_old_or_missing_rust_toolchain_is_named(tmp_path: Path, version: str | None, message: str) -> None:
    if version:
        fake_rustc(tmp_path, version)
    # Nothing else of the system's may name a toolchain.
    for tool in ("sh", "bash", "make", "cut", "printf", "sort", "sed", "find", "test", "env"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool, path=SYSTEM_PATH)))
    ran = subprocess.run(
        [*MAKE, "toolchain"], cwd=ROOT, env=OUTER | {"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert ran.stderr.partition("\n")[0] == message
    assert (ran.returncode == 0) == (message == "")


def test_no_fitting_python_is_named() -> None:
    ran = subprocess.run([*MAKE[:3], "toolchain", "PYTHON="], cwd=ROOT, env=OUTER, capture_output=True, text=True)
    assert ran.stderr.startswith("error: no Python 3.10 to 3.12 found")


@pytest.fixture(scope="module")
def base_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an installation without extras: of this one's packages, those that the lock names for it."""
    venv = tmp_path_factory.mktemp("base") / ".venv"
    subprocess.run(
        [BIN / "uv", "venv", "--quiet", "--offline", "--python", sys.executable, venv], check=True, env=OUTER
    )
    export = [BIN / "uv", "export", "--quiet", "--locked", "--offline", "--no-dev", "--no-hashes", "--no-emit-project"]
    exported = subprocess.run(export, cwd=ROOT, env=OUTER, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^([\w.-]+)==", exported, re.MULTILINE))
    assert {"click", "duckdb", "pytz"} <= names
    assert not names & {"apache-flink", "supervisor"}
    (packages,) = venv.glob("lib/python*/site-packages")
    for distribution in (*filter(None, map(found, names)), metadata.distribution("rtea")):
        tops = {file.parts[0] for file in distribution.files or () if ".." not in file.parts}
        for top in tops - {"__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(str(distribution.locate_file(top)))
    return venv / "bin" / "python"


def found(name: str) -> metadata.Distribution | None:
    """An installed distribution; None when its marker leaves it out here."""
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def without_extras(python: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in the base installation."""
    environment = {"PATH": SYSTEM_PATH, "HOME": os.environ.get("HOME", "/")}
    return subprocess.run([python, "-m", *arguments], env=environment, capture_output=True, text=True, timeout=60)


FLINK_COMMANDS = {"stack status": "supervisor", "demo": "supervisor"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_prints_its_help_without_extras(base_python: Path, name: str) -> None:
    ran = without_extras(base_python, "rtea", name, "--help")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"Usage: python -m rtea {name}")


@pytest.mark.parametrize("command", sorted(FLINK_COMMANDS))
def test_commands_that_need_flink_name_the_extra(base_python: Path, command: str) -> None:
    ran = without_extras(base_python, "rtea", *command.split())
    expected = f'error: {FLINK_COMMANDS[command]} is not installed: run `pip install "rtea[flink]"`\n'
    assert (ran.returncode, ran.stderr) == (8, expected)


def test_the_dashboard_names_its_extra(base_python: Path) -> None:
    ran = without_extras(base_python, "rtea", "dashboard", "--port", "0")
    assert (ran.returncode, ran.stderr) == (8, 'error: uvicorn is not installed: run `pip install "rtea[dashboard]"`\n')


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["rtea", "schema"], 0),
        (["rtea", "config", "docs"], 0),
        (["rtea", "bigquery", "sql", "daily_uniques"], 0),
        (["rtea", "bigquery", "ddl", "--table", "d.t"], 0),
        (["rtea", "query"], 10),
        (["rtea", "sink", "duckdb", "--bootstrap-servers", "127.0.0.1:1"], 3),
        (["rtea", "job", "status"], 8),
        (["rtea", "dlq", "show"], 3),
        (["rtea", "topics", "create"], 3),
        (["rtea_gen", "--sink", "stdout", "--events", "100"], 0),
    ],
)
def test_commands_that_need_no_flink_run_without_extras(
    base_python: Path, tmp_path: Path, arguments: list[str], code: int
) -> None:
    settings = ["--set", "kafka.timeout_ms=500", "--set", "kafka.bootstrap_servers=127.0.0.1:1"]
    flags = [arguments[0], *settings, *arguments[1:]]
    ran = without_extras(base_python, *flags)
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
