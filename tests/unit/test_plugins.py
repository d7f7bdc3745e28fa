"""Promises: a package adds a sink by an entry point: its command, its settings and the conformance suite know it; a
broken
package is named.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rtea import plugins
from rtea.cli.root import cli
from rtea.cli.root import run as run_command
from rtea.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "csv_sink"


@pytest.fixture
def with_example(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example is installed."""
    info = tmp_path / "rtea_csv_sink-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rtea-csv-sink\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rtea.sinks]\ncsv = rtea_csv_sink:KIND\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(EXAMPLE)])}


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_package_adds_a_sink(with_example: dict[str, str]) -> None:
    listed = run(with_example, "rtea", "sink", "--help")
    assert "csv" in listed.stdout, listed.stderr
    assert "--path" in run(with_example, "rtea", "sink", "csv", "--help").stdout
    shown = run(with_example | {"RTEA_CSV__PATH": "elsewhere"}, "rtea", "config", "show")
    assert "elsewhere" in shown.stdout, shown.stderr


@pytest.mark.timeout(300)
def test_the_example_keeps_the_contract_of_a_sink(with_example: dict[str, str]) -> None:
    suite = run(
        with_example, "pytest", "-q", "-p", "no:cacheprovider", "tests/conformance", "-k", "csv and not bigquery"
    )
    assert suite.returncode == 0, suite.stdout[-3000:]
    assert " passed" in suite.stdout


@pytest.mark.parametrize("code", [None, "1 / 0", "KIND = 7", "KIND ="])
def test_a_broken_package_is_one_line(tmp_path: Path, code: str | None) -> None:
    if code is not None:
        (tmp_path / "broken_sink.py").write_text(code)
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rtea.sinks]\nbroken = broken_sink:KIND\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    shown = run(environment, "rtea", "config", "show")
    assert shown.returncode == 0, "everything else still works"
    assert shown.stderr.startswith("warning: sink 'broken'")
    assert shown.stderr.count("\n") == 1
    used = run(environment, "rtea", "sink", "broken")
    assert used.returncode == ConfigError.exit_code
    assert used.stderr.splitlines()[-1].startswith("error: sink 'broken'")


def test_an_unknown_sink_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="expected one of bigquery, duckdb, parquet"):
        plugins.sink("nope")
    assert run_command(cli, ["sink", "nope"]) == 2
    assert "nope" in capsys.readouterr().err
