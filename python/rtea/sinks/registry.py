"""Makes sinks by name, from the list of `rtea.plugins`."""

from rtea import plugins
from rtea.config import Config
from rtea.sinks.contract import Sink


def make_sink(config: Config, name: str) -> Sink:
    """A sink with its settings.

    Raises:
        ConfigError: there is no sink of that name.
    """
    kind = plugins.sink(name)
    made: Sink = kind.make(getattr(config, kind.section))
    return made
