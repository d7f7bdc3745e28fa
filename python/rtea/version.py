"""Which RTEA this is, and which versions of Flink and Kafka belong to it."""

import re
import subprocess
from importlib import metadata
from pathlib import Path

from rtea.stack import jars


def describe() -> str:
    """One line: version, commit of a checkout, Flink, Kafka, the connector.

    >>> describe().startswith("rtea ")
    True
    """
    parts = [f"rtea {metadata.version('rtea')}"]
    if commit := _commit():
        parts.append(f"commit {commit}")
    parts.append(f"Flink {_version('apache-flink')}")
    pinned = dict(map(_named, jars.read_manifest()))
    parts.append(f"Kafka {pinned['kafka-clients']}")
    parts.append(f"flink-sql-connector-kafka {pinned['flink-sql-connector-kafka']}")
    return ", ".join(parts)


def _named(jar: jars.Jar) -> tuple[str, str]:
    _, name, version, *_ = jar.coordinates.split(":")
    return name, version


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the checkout that this package is in; empty for an installed wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found if re.fullmatch(r"[0-9a-f]{12,}", found) else ""
