"""The sinks that are installed: ours, and those of other packages, which name theirs as entry points of `rtea.sinks`.

Commands, settings, docs and the conformance suite are made from this list. It imports a sink's module only when it is
needed, except for settings that `rtea.config` does not have.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

from rtea.errors import ConfigError
from rtea.sections import Section

GROUP = "rtea.sinks"

_OURS = {
    "bigquery": "rtea.sinks.bigquery:KIND",
    "duckdb": "rtea.sinks.duckdb:KIND",
    "parquet": "rtea.sinks.parquet:KIND",
}


_WITH_KNOWN_SETTINGS = {"bigquery", "duckdb"}
"""Sinks whose settings are in `rtea.sections`: their modules are imported only when they are used."""


class Option(NamedTuple):
    """An option of `rtea sink NAME`: it sets a key of the sink's settings."""

    flag: str
    key: str
    help: str
    is_flag: bool = False


@dataclass(frozen=True)
class SinkKind:
    """A kind of sink."""

    name: str
    summary: str
    """What `rtea sink NAME` does."""
    section: str
    """Its table in `rtea.toml`."""
    settings: type[Section]
    """The class of its settings."""
    make: Callable[[Any], Any]
    """Makes the sink with these settings (`rtea.sinks.contract.Sink`)."""
    options: tuple[Option, ...] = ()
    example: str = ""
    """Options of an example."""
    beside: Callable[[Any], Callable[[threading.Event], None] | None] = lambda _: None
    """Gives what `rtea sink` also runs, of the whole configuration, until an event is set."""
    whereabouts: Callable[[Any], str] = str
    """Says where its rows are, for people."""
    is_set_up: Callable[[Any], bool] = lambda _: True
    """Whether the settings suffice to ask for the rows."""
    is_service: bool = False
    """Whether a service has the rows, which may refuse credentials."""
    of_demo: Callable[[Any, Path], Any] = lambda section, _: section
    """Its settings in a demo, which keeps its files in a folder and must not touch the user's rows."""


@cache
def _references() -> dict[str, Callable[[], Any]]:
    found: dict[str, Callable[[], Any]] = {name: partial(_imported, path) for name, path in _OURS.items()}
    for entry in metadata.entry_points(group=GROUP):
        found.setdefault(entry.name, entry.load)
    return found


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


def names() -> list[str]:
    """Names of the sinks.

    >>> names()
    ['bigquery', 'duckdb', 'parquet']
    """
    return sorted(_references())


@cache
def sink(name: str) -> SinkKind:
    """A kind of sink.

    Raises:
        ConfigError: there is none of that name, or the package that names it is broken.
    """
    if name not in _references():
        raise ConfigError(f"sink {name!r} is unknown: expected one of {', '.join(names())}")
    try:
        kind = _references()[name]()
    except Exception as error:  # The code of another package may fail in any way.
        if name in _OURS:
            raise
        raise ConfigError(
            f"sink {name!r} cannot be loaded: {error}: update or remove the package that has it"
        ) from error
    if not isinstance(kind, SinkKind) or kind.name != name:
        raise ConfigError(
            f"sink {name!r}: found {kind!r}, expected a SinkKind of that name: update the package that has it"
        )
    return kind


def problems() -> list[str]:
    """What is wrong with sinks of other packages, a line for each that cannot be used."""
    return [problem for _, problem in _loaded() if problem]


def more_sections(known: set[str]) -> dict[str, type[Section]]:
    """Settings of sinks that are not among the known sections: those of the sinks whose module has them."""
    kinds = [kind for kind, _ in _loaded() if kind]
    return {kind.section: kind.settings for kind in kinds if kind.section not in known}


@cache
def _loaded() -> list[tuple[SinkKind | None, str]]:
    """Each sink that brings its own settings, or why it cannot be used."""
    loaded: list[tuple[SinkKind | None, str]] = []
    for name in names():
        if name not in _WITH_KNOWN_SETTINGS:
            try:
                loaded.append((sink(name), ""))
            except ConfigError as error:
                loaded.append((None, str(error)))
    return loaded
