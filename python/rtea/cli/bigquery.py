"""`rtea bigquery`: prints ready SQL, and checks a real project."""

import click

from rtea.cli import output
from rtea.cli.root import resolve


@click.group
def group() -> None:
    """Ready queries for BigQuery, and a check of a real project."""


@group.command
@click.option("--project", "bigquery__project", help="The project [default: the one in the credentials].")
@click.option("--location", "bigquery__location", help="Location of the temporary dataset.")
@click.option("--endpoint", "bigquery__endpoint", help="Address of an emulator; sends no credentials.")
@click.pass_context
def check(context: click.Context, /, **flags: object) -> int:
    """Check in a temporary dataset that a project does what RTEA relies on; exit code 1 if it does not.

    The check costs a few queries of 10 MiB each, and removes the dataset at the end.
    """
    from rtea.sinks.bigquery import check as checks

    findings = checks.check(resolve(context, **flags).bigquery)
    rows = [(each.name, "yes" if each.passed else "NO", each.expected, each.found) for each in findings]
    output.show_table(["check", "passed", "expected", "found"], rows, title="rtea bigquery check")
    passed = sum(finding.passed for finding in findings)
    click.echo(f"{passed} of {len(findings)} checks passed")
    return 0 if passed == len(findings) else 1


@group.command
@click.argument("name", required=False)
@click.option("--table", "bigquery__table", help="The table, DATASET.TABLE.")
@click.pass_context
def sql(context: click.Context, /, name: str | None, **flags: object) -> None:
    """Print the ready query NAME; without a name, list them."""
    from rtea.sinks.bigquery import sql as statements

    if name is None:
        click.echo("\n".join(statements.query_names()))
        return
    click.echo(statements.ready_query(name, resolve(context, **flags).bigquery.table_id), nl=False)
