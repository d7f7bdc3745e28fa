"""What a check finds, and what every check may use."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

import msgspec

from rtea.config import Config
from rtea.errors import RteaError

State = Literal["ok", "warning", "failed", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor: what a check found, and what to do."""

    check: str
    state: State
    found: str
    remedy: str = ""


Found = tuple[State, str, str]
"""State, what was found, and the remedy."""


@dataclass(frozen=True)
class Check:
    """A check by its name. If a check that it needs has failed, it is skipped."""

    name: str
    examine: Callable[[Config], Iterator[Found]]
    needs: tuple[str, ...] = ()

    def findings(self, config: Config, failed: set[str]) -> Iterator[Finding]:
        """What it finds."""
        missing = [name for name in self.needs if name in failed]
        if missing:
            yield Finding(self.name, "skipped", f"needs {missing[0]}")
            return
        try:
            for found in self.examine(config):
                yield Finding(self.name, *found)
        except RteaError as error:
            yield Finding(self.name, *of_error(error))


def ok(found: str) -> Found:
    """A finding that is as it should be."""
    return "ok", found, ""


def show_time(time_ms: int | None) -> str:
    """A time for people, in UTC.

    >>> show_time(1_760_000_000_000)
    '2025-10-09 08:53:20 UTC'
    """
    if time_ms is None:
        return "unknown"
    try:
        return datetime.fromtimestamp(time_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


def of_error(error: RteaError, state: State = "failed") -> Found:
    """A finding of an error, whose message ends with the remedy.

    >>> from rtea.errors import MissingTopicError
    >>> of_error(MissingTopicError("topic shop is missing at host: run `rtea topics create`"))
    ('failed', 'topic shop is missing at host', 'run `rtea topics create`')
    """
    found, colon, remedy = str(error).rpartition(": ")
    return (state, found, remedy) if colon else (state, remedy, "")
