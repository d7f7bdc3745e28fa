"""The benchmark gate: fails if the working tree is slower than the merge base.

It builds both trees. It counts the instructions of the Rust core (`bench.instructions`), with a limit of 3 %. It
measures the Python boundary by the clock, in turns, because the speed of a machine changes over time: such a benchmark
fails if its median is more than 10 % worse, and is so again in a second try with more rounds.

    python -m bench.gate [--base REVISION]
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import click

from bench import checkout, instructions, machine
from bench.checkout import ROOT, git

SUITE = ROOT / "bench" / "test_core.py"
MOST_RATIO = 1.10
ROUNDS = (5, 15)
"""Rounds of the first try, and of the second try for benchmarks that failed. In five rounds, two equal trees differed
by up to 17 %, mostly by less than 8 %, because each process has another memory layout."""

Medians = dict[str, float]
"""Seconds by benchmark."""


def measure(tree: Path, names: Collection[str] = ()) -> Medians:
    """Run this suite, or the named benchmarks, with the package of a tree. Benchmarks that fail there are left out."""
    wanted = [f"{SUITE}::{name}" for name in names] or [str(SUITE)]
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted, "--benchmark-only"]
        command += ["--benchmark-warmup=on", "--benchmark-max-time=0.5", f"--benchmark-json={report}"]
        environment = checkout.environment(tree)
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if not report.exists() or (tree == ROOT and ran.returncode):
            raise click.ClickException(f"the suite did not run on {tree}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        measured = json.loads(report.read_text())["benchmarks"]
    return {entry["name"]: entry["stats"]["median"] for entry in measured}


def ratios(base: Path, head: Path, names: Collection[str], rounds: int) -> dict[str, float]:
    """For each benchmark, the median of `head` divided by the median of `base`, each from the tree's best round.

    Other work on the machine only adds time, to some rounds more than to others. A slower tree is also slower in its
    best round.
    """
    best: dict[Path, Medians] = {base: {}, head: {}}
    for number in range(rounds):
        for tree in (base, head) if number % 2 == 0 else (head, base):
            for name, median in measure(tree, names).items():
                best[tree][name] = min(median, best[tree].get(name, median))
    shared = sorted(best[base].keys() & best[head].keys())
    return {name: best[head][name] / best[base][name] for name in shared}


def slower(measured: Mapping[str, float]) -> set[str]:
    """The benchmarks beyond the limit."""
    return {name for name, ratio in measured.items() if ratio > MOST_RATIO}


def judge(base: Path, head: Path, names: Collection[str] = (), rounds: Sequence[int] = ROUNDS) -> set[str]:
    """Those of the named benchmarks, or of all, that were slower in every try."""
    failing = set(names)
    for attempt, count in enumerate(rounds, 1):
        measured = ratios(base, head, failing, count)
        if not measured:
            raise click.ClickException("the trees share no benchmark: nothing was compared")
        for name, ratio in measured.items():
            print(f"try {attempt}: {name}: {ratio:.3f} of the base's time", flush=True)
        failing = slower(measured)
        if not failing:
            break
    return failing


def judge_instructions(base: Path, head: Path) -> set[str]:
    """The measurements that take more instructions than in the base."""
    if not instructions.can_count():
        if os.environ.get("CI"):
            raise click.ClickException("valgrind is missing: install it (Debian: apt install valgrind)")
        print("instructions are not counted: valgrind is missing")
        return set()
    targets = checkout.TARGET, ROOT / "target"
    counts = [instructions.count(tree, target) for tree, target in zip((base, head), targets, strict=True)]
    measured = instructions.ratios(*counts)
    mapped = instructions.mapped_ratio(counts[1])
    print(f"fold_segment: {mapped:.2f} times the instructions of fold_json", flush=True)
    for name, ratio in measured.items():
        print(f"{name}: {ratio:.4f} of the base's instructions", flush=True)
    return instructions.more(measured) | ({"fold_segment"} if mapped > instructions.MOST_OF_A_MAPPED_EVENT else set())


def merge_base() -> str:
    """The commit to compare with: the merge base with origin's main, or, on main, the parent."""
    candidates = [["merge-base", "HEAD", "origin/main"], ["rev-parse", "HEAD~1"], ["rev-parse", "HEAD"]]
    head = git("rev-parse", "HEAD")
    found = [revision for command in candidates if (revision := git(*command))]
    changed = bool(git("status", "--porcelain", "--untracked-files=no"))
    return next((revision for revision in found if revision != head or changed), head)


@click.command
@click.option("--base", "revision", default=None, help="Revision to compare with [default: the merge base].")
def main(revision: str | None) -> None:
    """Compare the working tree with a base; exit code 1 if a benchmark became slower."""
    chosen = revision or merge_base()
    print(f"{machine.describe()}; base {chosen[:12]}")
    if not git("ls-tree", chosen, "rust_core/rtea-py/Cargo.toml"):
        print("the base has no extension yet: nothing to compare")
        return
    with checkout.built(chosen, "gate") as tree:
        costlier = judge_instructions(tree, ROOT)
        failing = judge(tree, ROOT)
    if costlier:
        print(f"more than {instructions.MOST_RATIO - 1:.0%} more instructions: {', '.join(sorted(costlier))}")
    if failing:
        print(f"slower by more than {MOST_RATIO - 1:.0%} in {len(ROUNDS)} tries: {', '.join(sorted(failing))}")
    if costlier or failing:
        sys.exit(1)
    print("no benchmark became slower")


if __name__ == "__main__":
    main()
