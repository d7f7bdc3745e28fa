"""RTEA: a clickstream pipeline of Kafka, PyFlink and Rust whose window results are proven.

Importing this package needs neither Java nor PyFlink. The path of an event through its rooms is
described in ARCHITECTURE.md; `rtea.events` and `rtea.aggregate` are the faces of the Rust core.
"""

import warnings
from importlib import metadata

from rtea import _core

__version__ = metadata.version("rtea")

if _core.DEBUG_BUILD:
    warnings.warn(
        "rtea._core is a debug build, about ten times slower: build it with `maturin develop --release`",
        RuntimeWarning,
        stacklevel=2,
    )
