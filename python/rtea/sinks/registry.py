"""The sinks by name: a new sink is one module and one line here."""

from collections.abc import Callable

from rtea.config import Config
from rtea.sinks.contract import Sink
from rtea.sinks.duckdb import DuckDbSink

SINKS: dict[str, Callable[[Config], Sink]] = {
    "duckdb": lambda config: DuckDbSink(config.sink.duckdb_path, config.sink.table),
}
