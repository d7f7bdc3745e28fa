"""Event maps: where the fields of our events are in events of another layout.

A map is a TOML file; docs/event_maps.md describes it. Presets are in this package, each with a sample of its layout.
The Rust core compiles and applies maps (`rtea-core`, `codec/map`).
"""

from pathlib import Path
from typing import NamedTuple

from rtea.errors import ConfigError, InvalidMapError
from rtea.events import Event, of_array
from rtea.sections import is_map_file

IDENTITY = "rtea"
"""The preset for our own events, which needs no map."""

_FOLDER = Path(__file__).parent


def presets() -> list[str]:
    """Names of the presets.

    >>> presets()
    ['ga4-export', 'rees46', 'rtea', 'segment', 'shopify-pixel', 'snowplow']
    """
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def sample(preset: str) -> Path:
    """The file with events in the layout of a preset, one in each line."""
    return _FOLDER / "samples" / f"{preset}.ndjson"


def find(name: str) -> Path:
    """The file of a preset, or of a path to a map.

    Raises:
        ConfigError: it is neither.
    """
    if name in presets():
        return _FOLDER / f"{name}.toml"
    if is_map_file(name):
        return Path(name)
    raise ConfigError(f"events.map is {name!r}: expected one of {', '.join(presets())}, or a path of a .toml file")


def read(name: str) -> str | None:
    """The text of a map, or None for our own events.

    Raises:
        ConfigError: there is no such map, or it cannot be read.
        InvalidMapError: it is no valid map.
    """
    event_map = load(name)
    return event_map.text if event_map else None


def load(name: str) -> "EventMap | None":
    """A compiled map, or None for our own events.

    Raises:
        ConfigError: there is no such map, or it cannot be read.
        InvalidMapError: it is no valid map.
    """
    return None if name == IDENTITY else EventMap.load(name)


class Explained(NamedTuple):
    """What a map makes of a value: left out, refused for a problem, or an event; and how each field was made: `found`,
    `coerced`, `default` or `lacked`. Fields after the first problem may be missing.
    """

    is_skipped: bool
    problem: str
    fields: dict[str, list[str]]


class EventMap:
    """A compiled map.

    >>> segment = EventMap.load("segment")
    >>> segment.decode(b'{"event": "Product Viewed", "timestamp": "2026-10-09T08:53:27.920Z", "anonymousId": "a",'
    ...                b' "properties": {"product_id": "p1", "price": "19.99"}}').items[0].price
    19.99
    """

    def __init__(self, text: str, file: str = "") -> None:
        from rtea import _core

        self.text = text
        try:
            self._map = _core.EventMap(text)
        except InvalidMapError as error:
            raise InvalidMapError(error.line, error.problem, file) from None

    @classmethod
    def load(cls, name: str) -> "EventMap":
        """Compile a preset or a file.

        Raises:
            ConfigError: there is no such map, or it cannot be read.
            InvalidMapError: it is no valid map.
        """
        path = find(name)
        try:
            return cls(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"event map {path} cannot be read: {error}: name a TOML file in UTF-8") from error

    def decode(self, value: bytes) -> Event | None:
        """Decode and check one event; None if the map leaves it out.

        Raises:
            InvalidEventError: the value is not a valid event by this map.
        """
        written = self._map.transcode(value)
        return None if written is None else of_array(written)

    def explain(self, value: bytes) -> Explained:
        """Tell what becomes of a value, and of each of its fields."""
        is_skipped, problem, made = self._map.explain(value)
        fields: dict[str, list[str]] = {}
        for field, how in made:
            fields.setdefault(field, []).append(how)
        text = "{}: {}: expected {}".format(problem[0], problem[1] or "event", problem[2]) if problem else ""
        return Explained(is_skipped, text, fields)
