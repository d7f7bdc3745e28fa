"""RTEA's jars in the wheel: the Java operators, and the reporter of metrics. Needs no PyFlink, so that a submission can
check them early.
"""

from pathlib import Path

from rtea.errors import JarError

PATH = Path(__file__).with_name("rtea-flink.jar")
REPORTER = Path(__file__).with_name("rtea-reporter.jar")
"""A plugin of Flink: its own reporter for Prometheus, on the loopback, with RTEA's own names."""


def locate(path: Path = PATH) -> Path:
    """The path of one of the jars; of that of the operators by default.

    Raises:
        JarError: the jar is missing in this installation.
    """
    if not path.is_file():
        raise JarError(f"jar {path.name} is missing in {path.parent}: run `make setup`, or reinstall the wheel")
    return path
