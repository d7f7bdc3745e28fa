"""Promise: the benchmark gate fails on a slowed function and passes on an unchanged tree."""

import shutil
from pathlib import Path

import pytest

from bench import gate, instructions

ROOT = Path(__file__).parents[2]
SLOWED = """

_merge = merge_partials


def merge_partials(first: bytes, second: bytes) -> bytes:
    _merge(first, second)
    return _merge(first, second)
"""


def copy_of_the_tree(to: Path) -> Path:
    shutil.copytree(ROOT / "python", to / "python", symlinks=False, ignore=shutil.ignore_patterns("__pycache__"))
    (to / "generator").mkdir()
    return to


@pytest.mark.timeout(300)
def test_a_slowed_function_fails(tmp_path: Path) -> None:
    slow = copy_of_the_tree(tmp_path / "slow")
    with open(slow / "python" / "rtea" / "aggregate.py", "a") as module:
        module.write(SLOWED)
    assert gate.judge(copy_of_the_tree(tmp_path / "base"), slow, ["test_merge"], rounds=[2, 3]) == {"test_merge"}


@pytest.mark.timeout(300)
def test_an_unchanged_tree_passes(tmp_path: Path) -> None:
    trees = [copy_of_the_tree(tmp_path / name) for name in ("base", "head")]
    assert gate.judge(*trees, ["test_merge"], rounds=[3, 5]) == set()


def test_only_ratios_beyond_the_limit_fail() -> None:
    assert gate.slower({"a": 1.0, "b": 1.099, "c": 1.101, "d": 0.5}) == {"c"}


def test_three_percent_more_instructions_fail() -> None:
    assert instructions.more({"a": 1.0, "b": 1.029, "c": 1.031, "d": 0.5}) == {"c"}


@pytest.mark.timeout(300)
@pytest.mark.skipif(not instructions.can_count(), reason="Valgrind is missing")
def test_a_tree_takes_the_same_instructions_in_every_run() -> None:
    names = {"fold_json", "fold_all", "merge_small"}
    counts = [instructions.count(ROOT, ROOT / "target", names) for _ in range(2)]
    assert counts[0] == counts[1]
    assert counts[0].keys() == names
    assert min(counts[0].values()) > 100_000


@pytest.mark.timeout(300)
@pytest.mark.skipif(not instructions.can_count(), reason="Valgrind is missing")
def test_a_mapped_event_takes_at_most_three_times_the_instructions() -> None:
    counts = instructions.count(ROOT, ROOT / "target", {"fold_json", "fold_segment"})
    assert instructions.mapped_ratio(counts) <= instructions.MOST_OF_A_MAPPED_EVENT
