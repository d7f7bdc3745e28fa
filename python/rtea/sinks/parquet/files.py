"""Writes Parquet files so that a reader sees the old file or the new one, also after a crash."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rtea.errors import DiskSpaceError, SinkError

if TYPE_CHECKING:
    import pyarrow


def replace(file: Path, content: "pyarrow.Table", compression: str) -> None:
    """Write a table to a file, and make it durable.

    Raises:
        DiskSpaceError: the disk is full; the old file stays.
        SinkError: the file cannot be written; the old file stays.
    """
    from pyarrow import parquet

    half = file.with_suffix(".tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(half, "wb") as output:
            parquet.write_table(content, output, compression=compression)
            output.flush()
            os.fsync(output.fileno())
        half.replace(file)
        _sync(file.parent)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskSpaceError(f"no room on the disk of {file}: free some space and restart the sink") from error
        raise SinkError(f"{file} cannot be written: {error.strerror}: name another folder with --path") from error


def _sync(folder: Path) -> None:
    """Make the renaming in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
