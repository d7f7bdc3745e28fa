"""The jar of RTEA's Java operators in the wheel. Needs no PyFlink, so a submission can check it early."""

from pathlib import Path

from rtea.errors import JarError

PATH = Path(__file__).with_name("rtea-flink.jar")


def locate() -> Path:
    """The path of the jar of RTEA's Java operators.

    Raises:
        JarError: the jar is missing in this installation.
    """
    if not PATH.is_file():
        raise JarError(f"jar {PATH.name} is missing in {PATH.parent}: run `make setup`, or reinstall the wheel")
    return PATH
