"""`rtea doctor`: says why there is no window."""

import click

from rtea.cli import output
from rtea.cli.root import resolve

COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command
@output.json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """Check everything on an event's way, from the broker to the table, and say what is wrong and what to do. Exit code
    1 if a check failed. Changes nothing.

    Example: rtea doctor
    """
    from rtea.doctor import examination

    config = resolve(context)
    findings = []
    for finding in examination.examine(config):
        findings.append(finding)
        if not as_json:
            state = click.style(f"{finding.state:8}", fg=COLOURS.get(finding.state))
            remedy = f": {finding.remedy}" if finding.remedy else ""
            click.echo(f"{state} {finding.check:13} {finding.found}{remedy}")
    conclusion = examination.conclude(findings)
    if as_json:
        found = {"findings": findings, "conclusion": conclusion}
        output.show_json(found)
    else:
        click.echo(f"\n{conclusion}")
    return 1 if any(finding.state == "failed" for finding in findings) else 0
