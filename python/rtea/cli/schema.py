"""`rtea schema`: prints the JSON Schema of an event, and tries event maps on samples."""

from itertools import islice
from pathlib import Path

import click
import msgspec

from rtea import events
from rtea.cli import output
from rtea.cli.root import resolve
from rtea.errors import InputError

SAMPLE = click.argument("sample", type=click.Path(path_type=Path))
MOST_EVENTS = 100_000


@click.group(invoke_without_command=True)
@click.pass_context
def group(context: click.Context) -> None:
    """The schema of an event as JSON Schema; subcommands try event maps on a sample of other events."""
    if context.invoked_subcommand is None:
        click.echo(events.SCHEMA_FILE.read_text(), nl=False)


@group.command
@SAMPLE
@click.option("--map", "events__map", help="A preset or a map's path [default: events.map].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(context: click.Context, /, sample: Path, events__map: str | None, as_json: bool) -> int:
    """Tell what a map makes of the events in SAMPLE (.ndjson or .csv, also .gz and .zst): how many count, how each
    field was
    made, and three examples of what is refused. Exit code 1 if no event counts.

    Example: rtea schema check --map my_shop.toml sample.ndjson
    """
    from rtea import exports
    from rtea.maps import EventMap, report

    event_map = EventMap.load(resolve(context, events__map=events__map).events.map)
    found = report.examine(islice(exports.read(sample), MOST_EVENTS), event_map)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return 0 if found.counted else 1
    rows = [(name, *(counts[how] or "" for how in report.HOW)) for name, counts in found.fields.items()]
    output.show_table(["field", *report.HOW], rows)
    click.echo(f"{found.events} events: {found.counted} count, {found.skipped} are left out, {found.refused} refused")
    for problem, count in found.problems.most_common():
        click.echo(f"{count} refused: {problem}")
    for number, problem, value in found.examples:
        click.echo(f"event {number}: {problem}: {value}")
    return 0 if found.counted else 1


@group.command
@click.argument("preset")
def sample(preset: str) -> None:
    """Print events in the layout of PRESET, one in each line.

    Example: rtea schema sample segment
    """
    from rtea import maps

    if preset not in maps.presets():
        raise InputError(f"preset {preset!r} is unknown: expected one of {', '.join(maps.presets())}")
    click.echo(maps.sample(preset).read_text(encoding="utf-8"), nl=False)


@group.command
@SAMPLE
def guess(sample: Path) -> None:
    """Propose an event map for the events in SAMPLE, with a comment on each line.

    Example: rtea schema guess sample.ndjson > my_shop.toml
    """
    from rtea import exports
    from rtea.maps import guess as guessing

    values = list(islice(exports.read(sample), MOST_EVENTS))
    if not values:
        raise InputError(f"{sample} has no events: expected lines of JSON, or rows of CSV")
    click.echo(guessing.propose(values), nl=False)
