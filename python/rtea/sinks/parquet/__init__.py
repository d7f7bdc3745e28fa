"""The Parquet sink: its settings and options. `sink` writes the windows' rows, `archive` the events."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from rtea.plugins import Option, SinkKind
from rtea.sections import Section


class ParquetSection(Section):
    """The Parquet sink."""

    path: Path = Path("rtea-parquet")
    """The folder."""
    compression: str = Field("zstd", pattern="^(none|snappy|gzip|zstd)$")
    """Compression of the files: none, snappy, gzip or zstd."""
    archive: bool = False
    """Also keep the accepted events as they came, below `events`."""
    archive_interval_ms: int = Field(60_000, ge=100)
    """How often a file of events that is not full is written again."""


def _make(section: ParquetSection) -> Any:
    # `rtea.config` imports this module, so it must be light.
    from rtea.sinks.parquet.sink import ParquetSink

    return ParquetSink(section)


def _archive(config: Any) -> Callable[[threading.Event], None] | None:
    section: ParquetSection = config.parquet
    if not section.archive:
        return None
    from rtea.sinks.parquet.archive import Archive

    return Archive(config, section.path, section.compression, section.archive_interval_ms / 1000).run


KIND = SinkKind(
    name="parquet",
    summary="Write to Parquet files, a folder for each day, until interrupted.",
    section="parquet",
    example="--path shop --archive",
    settings=ParquetSection,
    make=_make,
    beside=_archive,
    options=(
        Option("--path", "path", "The folder."),
        Option("--compression", "compression", "none, snappy, gzip or zstd."),
        Option("--archive", "archive", "Also keep the accepted events as they came.", is_flag=True),
    ),
    whereabouts=lambda section: f"rows stay in the folder {section.path}",
    of_demo=lambda section, root: section.model_copy(update={"path": root / "metrics"}),
)
