"""Describes the machine; every benchmark prints this with its figures."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import psutil


def describe() -> str:
    """One line with date, commit, processor, cores, memory and Python version."""
    memory_gib = psutil.virtual_memory().total / 2**30
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    hardware = f"{processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB"
    return f"{date}, commit {_commit()}, {hardware}, Python {platform.python_version()}"


def processor() -> str:
    """The name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    here = Path(__file__).parent
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"
