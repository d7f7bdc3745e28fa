"""`rtea job`: the Flink job."""

import click
from rich.console import Console
from rich.table import Table

from rtea.cli.root import resolve


@click.group
def group() -> None:
    """The Flink job on the running cluster."""


@group.command
@click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port.")
@click.option("--parallelism", "job__parallelism", type=int, help="Parallel subtasks.")
@click.option("--python-mode", "job__python_mode", type=click.Choice(["auto", "thread", "process"]))
@click.pass_context
def submit(
    context: click.Context,
    kafka__bootstrap_servers: str | None,
    job__parallelism: int | None,
    job__python_mode: str | None,
) -> None:
    """Submit the job and wait until it runs."""
    from rtea.job import graph
    from rtea.job import submit as submission

    config = resolve(
        context,
        kafka__bootstrap_servers=kafka__bootstrap_servers,
        job__parallelism=job__parallelism,
        job__python_mode=job__python_mode,
    )
    job_id = submission.submit(config)
    click.echo(f"job {job_id} is running, Python UDFs in {graph.choose_mode(config)} mode")


@group.command
@click.pass_context
def status(context: click.Context) -> int:
    """List the cluster's jobs; exit code 1 when none runs."""
    from rtea.job import submit as submission

    jobs = submission.jobs(resolve(context))
    table = Table("job", "name", "state")
    for job in jobs:
        table.add_row(job.id, job.name, job.state)
    Console().print(table)
    return 0 if any(job.state == "RUNNING" for job in jobs) else 1


@group.command
@click.argument("job_id")
@click.pass_context
def cancel(context: click.Context, job_id: str) -> None:
    """Cancel a job. A job submitted later reads the topic from `job.start_from` again."""
    from rtea.job import submit as submission

    submission.cancel(resolve(context), job_id)
    click.echo(f"job {job_id} has ended")
