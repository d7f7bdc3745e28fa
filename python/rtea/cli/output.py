"""The output of commands: tables, and query results in formats for other programs."""

import base64
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timezone
from typing import Literal

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

Format = Literal["table", "csv", "json", "ndjson"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json", "ndjson")

WIDE_COLUMNS = 100_000
"""Width of the output if it is not a terminal: wide enough that no line is folded."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127) if chr(code) not in "\n\t"}
"""Escapes for control characters: a terminal must not execute what is in a cell."""


def show_table(names: Iterable[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; cells are plain text. Long cells are folded on a terminal; elsewhere they stay on one line."""
    table = Table(title=title)
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console()
    (console if console.is_terminal else Console(width=WIDE_COLUMNS)).print(table)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
"""The option of every command that prints a table."""


def show_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def _cell(value: object) -> str:
    return "" if value is None else str(value).translate(_CONTROLS)


def write_rows(names: Sequence[str], rows: Sequence[Sequence[object]], format: Format) -> str:
    r"""Rows as text: CSV (RFC 4180) with a header, a JSON array of objects, or one object per line. Times are ISO 8601,
    bytes are base64.

    >>> write_rows(["a", "b"], [[1, None], ["x,y", b"z"]], "csv")
    'a,b\r\n1,\r\n"x,y",eg==\r\n'
    >>> write_rows(["a"], [[1], [None]], "ndjson")
    '{"a":1}\n{"a":null}\n'
    """
    if format == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(names)
        writer.writerows([_plain(value) for value in row] for row in rows)
        return text.getvalue()
    encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    written = encoder.encode_lines(objects) if format == "ndjson" else encoder.encode(objects) + b"\n"
    return written.decode()


def _plain(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
