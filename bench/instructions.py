"""Counts the instructions of the hot path with Valgrind's Callgrind: the same number in every run of a tree.

The measurements are in `rust_core/rtea-generator/benches/instructions.rs`. The crate gungraun does the same with more
comfort, but it and its runner take six CPU minutes to compile, in every run of CI.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

MOST_RATIO = 1.03

MOST_OF_A_MAPPED_EVENT = 3.0
"""A Segment event of 650 bytes takes at most so many times the instructions of one of our own, of 350 bytes: that is
2.5 times its time (docs/performance.md)."""

BENCH = Path("rust_core/rtea-generator/benches/instructions.rs")

Counts = dict[str, int]
"""Instructions by measurement."""


def can_count() -> bool:
    """Whether this machine has Valgrind."""
    return shutil.which("valgrind") is not None


def count(tree: Path, target: Path, wanted: Collection[str] = ()) -> Counts:
    """Compile the measurements of a tree and count each, or the wanted ones; empty if the tree has none."""
    if not (tree / BENCH).exists():
        return {}
    program = _compiled(tree, target)
    names = subprocess.check_output([program], text=True).split()
    return {name: _run(program, name) for name in names if not wanted or name in wanted}


def _compiled(tree: Path, target: Path) -> str:
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "rtea-generator", "--bench", "instructions", "--no-run"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(target)}
    messages = subprocess.check_output([*command, "--message-format=json"], cwd=tree, env=environment, text=True)
    programs = [json.loads(line).get("executable") for line in messages.splitlines()]
    return str(next(program for program in reversed(programs) if program))


def _run(program: str, name: str) -> int:
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]
    ran = subprocess.run(
        [*callgrind, "--toggle-collect=*measured*", program, name], capture_output=True, text=True, check=True
    )
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if found is None or int(found[1]) == 0:
        raise RuntimeError(f"Callgrind counted nothing in {name}: {ran.stderr[-500:]}")
    return int(found[1])


def ratios(base: Mapping[str, int], head: Mapping[str, int]) -> dict[str, float]:
    """For each shared measurement, the instructions of `head` divided by those of `base`.

    >>> ratios({"fold": 100, "gone": 1}, {"fold": 103, "new": 1})
    {'fold': 1.03}
    """
    return {name: head[name] / base[name] for name in sorted(base.keys() & head.keys())}


def more(measured: Mapping[str, float]) -> set[str]:
    """The measurements beyond the limit."""
    return {name for name, ratio in measured.items() if ratio > MOST_RATIO}


def mapped_ratio(counts: Mapping[str, int]) -> float:
    """What a mapped event takes, in events of our own."""
    return counts["fold_segment"] / counts["fold_json"]
