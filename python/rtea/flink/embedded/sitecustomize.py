"""Runs first in each Python interpreter of the TaskManager: spares the embedded one Apache Beam.

PyFlink imports Beam, pandas and a MongoDB client with it, only to see whether Beam's compiled coders are there. UDFs in
thread mode have no use for them, and the import takes most of a job's start. Python's own `site` finds this module on
the path that `rtea.stack.flink` sets. UDF workers of process mode are Python processes, and import Beam as ever.
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
