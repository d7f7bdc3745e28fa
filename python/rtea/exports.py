"""Events in files: lines of JSON, or CSV with a header, perhaps compressed with gzip or zstd.

`rtea schema check` and `guess` read samples, `rtea send` sends whole files to the events topic.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import zstandard

from rtea.errors import InputError

MOST_FIELD_BYTES = 16_777_216
"""Longest field of a CSV file."""


def read(path: Path) -> Iterator[bytes]:
    """The events of a file, as they would be in Kafka: a line of JSON, or a row of CSV as a JSON object of strings.
    Empty lines are left out.

    Raises:
        InputError: the file cannot be read, or its compression or its CSV is broken.
    """
    try:
        with _opened(path) as file:
            yield from _rows(file, path) if ".csv" in path.suffixes else filter(None, map(bytes.strip, file))
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read: {error}: expected lines of JSON, or CSV in a .csv file, as text or compressed as "
            ".gz or .zst"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            yield cast("BinaryIO", file)
    elif path.suffix == ".zst":
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
            yield io.BufferedReader(cast("io.RawIOBase", stream))
    else:
        with path.open("rb") as file:
            yield file


def _rows(file: BinaryIO, path: Path) -> Iterator[bytes]:
    csv.field_size_limit(MOST_FIELD_BYTES)
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        names = next(rows, None)
        if not names or len(set(names)) < len(names):
            raise InputError(f"{path} has no header with different names: put the columns' names into its first line")
        for row in filter(None, rows):
            if len(row) != len(names):
                raise InputError(
                    f"{path} line {rows.line_num} has {len(row)} fields, its header {len(names)}: correct that line"
                )
            yield msgspec.json.encode(dict(zip(names, row, strict=True)))
