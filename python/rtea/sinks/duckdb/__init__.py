"""The default sink: a DuckDB file."""

import shlex
import sys

from rtea.plugins import Option, SinkKind
from rtea.sections import SinkSection
from rtea.sinks.duckdb.sink import DuckDbSink

__all__ = ["KIND", "DuckDbSink"]

KIND = SinkKind(
    name="duckdb",
    summary="Write to a DuckDB file until interrupted.",
    example="--path shop.duckdb",
    section="sink",
    settings=SinkSection,
    make=lambda section: DuckDbSink(section.duckdb_path, section.table),
    options=(Option("--path", "duckdb_path", "The DuckDB file."), Option("--table", "table", "The table.")),
    of_demo=lambda section, root: section.model_copy(update={"duckdb_path": root / "metrics.duckdb"}),
    whereabouts=lambda section: (
        f"rows stay in {section.duckdb_path}; look at them with:\n  "
        f"{shlex.join([sys.argv[0], 'query', '--path', str(section.duckdb_path)])}"
    ),
)
