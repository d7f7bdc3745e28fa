"""The Parquet sink: its settings and options. `sink` writes the files."""

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


def _make(section: ParquetSection) -> Any:
    # `rtea.config` imports this module, so it must be light.
    from rtea.sinks.parquet.sink import ParquetSink

    return ParquetSink(section)


KIND = SinkKind(
    name="parquet",
    summary="Write to Parquet files, a folder for each day, until interrupted.",
    section="parquet",
    settings=ParquetSection,
    make=_make,
    options=(
        Option("--path", "path", "The folder."),
        Option("--compression", "compression", "none, snappy, gzip or zstd."),
    ),
    whereabouts=lambda section: f"rows stay in the folder {section.path}",
    of_demo=lambda section, root: section.model_copy(update={"path": root / "metrics"}),
)
