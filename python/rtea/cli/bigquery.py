"""`rtea bigquery`: prints ready SQL, and checks a real project."""

import re

import click

from rtea.cli import output
from rtea.cli.root import resolve


class _View(click.ParamType):  # type: ignore[type-arg]
    """A name that is safe between backticks."""

    name = "view"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the name."""
        if not re.fullmatch(
            r"([a-z][a-z0-9-]{4,28}[a-z0-9]\.)?[A-Za-z0-9_]{1,1024}\.[A-Za-z_][A-Za-z0-9_]{0,255}", value
        ):
            self.fail(f"{value!r} is not a view: expected DATASET.VIEW", param, ctx)
        return value


VIEW = _View()


@click.group
def group() -> None:
    """Ready queries for BigQuery, and a check of a real project."""


@group.command
@click.option("--project", "bigquery__project", help="The project [default: the one in the credentials].")
@click.option("--location", "bigquery__location", help="Location of the temporary dataset.")
@click.option("--endpoint", "bigquery__endpoint", help="Address of an emulator; sends no credentials.")
@output.json_option
@click.pass_context
def check(context: click.Context, /, as_json: bool, **flags: object) -> int:
    """Check in a temporary dataset that a project does what RTEA relies on; exit code 1 if it does not.

    The check costs a few queries of 10 MiB each, and removes the dataset at the end.

    Example: rtea bigquery check --project my-project
    """
    from rtea.sinks.bigquery import check as checks

    findings = checks.check(resolve(context, **flags).bigquery)
    if as_json:
        output.show_json(findings)
        return 0 if all(finding.passed for finding in findings) else 1
    rows = [(each.name, "yes" if each.passed else "NO", each.expected, each.found) for each in findings]
    output.show_table(["check", "passed", "expected", "found"], rows, title="rtea bigquery check")
    passed = sum(finding.passed for finding in findings)
    click.echo(f"{passed} of {len(findings)} checks passed")
    return 0 if passed == len(findings) else 1


@group.command
@click.argument("name", required=False)
@click.option("--table", "bigquery__table", help="The table, DATASET.TABLE.")
@click.option("--view", type=VIEW, help="Print a statement that makes a view of this name, DATASET.VIEW.")
@click.pass_context
def sql(context: click.Context, /, name: str | None, view: str | None, **flags: object) -> None:
    """Print the ready query NAME; without a name, list them.

    Example: rtea bigquery sql daily_uniques --table shop.ecommerce_metrics
    """
    from rtea.sinks import queries
    from rtea.sinks.bigquery import sql as statements

    if name is None:
        click.echo("\n".join(queries.names()))
        return
    query = statements.ready_query(name, resolve(context, **flags).bigquery.table_id)
    click.echo(f"CREATE OR REPLACE VIEW `{view}` AS\n{query}" if view else query, nl=False)


@group.command
@click.option("--table", "bigquery__table", help="The table, DATASET.TABLE.")
@click.option(
    "--partition-expiration-days", "bigquery__partition_expiration_days", help="Days after which rows expire."
)
@click.pass_context
def ddl(context: click.Context, /, **flags: object) -> None:
    """Print the statement that makes the table.

    Example: rtea bigquery ddl --table shop.ecommerce_metrics
    """
    from rtea.sinks.bigquery import sql as statements

    section = resolve(context, **flags).bigquery
    click.echo(statements.ddl(section.table_id, section.partition_expiration_days), nl=False)
