"""The Parquet sink: a folder for each day with a file for each window, for DuckDB, Spark, pandas and others to read.

`day=2026-11-26/1790000000000-events.parquet` has the rows of counted events of the window that starts then,
`…-refused.parquet` those of refused events. A newer result replaces its file as a whole, by renaming: a reader sees the
old rows or the new ones. The file's metadata says how new it is.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtea import money
from rtea.errors import SinkError
from rtea.sinks import result, table
from rtea.sinks.contract import Batch, Sink, StoredRow, Total
from rtea.sinks.parquet import ParquetSection
from rtea.sinks.parquet.files import replace
from rtea.sinks.result import WindowResult

if TYPE_CHECKING:
    import pyarrow

AGE = b"rtea.age"
"""Key of the metadata with generation, revision and 0 or 1 for `is_final`."""

LENGTH = b"rtea.window_ms"

_NAME = re.compile(r"\d+-(events|refused)\.parquet")


class ParquetSink(Sink):
    """Files in a folder."""

    name = "parquet"

    def __init__(self, section: ParquetSection) -> None:
        # Python packages of Arrow are large, so they are an extra, and only this sink imports them.
        import pyarrow.parquet

        self._pyarrow: Any = pyarrow
        self._path, self._compression = section.path, section.compression
        self._schema = _schema(pyarrow)

    @property
    def destination(self) -> str:
        """The folder's absolute path."""
        return str(self._path.resolve())

    def open(self, stop: threading.Event | None = None) -> bool:  # noqa: ARG002 (nothing to wait for)
        """Make the folder, and remove files that a killed run left half written."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            for left in self._path.glob("day=*/*.tmp"):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(
                f"folder {self._path} cannot be made: {error.strerror}: name another with --path"
            ) from error
        return next(self._files(), None) is None

    def write(self, batch: Batch, stop: threading.Event) -> None:  # noqa: ARG002
        """Replace the files of windows with newer results."""
        table.require_length(self._window_ms(), batch.results, str(self._path))
        for each in result.newest(batch.results):
            file = self._file(each)
            if each.age > self._age(file):
                self._replace(file, each)

    def _files(self) -> Iterator[Path]:
        return (file for file in self._path.glob("day=*/*.parquet") if _NAME.fullmatch(file.name))

    def _content(self, file: Path, columns: list[str] | None = None) -> list[dict[str, Any]]:
        try:
            # Without `partitioning`, the folder's name would become a column.
            rows: list[dict[str, Any]] = self._pyarrow.parquet.read_table(
                file, columns=columns, partitioning=None
            ).to_pylist()
        except (OSError, self._pyarrow.ArrowException) as error:
            raise SinkError(
                f"{file} cannot be read: {error}: remove it, and restart the sink in an empty folder"
            ) from error
        return rows

    def _file(self, found: WindowResult) -> Path:
        day = datetime.fromtimestamp(found.window_start_ms / 1000, timezone.utc).date()
        kind = "events" if found.is_of_events else "refused"
        return self._path / f"day={day}" / f"{found.window_start_ms}-{kind}.parquet"

    def _metadata(self, file: Path) -> dict[bytes, bytes]:
        try:
            return self._pyarrow.parquet.read_schema(file).metadata or {}
        except FileNotFoundError:
            return {}
        except (OSError, self._pyarrow.ArrowException) as error:
            raise SinkError(
                f"{file} cannot be read: {error}: remove it, and restart the sink in an empty folder"
            ) from error

    def _age(self, file: Path) -> tuple[int, int, bool]:
        known = self._metadata(file).get(AGE)
        if known is None:
            return -1, -1, False
        generation, revision, is_final = map(int, known.split())
        return generation, revision, bool(is_final)

    def _window_ms(self) -> int | None:
        file = next(self._files(), None)
        return int(self._metadata(file).get(LENGTH, 0)) or None if file else None

    def _replace(self, file: Path, found: WindowResult) -> None:
        rows = table.rows(found, datetime.now(timezone.utc))
        generation, revision, is_final = found.age
        about = {AGE: b"%d %d %d" % (generation, revision, is_final)}
        about[LENGTH] = b"%d" % (found.window_end_ms - found.window_start_ms)
        columns = [[row[place] for row in rows] for place in range(len(self._schema))]
        arrays = [self._pyarrow.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        replace(
            file, self._pyarrow.Table.from_arrays(arrays, schema=self._schema.with_metadata(about)), self._compression
        )

    def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
        """Read the rows back, in key order."""
        if not self._path.is_dir():
            raise SinkError(f"folder {self._path} not found: start `rtea sink parquet`, or name another with --path")
        found = []
        for file in self._files():
            if start_ms <= int(file.name.partition("-")[0]) < end_ms:
                found += [_stored(row) for row in self._content(file)]
        return sorted(found, key=lambda row: (row.window_start_ms, row.metric, row.dimension, row.currency))

    def totals(self, start_ms: int, end_ms: int, bucket_ms: int) -> list[Total]:
        """Sums by bucket. Reads no sketches."""
        columns = ["metric", "dimension", "currency", "event_count", "revenue", "is_final"]
        sums: dict[tuple[int, str, str, str], float] = defaultdict(float)
        for file in self._files():
            window_ms = int(file.name.partition("-")[0])
            if not start_ms <= window_ms < end_ms:
                continue
            for row in self._content(file, columns):
                value = row["event_count"] if row["revenue"] is None else row["revenue"]
                if row["is_final"] and value is not None:
                    key = window_ms // bucket_ms * bucket_ms, row["metric"], row["dimension"], row["currency"]
                    sums[key] += float(value)
        return [Total(*key, value) for key, value in sums.items()]

    def close(self) -> None:
        """Do nothing: files are open only during calls."""


def _schema(pyarrow: Any) -> "pyarrow.Schema":
    types: dict[table.Kind, Any] = {
        "timestamp": pyarrow.timestamp("us", tz="UTC"),
        "string": pyarrow.string(),
        "int64": pyarrow.int64(),
        "decimal": pyarrow.decimal128(38, money.DECIMALS),
        "bytes": pyarrow.binary(),
        "bool": pyarrow.bool_(),
    }
    fields = [pyarrow.field(each.name, types[each.kind], not each.required) for each in table.COLUMNS]
    return pyarrow.schema(fields)


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _stored(row: dict[str, Any]) -> StoredRow:
    def ms(name: str) -> int:
        return int((row[name] - _EPOCH) / timedelta(milliseconds=1))

    return StoredRow(
        window_start_ms=ms("window_start"),
        window_end_ms=ms("window_end"),
        updated_at_ms=ms("updated_at"),
        **{name: value for name, value in row.items() if name not in {"window_start", "window_end", "updated_at"}},
    )
