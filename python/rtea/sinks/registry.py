"""The sinks by name: a new sink is one module and one line here."""

from collections.abc import Callable

from rtea.config import Config
from rtea.sinks.contract import Sink
from rtea.sinks.duckdb import DuckDbSink


def _bigquery(config: Config) -> Sink:
    # Google's client takes a second to import, so import it only for users of BigQuery.
    from rtea.sinks.bigquery.sink import BigQuerySink

    return BigQuerySink(config.bigquery)


SINKS: dict[str, Callable[[Config], Sink]] = {
    "bigquery": _bigquery,
    "duckdb": lambda config: DuckDbSink(config.sink.duckdb_path, config.sink.table),
}
