"""RTEA: a clickstream pipeline of Kafka, PyFlink and Rust whose window results are proven.

Importing this package needs neither Java nor PyFlink. The path of an event through its rooms is
described in ARCHITECTURE.md; `rtea.events` and `rtea.aggregate` are the faces of the Rust core.
"""

from importlib import metadata

__version__: str


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: set-up fetches jars while the extension still compiles."""
    if name == "__version__":
        return metadata.version("rtea")
    raise AttributeError(f"module 'rtea' has no attribute {name!r}")
