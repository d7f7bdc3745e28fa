"""How rows come into DuckDB: through a temporary file that it reads fast."""

import functools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import msgspec

from rtea import money
from rtea.sinks import table
from rtea.sinks.result import WindowResult

TYPES: dict[table.Kind, str] = {
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "string": "VARCHAR",
    "int64": "BIGINT",
    "decimal": f"DECIMAL(38,{money.DECIMALS})",
    "bytes": "BLOB",
    "bool": "BOOLEAN",
}
"""DuckDB's types, with the names that `DESCRIBE` prints."""

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_UNITS = 10**money.DECIMALS

# For each kind of column: its type in the JSON file, and the SQL expression that makes its value from there. DuckDB 1.5
# needs 100 us to read a time or a decimal of 38 digits from text, so the file has whole numbers instead.
_LOADED: dict[table.Kind, tuple[str, str]] = {
    "timestamp": ("BIGINT", "make_timestamptz({0})"),
    "string": ("VARCHAR", "{0}"),
    "int64": ("BIGINT", "{0}"),
    "decimal": (
        "HUGEINT",
        f"({{0}} // {_UNITS})::{TYPES['decimal']} + ({{0}} % {_UNITS})::DECIMAL({money.DECIMALS + 1}, 0) "
        f"* {1 / _UNITS}::DECIMAL({money.DECIMALS}, {money.DECIMALS})",
    ),
    "bytes": ("VARCHAR", "from_base64({0})"),
    "bool": ("BOOLEAN", "{0}"),
}


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


@contextmanager
def loadable(results: Sequence[WindowResult]) -> Iterator[str]:
    """Write the rows of results to a temporary file for a block; yield the SELECT that reads them."""
    written_at = datetime.now(timezone.utc)
    types = ", ".join(f"{column.name}: '{_LOADED[column.kind][0]}'" for column in table.COLUMNS)
    values = ", ".join(_LOADED[column.kind][1].format(column.name) for column in table.COLUMNS)
    # Only the owner can read this temporary file.
    with tempfile.NamedTemporaryFile(prefix="rtea-", suffix=".ndjson") as file:
        names = [column.name for column in table.COLUMNS]
        encoder = msgspec.json.Encoder()
        for each in results:
            lines = (dict(zip(names, map(_plain, row), strict=True)) for row in table.rows(each, written_at))
            file.write(encoder.encode_lines(lines))
        file.flush()
        # Without the last one, DuckDB takes a directory named `revision=3` for a column.
        options = "format = 'newline_delimited', maximum_object_size = 67108864, hive_partitioning = false"
        yield f"SELECT {values} FROM read_json({quoted(file.name)}, {options}, columns = {{{types}}})"


@functools.lru_cache(maxsize=16)
def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def _plain(value: table.Value) -> str | int | bytes | None:
    if isinstance(value, datetime):
        return _microseconds(value)
    return str(int(value * _UNITS)) if isinstance(value, Decimal) else value
