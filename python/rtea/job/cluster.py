"""The jobs on the cluster: what Flink's REST interface says of them."""

import re
from dataclasses import dataclass
from typing import Any

from rtea.config import Config
from rtea.job.names import JOB_NAME, written_topics
from rtea.stack import rest

ENDED = ("CANCELED", "FAILED", "FINISHED")


@dataclass(frozen=True)
class Job:
    """A job on the cluster; `state` is Flink's, for example RUNNING."""

    id: str
    name: str
    state: str
    started_ms: int = 0


def jobs(config: Config) -> list[Job]:
    """Every job the cluster knows.

    Raises:
        StackError: no cluster answers.
    """
    return [
        Job(each["jid"], each["name"], each["state"], each["start-time"])
        for each in rest.get(config, "/jobs/overview")["jobs"]
    ]


def describe(config: Config, job_id: str) -> dict[str, Any]:
    """Flink's description of a job.

    Raises:
        StackError: no cluster answers.
    """
    details: dict[str, Any] = rest.get(config, f"/jobs/{job_id}")
    return details


@dataclass(frozen=True)
class CheckpointStatus:
    """The checkpoints of a job since this JobManager started, and why the last failed one failed."""

    completed_checkpoints: int
    failed_checkpoints: int
    last_failure: str
    is_failing: bool
    """Whether the last one failed."""


def checkpoint_status(config: Config, job_id: str) -> CheckpointStatus:
    """Read the health of a job.

    Raises:
        StackError: no cluster answers.
    """
    checkpoints = rest.get(config, f"/jobs/{job_id}/checkpoints")
    counts = checkpoints["counts"]
    completed, failed = (checkpoints["latest"][kind] or {} for kind in ("completed", "failed"))
    is_failing = failed.get("id", -1) > completed.get("id", -1)
    return CheckpointStatus(counts["completed"], counts["failed"], failed.get("failure_message", ""), is_failing)


def restarts(config: Config, job_id: str) -> int:
    """How often the job was restarted since its submission.

    Raises:
        StackError: no cluster answers.
    """
    found = rest.get(config, f"/jobs/{job_id}/metrics?get=numRestarts")
    return int(float(found[0]["value"])) if found else 0


def root_cause(config: Config, job_id: str) -> str:
    """The innermost cause of the exception that failed a job last, in one line."""
    history = exceptions(config, job_id)
    return cause(history[0]["stacktrace"]) if history else "no exception is known"


def exceptions(config: Config, job_id: str) -> list[dict[str, Any]]:
    """Flink's history of the exceptions that failed a job, newest first."""
    entries: list[dict[str, Any]] = (
        rest.get(config, f"/jobs/{job_id}/exceptions").get("exceptionHistory", {}).get("entries", [])
    )
    return entries


def metrics(config: Config, job_id: str, vertex_id: str, names: list[str]) -> dict[str, dict[str, float]]:
    """Aggregated metrics of a vertex: by name, then `min`, `max`, `sum`, `avg`.

    Raises:
        StackError: no cluster answers.
    """
    query = ",".join(names)
    found = rest.get(config, f"/jobs/{job_id}/vertices/{vertex_id}/subtasks/metrics?get={query}")
    return {entry.pop("id"): entry for entry in found}


def running(config: Config) -> list[tuple[Job, dict[str, str]]]:
    """The jobs that have not ended, with their parameters (`rtea.job.names`)."""
    alive = [job for job in jobs(config) if job.state not in ENDED]
    return [(job, parameters(config, job)) for job in alive]


def parameters(config: Config, job: Job) -> dict[str, str]:
    """The parameters that a job shows; none of a job that does not show any yet, or any more."""
    found = rest.get(config, f"/jobs/{job.id}/config").get("execution-config") or {}
    return dict(found.get("user-config") or {})


def live(config: Config) -> list[Job]:
    """The live jobs that write this configuration's topics."""
    (name, topic), *_ = written_topics(config).items()
    return [job for job, told in running(config) if job.name == JOB_NAME and told.get(name) == topic]


def cause(output: str) -> str:
    """The most useful line of the output: the last one that names an exception."""
    causes = [line.strip() for line in output.splitlines() if re.search(r"(Error|Exception)\b.*:", line)]
    return causes[-1].removeprefix("Caused by: ") if causes else "no reason given"
