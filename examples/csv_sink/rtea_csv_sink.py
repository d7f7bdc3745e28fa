"""An example of a sink in a package of its own: a CSV file for each window.

`rtea.sinks.contract` says what a sink must do, and tests/conformance tests it.
"""

import base64
import csv
import os
import threading
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from rtea.plugins import Option, SinkKind
from rtea.sections import Section


class CsvSection(Section):
    """The CSV sink."""

    path: Path = Path("rtea-csv")
    """The folder of the files."""


def _make(section: CsvSection) -> Any:
    # `rtea.config` imports this module, but needs the settings only.
    from rtea.errors import SinkError
    from rtea.sinks import result, table
    from rtea.sinks.contract import Batch, Sink, StoredRow
    from rtea.sinks.result import WindowResult

    class CsvSink(Sink):
        name = "csv"

        @property
        def destination(self) -> str:
            return str(section.path.resolve())

        def open(self, stop: threading.Event | None = None) -> bool:  # noqa: ARG002 (it waits for nothing)
            section.path.mkdir(parents=True, exist_ok=True)
            return not any(section.path.glob("*.csv"))

        def write(self, batch: Batch, stop: threading.Event) -> None:  # noqa: ARG002
            lengths_ms = {row.window_end_ms - row.window_start_ms for row in self.read(0, 2**60)}
            table.require_length(next(iter(lengths_ms), None), batch.results, str(section.path))
            for found in result.newest(batch.results):
                file = self._file(found)
                old = [(row.generation, row.revision, row.is_final) for row in _read(file)] if file.exists() else []
                if not old or found.age > old[0]:
                    self._replace(file, found)

        def _file(self, found: WindowResult) -> Path:
            return section.path / f"{found.window_start_ms}-{'events' if found.is_of_events else 'refused'}.csv"

        def _replace(self, file: Path, found: WindowResult) -> None:
            half = file.with_suffix(".half")
            with open(half, "w", newline="") as output:
                writer = csv.writer(output)
                writer.writerow(column.name for column in table.COLUMNS)
                for row in table.rows(found, datetime.now(timezone.utc)):
                    writer.writerow(_written(value) for value in row)
                output.flush()
                os.fsync(output.fileno())
            # Readers see the old file or the new one.
            half.replace(file)

        def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
            if not section.path.is_dir():
                raise SinkError(f"folder {section.path} not found: start `rtea sink csv`, or name another with --path")
            rows = [row for file in section.path.glob("*.csv") for row in _read(file)]
            rows = [row for row in rows if start_ms <= row.window_start_ms < end_ms]
            return sorted(rows, key=lambda row: (row.window_start_ms, row.metric, row.dimension, row.currency))

        def close(self) -> None:
            pass

    def _read(file: Path) -> list[StoredRow]:
        with open(file, newline="") as lines:
            return [_stored(row) for row in csv.DictReader(lines)]

    def _stored(row: dict[str, str]) -> StoredRow:
        def ms(name: str) -> int:
            return round(datetime.fromisoformat(row[name]).timestamp() * 1000)

        return StoredRow(
            window_start_ms=ms("window_start"),
            window_end_ms=ms("window_end"),
            metric=row["metric"],
            dimension=row["dimension"],
            currency=row["currency"],
            event_count=int(row["event_count"]) if row["event_count"] else None,
            revenue=Decimal(row["revenue"]) if row["revenue"] else None,
            unique_visitors=int(row["unique_visitors"]) if row["unique_visitors"] else None,
            visitors_sketch=base64.b64decode(row["visitors_sketch"]) if row["visitors_sketch"] else None,
            revision=int(row["revision"]),
            updated_at_ms=ms("updated_at"),
            generation=int(row["generation"]),
            is_final=row["is_final"] == "True",
        )

    return CsvSink()


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


KIND = SinkKind(
    name="csv",
    summary="Write CSV files, one for each window, until interrupted.",
    section="csv",
    settings=CsvSection,
    make=_make,
    options=(Option("--path", "path", "The folder of the files."),),
    of_demo=lambda section, root: section.model_copy(update={"path": root / "csv"}),
)
