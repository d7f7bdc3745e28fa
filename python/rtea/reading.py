"""Reads the rows of the DuckDB sink as an Arrow table, and so for pandas, polars and other libraries."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rtea import config as configuration
from rtea.sinks.duckdb import DuckDbSink

if TYPE_CHECKING:
    import pyarrow


def read_metrics(
    path: Path | str | None = None,
    *,
    table: str | None = None,
    metric: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    final_only: bool = False,
) -> "pyarrow.Table":
    """The rows of the windows that start in `[start, end)`, in the order of window, metric, dimension and currency, as
    an Arrow table with the columns of the table. By default all rows of the file and the table that the settings name.
    Times without a zone are in UTC. Needs the extra `arrow`.

    Raises:
        ConfigError: a setting is wrong.
        SinkError: there is no such file or table, or the file stays locked.
    """
    settings = configuration.load(flags={"sink.duckdb_path": path, "sink.table": table}).sink
    return DuckDbSink(settings.duckdb_path, settings.table).arrow(metric, start, end, final_only=final_only)
