"""Runs first in each Python interpreter of the TaskManager, and hides Apache Beam from embedded interpreters.

PyFlink imports Beam, and with it pandas and a MongoDB client, only to see whether Beam's compiled coders are there.
UDFs in thread mode do not need them, and the import takes most of a job's start. Python's `site` finds this module on
the path that `rtea.stack.flink` sets. UDF workers in process mode are Python processes of their own, and import Beam.
"""

import sys
from pathlib import Path


def is_embedded(executable: str) -> bool:
    """Whether an interpreter runs within a Java process.

    >>> is_embedded("/usr/lib/jvm/bin/java"), is_embedded("/usr/bin/python3.12")
    (True, False)
    """
    return Path(executable).name.startswith("java")


if is_embedded(str(Path("/proc/self/exe").readlink())):
    sys.modules["apache_beam"] = None  # type: ignore[assignment]
