"""Promise: the steps of README, typed exactly, print what README shows."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.stack.test_stack import processes_below

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DONE = "--- done"


def sessions() -> list[tuple[str, str]]:
    """README's commands in order, each with the output that README shows; `…` stands for anything within a line."""
    lines = [line for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    steps: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        else:
            command, output = steps[-1]
            steps[-1] = command, f"{output}{line}\n"
    return steps


def matches(shown: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, printed) is not None


def test_matching_is_strict_except_for_the_ellipsis() -> None:
    assert matches("job … is running\n", "job 12ab is running\n")
    assert not matches("job … is running\n", "job 12ab\nis running\n")
    assert not matches("2 of 2 windows\n", "1 of 2 windows\n")


@pytest.mark.timeout(400)
def test_every_command_of_readme_prints_what_it_shows(tmp_path: Path) -> None:
    """The steps use the default ports: no other stack may run on them."""
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    steps = sessions()
    assert len(steps) >= 9
    script = "".join(f"{command}\necho '{DONE}' $?\n" for command, _ in steps)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RTEA_")}
    try:
        ran = subprocess.run(
            ["bash"], input=script, cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    finally:
        stop = [str(ROOT / ".venv" / "bin" / "rtea"), "stack", "down"]
        subprocess.run(stop, cwd=tmp_path, env=environment, capture_output=True)
    printed = re.split(rf"^{DONE} (\d+)\n", ran.stdout, flags=re.MULTILINE)
    outputs, codes = printed[0:-1:2], printed[1::2]
    assert len(outputs) == len(steps), ran.stdout
    for (command, shown), output, code in zip(steps, outputs, codes, strict=True):
        assert code == "0", (command, output)
        assert matches(shown, output), f"{command}\nREADME shows:\n{shown}\nprinted:\n{output}"
    assert processes_below(tmp_path) == []
