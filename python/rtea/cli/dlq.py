"""`rtea dlq`: shows dead letters and sends them back."""

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from rtea.cli import output
from rtea.cli.root import resolve
from rtea.errors import InputError

if TYPE_CHECKING:
    from rtea.dead_letters import DeadLetter

SHOWN_BYTES = 80


@click.group
def group() -> None:
    """Dead letters: refused events with their reasons."""


@group.command
@click.option("--reason", "reasons", multiple=True, help="Show only dead letters with this reason; repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="Show at most this many dead letters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for `rtea dlq replay`.")
@click.pass_context
def show(context: click.Context, reasons: tuple[str, ...], limit: int | None, as_json: bool) -> None:
    """List the dead letters that were not sent back yet, oldest first.

    Example: rtea dlq show --reason invalid_json --limit 10
    """
    from rtea import dead_letters

    letters = dead_letters.read(resolve(context))
    chosen = islice((letter for letter in letters if not reasons or letter.reason in reasons), limit)
    if as_json:
        for letter in chosen:
            sys.stdout.buffer.write(msgspec.json.encode(letter.with_text()) + b"\n")
        sys.stdout.buffer.flush()
        return
    rows = [(letter.reason, _field(letter), letter.expected, *_describe(letter)) for letter in chosen]
    output.show_table(["reason", "field", "expected", "place", "time", "value"], rows)


def _field(letter: "DeadLetter") -> str:
    return f"{letter.field} at {letter.places}" if letter.places else letter.field


def _describe(letter: "DeadLetter") -> tuple[str, str, str]:
    if letter.window_start_ms is not None:
        return f"{letter.topic} window", _time(letter.window_start_ms), f"{letter.events} events"
    raw = letter.raw
    text = "(null)" if raw is None else repr(raw[:SHOWN_BYTES])[2:-1] + ("…" if len(raw) > SHOWN_BYTES else "")
    return letter.place, _time(letter.timestamp_ms), text


def _time(time_ms: int) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


@group.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Print what would be sent; send nothing.")
@click.pass_context
def replay(context: click.Context, file: Path, dry_run: bool) -> int:
    """Send corrected dead letters back to the events topic. FILE contains lines of `rtea dlq show --json` with a
    corrected `value` (or `raw_base64`). Exit code 1 if one is still refused.

    Example: rtea dlq replay corrected.ndjson
    """
    from rtea import dead_letters

    config = resolve(context)
    send = dead_letters.judge if dry_run else dead_letters.replay
    outcomes: Counter[str] = Counter()
    for replayed in send(config, list(_read_letters(file))):
        outcomes[replayed.outcome] += 1
        if replayed.problem:
            click.echo(f"{replayed.letter.place}: {replayed.outcome}: {replayed.problem}", err=True)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "no dead letters"
    click.echo(f"dry run: {counts}" if dry_run else counts)
    return 1 if outcomes["still refused"] else 0


def _read_letters(file: Path) -> Iterator["DeadLetter"]:
    from rtea import dead_letters

    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}: name a file with the output of `rtea dlq show --json`"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield dead_letters.decode(line, f"{file} line {number}")
