"""Promise: the whole pipeline runs for any user, in any directory, with any locale and limits."""

import os
import subprocess
from pathlib import Path

import pytest

from rtea import config as configuration
from rtea.stack import jars
from tests.conftest import ODD_NAME, stack_config

ROOT = Path(__file__).parents[2]

AS_A_STRANGER = """
mount --bind "$1" "$2/rtea" && cd "$2/work" && umask 077 && ulimit -n 256 || exit
shift 2
exec unshare --user --map-user=12345 -- "$@"
"""
"""Runs a command in a copy of the checkout at another path, as a user with no right to anything and no passwd entry."""


@pytest.mark.parametrize("home", ["none", "/", "read-only"])
def test_any_user_can_run_the_demo(tmp_path: Path, home: str) -> None:
    odd = tmp_path / ODD_NAME
    for name in ("rtea", "work", "home"):
        (odd / name).mkdir(parents=True)
    (odd / "home").chmod(0o500)
    homes = {"none": {}, "/": {"HOME": "/"}, "read-only": {"HOME": str(odd / "home")}}
    config = stack_config(Path("state"), job__window_ms=5_000)
    cache = jars.cache_dir(config.jars)  # Tests load nothing from the network; where it lies is a test of the settings.
    environment = configuration.as_environment(config) | {
        "PATH": os.environ["PATH"],
        "RTEA_JARS__CACHE_DIR": str(cache),
        "LANG": "C",
        "TZ": "America/New_York",
        "JAVA_TOOL_OPTIONS": "-Duser.language=tr -Duser.country=TR",
        "PYTHONPATH": str(odd / "rtea" / "python"),
        **homes[home],
    }
    stranger = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", AS_A_STRANGER, "_"]
    demo = [str(odd / "rtea" / ".venv" / "bin" / "python"), "-m", "rtea", "demo", "--procs", "1"]
    stranger += [str(ROOT), str(odd)]
    probe = subprocess.run([*stranger, "true"], env=environment, capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"another user's view needs namespaces: {probe.stderr.strip()}")
    ran = subprocess.run(
        [*stranger, *demo, "--rate", "1000", "--minutes", "0.4"], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "windows match" in ran.stdout
    # Nothing lies where nobody looks for it.
    assert {path.name for path in (odd / "work").iterdir()} == {"state"}
    assert list((odd / "home").iterdir()) == []
