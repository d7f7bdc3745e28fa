"""The log of a command on standard error: lines for people, or JSON for programs that collect logs."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Format = Literal["text", "json"]

FORMATS: tuple[Format, ...] = ("text", "json")

_chosen: Format = "text"


class _JsonFormatter(logging.Formatter):
    """One JSON object in a line: time (RFC 3339, UTC), level, logger, message, and the trace of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line | getattr(record, "fields", {})).decode()


def choose(format: Format) -> None:
    """Choose the format of what this process logs from now on."""
    global _chosen
    _chosen = format


def start() -> None:
    """Log warnings and errors to standard error, in the chosen format. For commands that run until they are stopped."""
    handler = logging.StreamHandler()
    if _chosen == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def complain(level: Literal["error", "warning"], message: str, **fields: object) -> None:
    """Tell the user one line: why a command ends, or what has no effect. `fields` belong to the JSON only."""
    if _chosen == "text":
        print(f"{level}: {message}", file=sys.stderr)
    else:
        _print_json(level, message, fields)


def tell(message: str, fields: Mapping[str, object]) -> None:
    """Log what a command does: a message with values, in one line."""
    if _chosen == "text":
        values = (f"{name}={msgspec.json.encode(value).decode()}" for name, value in fields.items())
        print(f"{message}: {' '.join(values)}", file=sys.stderr)
    else:
        _print_json("info", message, fields)


def _print_json(level: str, message: str, fields: Mapping[str, object]) -> None:
    record = logging.LogRecord("rtea", logging.getLevelName(level.upper()), "", 0, message, (), None)
    record.fields = fields
    print(_JsonFormatter().format(record), file=sys.stderr)
