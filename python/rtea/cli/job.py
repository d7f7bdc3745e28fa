"""`rtea job`: controls the Flink job."""

from typing import Any

import click

from rtea import logs
from rtea.cli import output
from rtea.cli.root import parse_ms, resolve


@click.group
def group() -> None:
    """The Flink job on the running cluster."""


@group.command
@click.option("--bootstrap-servers", "kafka__bootstrap_servers", help="Brokers, host:port.")
@click.option("--parallelism", "job__parallelism", type=int, help="Parallel subtasks.")
@click.option("--python-mode", "job__python_mode", type=click.Choice(["auto", "thread", "process"]))
@click.option("--map", "events__map", help="Layout of the events: a preset or a map's path [default: rtea].")
@click.option("--savepoint", help="Continue from a savepoint of `rtea job stop`.")
@click.option("--another", is_flag=True, help="Submit even if a running job writes the same topics.")
@click.option("--from", "from_", metavar="TIME", help="Backfill: start of the first window, ISO 8601 or ms.")
@click.option("--to", metavar="TIME", help="Backfill: end of the last window.")
@click.option("--replace", is_flag=True, help="Backfill: replace windows even if the old result has more events.")
@click.pass_context
def submit(
    context: click.Context,
    /,
    savepoint: str | None,
    another: bool,
    from_: str | None,
    to: str | None,
    replace: bool,
    **flags: Any,
) -> None:
    """Submit the job and wait until it runs; with --from and --to, recompute those windows and wait for the end.

    Example: rtea job submit --parallelism 4
    """
    from rtea.job import graph
    from rtea.job import submit as submission

    if (from_ is None) != (to is None) or (from_ and savepoint):
        raise click.UsageError("--from and --to belong together, and start without a savepoint")
    if replace and not from_:
        raise click.UsageError("--replace is for a backfill: give --from and --to")
    config = resolve(context, **flags)
    if from_ and to:
        job_id = submission.backfill(config, parse_ms("--from", from_), parse_ms("--to", to), replace=replace)
        click.echo(f"backfill {job_id} is done")
        return
    job_id = submission.submit(config, savepoint=savepoint, another=another)
    click.echo(f"job {job_id} is running, Python UDFs in {graph.choose_mode(config)} mode")
    settings = config.model_dump(mode="json")
    kept = {name: settings["kafka"][name] for name in ("events_topic", "results_topic", "dead_letter_topic")}
    logs.tell("settings of the job", {"job_id": job_id} | kept | settings["events"] | settings["job"])


@group.command
@output.json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> int:
    """List the cluster's jobs with their checkpoints, and the problems of those that write these topics, as `rtea
    doctor` finds them; exit code 1 if none runs.

    Example: rtea job status
    """
    from rtea.doctor import examination
    from rtea.job import cluster

    config = resolve(context)
    jobs = cluster.jobs(config)
    rows = []
    for job in jobs:
        checkpoints = cluster.checkpoint_status(config, job.id)
        trouble = checkpoints.last_failure or (cluster.root_cause(config, job.id) if job.state == "RESTARTING" else "")
        rows.append(
            (job.id, job.name, job.state, checkpoints.completed_checkpoints, checkpoints.failed_checkpoints, trouble)
        )
    names = ["job", "name", "state", "checkpoints", "failed", "problem"]
    problems = examination.problems_of_jobs(config) if cluster.live(config) else []
    if as_json:
        output.show_json({"jobs": [dict(zip(names, row, strict=True)) for row in rows], "problems": problems})
    else:
        output.show_table(names, rows)
        for each in problems:
            click.echo(f"{each.state}: {each.check}: {each.found}: {each.remedy}")
    return 0 if any(job.state == "RUNNING" for job in jobs) else 1


@group.command
@click.argument("job_id")
@click.pass_context
def stop(context: click.Context, job_id: str) -> None:
    """Stop a job with a savepoint, and print the savepoint's address: `rtea job submit --savepoint` continues from it.
    The first characters of JOB_ID are enough.

    Example: rtea job stop 3f2a
    """
    from rtea.job import submit as submission

    click.echo(submission.stop(resolve(context), job_id))


@group.command
@click.argument("job_id")
@click.pass_context
def cancel(context: click.Context, job_id: str) -> None:
    """Cancel a job. The next job that you submit reads the topic from `job.start_from` again. The first characters of
    JOB_ID are enough.

    Example: rtea job cancel 3f2a
    """
    from rtea.job import submit as submission

    click.echo(f"job {submission.cancel(resolve(context), job_id)} has ended")
