"""Builds an earlier revision of this repository below build/, for the benchmark gate and the upgrade drill."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


TARGET = ROOT / "build" / "target"
"""Where Cargo puts what it compiles of other revisions."""


def git(*arguments: str) -> str:
    """The output of git; empty if it fails."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def environment(tree: Path) -> dict[str, str]:
    """An environment in which Python imports the packages of this tree."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(str(tree / part) for part in ("python", "generator"))}


@contextmanager
def built(revision: str, purpose: str) -> Iterator[Path]:
    """Check out a revision and build its extension, for a block; yield its directory.

    Raises:
        subprocess.CalledProcessError: the revision is not in this clone, or does not build.
    """
    tree, target = ROOT / "build" / purpose / "tree", TARGET
    shutil.rmtree(tree, ignore_errors=True)
    git("worktree", "prune")
    add = ["git", "worktree", "add", "--quiet", "--force", "--detach", str(tree), revision]
    subprocess.run(add, cwd=ROOT, check=True)
    try:
        command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "rtea-py", "--features"]
        named = os.environ | {"CARGO_TARGET_DIR": str(target)}
        subprocess.run([*command, "extension-module"], cwd=tree, env=named, check=True)
        shutil.copy(target / "release" / "lib_core.so", tree / "python" / "rtea" / "_core.abi3.so")
        yield tree
    finally:
        git("worktree", "remove", "--force", str(tree))
