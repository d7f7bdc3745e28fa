"""`rtea job submit|status|cancel`: the job on a running cluster, through Flink's client and REST."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from rtea import config as configuration
from rtea import topics
from rtea.config import Config
from rtea.errors import JobError, StackError
from rtea.flink import jar
from rtea.stack import flink, jars, local
from rtea.stack.layout import Layout

START_SECONDS = 90

ENTRY = Path(__file__).with_name("main.py")


@dataclass(frozen=True)
class Job:
    """A job on the cluster; `state` is Flink's word, for example RUNNING."""

    id: str
    name: str
    state: str


def submit(config: Config) -> str:
    """Submit the job and wait until it runs; returns its id.

    Raises:
        BrokerError, MissingTopicError, JarError, StackError: what it needs is not there.
        JobError: Flink refused it, or it failed at once.
    """
    topics.check(config)
    jar.locate()
    jars.locate(config.jars, "flink")
    job_id = launch(config, ENTRY)
    try:
        _wait_until_running(config, job_id)
    except JobError:
        # Left alone, it would try for ever and hold on to the slots it could get.
        cancel(config, job_id)
        raise
    return job_id


def launch(config: Config, entry: Path) -> str:
    """Run a PyFlink program through Flink's client, detached; returns the id of the job it submits. The
    program's argument is a file with the configuration (`rtea.config.restore`).

    Raises:
        StackError: no cluster answers.
        JobError: Flink refused the job.
    """
    jobs(config)
    layout = Layout.of(config.stack.state_dir)
    configuration.save(config, layout.job_config)
    python = flink.interpreter()
    arguments = ["run", "-d", "-pyexec", python, "-pyclientexec", python, "-py", str(entry), str(layout.job_config)]
    command = flink.client_command(*arguments)
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **flink.environment(layout)})
    found = re.search(r"JobID ([0-9a-f]{32})", ran.stdout)
    if ran.returncode or not found:
        log = layout.logs / "submit.log"
        log.write_text(ran.stdout + ran.stderr)
        raise JobError(f"Flink refused the job: {_cause(ran.stdout + ran.stderr)} (see {log})")
    return found[1]


def _cause(output: str) -> str:
    """The line that tells most: the last exception named."""
    causes = [line.strip() for line in output.splitlines() if re.search(r"(Error|Exception)\b.*:", line)]
    return causes[-1].removeprefix("Caused by: ") if causes else "no reason given"


def _wait_until_running(config: Config, job_id: str) -> None:
    def running() -> bool:
        details = describe(config, job_id)
        if details["state"] in ("FAILED", "CANCELED"):
            raise JobError(f"job {job_id} {details['state'].lower()}: {root_cause(config, job_id)}")
        tasks = [vertex["status"] for vertex in details["vertices"]]
        return details["state"] == "RUNNING" and all(status == "RUNNING" for status in tasks)

    try:
        Retrying(
            retry=retry_if_result(lambda done: not done), stop=stop_after_delay(START_SECONDS), wait=wait_fixed(0.2)
        )(running)
    except RetryError:
        reason = root_cause(config, job_id)
        raise JobError(f"job {job_id} did not run within {START_SECONDS} s: {reason}") from None


def _get(config: Config, path: str) -> Any:
    address = f"{local.rest_address(config)}{path}"
    try:
        answer = requests.get(address, timeout=10)
        answer.raise_for_status()
        return answer.json()
    except requests.HTTPError as error:
        raise JobError(f"Flink refuses {path}: {error.response.status_code} {error.response.reason}") from error
    except requests.RequestException as error:
        raise StackError(f"no Flink cluster answers at {address}: start one with `rtea stack up`") from error


def jobs(config: Config) -> list[Job]:
    """Every job the cluster knows.

    Raises:
        StackError: no cluster answers.
    """
    return [Job(job["jid"], job["name"], job["state"]) for job in _get(config, "/jobs/overview")["jobs"]]


def describe(config: Config, job_id: str) -> dict[str, Any]:
    """What REST says of a job.

    Raises:
        StackError: no cluster answers.
    """
    details: dict[str, Any] = _get(config, f"/jobs/{job_id}")
    return details


def root_cause(config: Config, job_id: str) -> str:
    """First line of the exception that failed a job last, in the words of its innermost cause."""
    history = _get(config, f"/jobs/{job_id}/exceptions").get("exceptionHistory", {}).get("entries", [])
    return _cause(history[0]["stacktrace"]) if history else "no exception is known"


def metrics(config: Config, job_id: str, vertex_id: str, names: list[str]) -> dict[str, dict[str, float]]:
    """Aggregated metrics of a vertex: by name, then `min`, `max`, `sum`, `avg`.

    Raises:
        StackError: no cluster answers.
    """
    query = ",".join(names)
    found = _get(config, f"/jobs/{job_id}/vertices/{vertex_id}/subtasks/metrics?get={query}")
    return {entry.pop("id"): entry for entry in found}


def cancel(config: Config, job_id: str) -> None:
    """Cancel a job and wait until it has ended.

    Raises:
        StackError: no cluster answers.
        JobError: it did not end in time.
    """
    if job_id not in {job.id for job in jobs(config)}:
        raise JobError(f"job {job_id} is unknown to the cluster: `rtea job status` lists its jobs")
    requests.patch(f"{local.rest_address(config)}/jobs/{job_id}", timeout=10)
    try:
        Retrying(
            retry=retry_if_result(lambda state: state not in ("CANCELED", "FAILED", "FINISHED")),
            stop=stop_after_delay(START_SECONDS),
            wait=wait_fixed(0.2),
        )(lambda: describe(config, job_id)["state"])
    except RetryError:
        raise JobError(f"job {job_id} did not end within {START_SECONDS} s: see Flink's web page") from None
