"""RTEA: a clickstream pipeline of Kafka, PyFlink and Rust. `rtea verify` proves its window results.

Importing this package needs neither Java nor PyFlink. ARCHITECTURE.md follows one event through the pipeline.
`rtea.events` and `rtea.aggregate` are the Python interface of the Rust core. `rtea.read_metrics` reads the results.
"""

from importlib import import_module, metadata
from typing import Any

__version__: str


def __getattr__(name: str) -> Any:
    """Look up names only on request: set-up imports this package before it is installed, to fetch the jars."""
    if name == "__version__":
        return metadata.version("rtea")
    if name == "read_metrics":
        return import_module("rtea.reading").read_metrics
    raise AttributeError(f"module 'rtea' has no attribute {name!r}")
