"""Our jar: where the wheel keeps it. Needs no pyflink, so that submission can check it early."""

from pathlib import Path

from rtea.errors import JarError

PATH = Path(__file__).with_name("rtea-flink.jar")


def locate() -> Path:
    """The jar of our Java operators.

    Raises:
        JarError: this installation lacks it.
    """
    if not PATH.is_file():
        raise JarError(f"jar {PATH.name} is missing in {PATH.parent}: run `make setup`, or reinstall the wheel")
    return PATH
