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
from typing import Any, BinaryIO, cast

import msgspec
import zstandard

from rtea.errors import InputError

MOST_FIELD_BYTES = 16_777_216
"""Longest field of a CSV file."""

READ_BYTES = 131_072


def read(path: Path) -> Iterator[bytes]:
    """The events of a file, as they would be in Kafka: a line of JSON, or a row of CSV as a JSON object of strings.
    Empty lines are left out.

    Raises:
        InputError: the file cannot be read, or its compression or its CSV is broken.
    """
    try:
        with _opened(path) as file:
            yield from _rows(file, path) if _is_csv(path) else _lines(file)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read: {error}: expected lines of JSON, or CSV in a .csv file, as text or compressed as "
            ".gz or .zst"
        ) from error


def _is_csv(path: Path) -> bool:
    inner = path.with_suffix("") if path.suffix.lower() in {".gz", ".zst"} else path
    return inner.suffix.lower() == ".csv"


def _lines(file: BinaryIO) -> Iterator[bytes]:
    for number, line in enumerate(file):
        # Some programs begin a file with a byte order mark.
        value = (line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line).strip()
        if value:
            yield value


class _Zstandard(io.RawIOBase):
    """Reads a compressed file; a file that is cut off raises EOFError, as gzip does."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._ready = file, b""
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._is_between_frames = True

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end.

        Raises:
            EOFError: the file ends within a frame.
            zstandard.ZstdError: the file is damaged.
        """
        while not self._ready:
            read = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._is_between_frames = zstandard.ZstdDecompressor().decompressobj(), True
            read = read or self._file.read(READ_BYTES)
            if not read and self._is_between_frames:
                return 0
            if not read:
                raise EOFError("the file is cut off")
            self._is_between_frames = False
            self._ready = self._frame.decompress(read)
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as file:
            yield cast("BinaryIO", file)
    elif path.suffix.lower() == ".zst":
        with path.open("rb") as raw:
            yield io.BufferedReader(_Zstandard(raw), READ_BYTES)
    else:
        with path.open("rb") as file:
            yield file


def _rows(file: BinaryIO, path: Path) -> Iterator[bytes]:
    csv.field_size_limit(MOST_FIELD_BYTES)
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, strict=True)
        names = next(rows, None)
        if not names or len(set(names)) < len(names):
            raise InputError(f"{path} has no header with different names: put the columns' names into its first line")
        for row in filter(None, rows):
            if len(row) != len(names):
                raise InputError(
                    f"{path} line {rows.line_num} has {len(row)} fields, its header {len(names)}: correct that line"
                )
            yield msgspec.json.encode(dict(zip(names, row, strict=True)))
