"""`rtea job submit|status|stop|cancel`: controls the job on a running cluster, through Flink's client and REST."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from rtea import config as configuration
from rtea import topics
from rtea.config import Config
from rtea.errors import ConfigError, JobError
from rtea.flink import jar
from rtea.job import cluster
from rtea.job import generation as generations
from rtea.job.generation import Known
from rtea.job.names import GENERATION, JOB_NAME, LIVE, SETTINGS, written_topics
from rtea.stack import flink, jars, rest
from rtea.stack.layout import INSIDE, Layout

START_SECONDS = 90

STOP_SECONDS = 300

ENTRY = Path(__file__).with_name("main.py")


def submit(config: Config, *, savepoint: str | None = None, another: bool = False) -> str:
    """Submit the job, wait until it runs, and return its id. With a savepoint, the job continues from there; wait until
    its first checkpoint. Without `another`, refuse a second job on the same topics: both would write results of the
    same windows.

    Raises:
        BrokerError, MissingTopicError, JarError, StackError: something that the job needs is missing.
        JobError: Flink refused it, it failed at once, or another job writes the same topics.
    """
    if savepoint and _is_missing(savepoint):
        raise JobError(f"savepoint {savepoint} not found: name the address that `rtea job stop` printed")
    _check(config)
    with _one_at_a_time(config):
        if not another:
            _require_alone(config)
        generation = generations.choose(config, _running_generations(config))
        if not savepoint:
            generations.require_whole_windows(config, generation)
        writer = f"another-{time.time_ns() // 1_000_000}" if another else LIVE
        job_id = launch(config, ENTRY, str(generation), writer, savepoint=savepoint)
    try:
        _wait_until_running(config, job_id, restored=bool(savepoint))
        if savepoint:
            _wait_until_it_goes_on(config, job_id)
    except JobError:
        # Otherwise Flink would retry it without end, and it would keep its slots.
        cancel(config, job_id)
        raise
    return job_id


def _is_missing(savepoint: str) -> bool:
    """Whether an address on this machine names no file. Only Flink can check other addresses."""
    path = _path(savepoint)
    return path is not None and not path.exists()


def _address(savepoint: str, layout: Layout) -> str:
    """A savepoint's address for Flink, whose processes run in the state directory."""
    path = _path(savepoint)
    if path is None:
        return savepoint
    path = path.absolute()
    return f"file://{layout.as_seen_inside(path) if path.is_relative_to(layout.root) else path}"


def _path(savepoint: str) -> Path | None:
    """The path in an address on this machine, with or without % escapes; None for other addresses."""
    scheme, colon, rest = savepoint.partition(":")
    if colon and scheme != "file":
        return None
    plain = Path("/" + rest.lstrip("/") if colon else savepoint)
    return plain if plain.exists() else Path(unquote(str(plain)))


@contextmanager
def _one_at_a_time(config: Config) -> Iterator[None]:
    """Hold the stack's lock, so that two submissions run one after the other."""
    layout = Layout.of(config.stack.state_dir)
    layout.claim()
    with open(layout.submission_lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _require_alone(config: Config) -> None:
    """Check that no other live job writes one of this job's topics."""
    wanted = written_topics(config).items()
    for job, told in cluster.running(config):
        shared = [topic for name, topic in wanted if told.get(name) == topic]
        if shared and job.name == JOB_NAME:
            raise JobError(
                f"job {job.id} writes topic {shared[0]} already: stop it with `rtea job stop {job.id}`, choose other "
                "topics, or submit a second one with --another"
            )


def _running_generations(config: Config) -> list[Known]:
    """The generations of the jobs that write this job's results topic, even if they have written nothing yet."""
    (name, topic), *_ = written_topics(config).items()
    told_by = (told for _, told in cluster.running(config) if told.get(name) == topic)
    return [Known(int(told[GENERATION]), told[SETTINGS]) for told in told_by if GENERATION in told and SETTINGS in told]


def backfill(config: Config, from_ms: int, to_ms: int, *, replace: bool = False) -> str:
    """Recompute the windows of a span of event time `[from, to)` from the events topic, wait for the end, and return
    the job's id. A live job may run beside it: the sinks keep the newer result of each window. With `replace`, the
    backfill's result is always the newer one, even if the live job counted more events.

    Raises:
        ConfigError: the span does not consist of whole windows, or of too many.
        BrokerError, MissingTopicError, JarError, StackError: something that the job needs is missing.
        JobError: Flink refused it, or it failed.
    """
    window_ms = config.job.window_ms
    if from_ms >= to_ms or from_ms % window_ms or to_ms % window_ms:
        raise ConfigError(
            f"backfill from {from_ms} to {to_ms} ms: expected the start of a window and the end of a later one, "
            f"multiples of job.window_ms ({window_ms})"
        )
    windows = (to_ms - from_ms) // window_ms
    if windows > config.job.backfill_windows:
        raise ConfigError(
            f"backfill of {windows} windows: it keeps them all in memory, at most job.backfill_windows "
            f"({config.job.backfill_windows}): split the span, or raise that setting and stack.taskmanager_memory"
        )
    _check(config)
    with _one_at_a_time(config):
        generation = generations.choose(config, _running_generations(config), replace=replace)
        writer = f"backfill-{time.time_ns() // 1_000_000}"
        job_id = launch(config, ENTRY, str(generation), writer, str(from_ms), str(to_ms))

    def has_ended() -> bool:
        state = cluster.describe(config, job_id)["state"]
        if state in ("FAILED", "CANCELED"):
            raise JobError(f"backfill {job_id} {state.lower()}: {cluster.root_cause(config, job_id)}")
        return bool(state == "FINISHED")

    try:
        Retrying(retry=retry_if_result(lambda done: not done), wait=wait_fixed(0.5))(has_ended)
    except KeyboardInterrupt:
        cancel(config, job_id)
        raise
    return job_id


def _check(config: Config) -> None:
    topics.check(config)
    jar.locate()
    jars.locate(config.jars, "flink")


def launch(config: Config, entry: Path, *program_arguments: str, savepoint: str | None = None) -> str:
    """Run a PyFlink program through Flink's client, detached, and return the id of the job that it submits. The
    program's first argument is a file with the configuration (`rtea.config.restore`).

    Raises:
        StackError: no cluster answers.
        JobError: Flink refused the job.
    """
    cluster.jobs(config)
    layout = Layout.of(config.stack.state_dir)
    python = flink.interpreter()
    start = ["-s", _address(savepoint, layout)] if savepoint else []
    layout.claim()
    # Each submission writes its own configuration file, and deletes it when the client has read it.
    with tempfile.TemporaryDirectory(prefix="submit-", dir=layout.root) as folder:
        settings = Path(folder) / "job-config.json"
        configuration.save(config, settings)
        # Flink reads a program's path as a URI, in which characters of the user's path may have a special meaning.
        program_file = layout.as_seen_inside(Path(shutil.copy(entry, folder)))
        program = ["-py", program_file, str(settings), *program_arguments]
        command = flink.client_command("run", "-d", *start, "-pyexec", python, "-pyclientexec", python, *program)
        environment = {**os.environ, **flink.environment(layout)}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=layout.root)
    found = re.search(r"JobID ([0-9a-f]{32})", ran.stdout)
    if ran.returncode or not found:
        log = layout.logs / "submit.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(ran.stdout + ran.stderr)
        raise JobError(f"Flink refused the job: {cluster.cause(ran.stdout + ran.stderr)} (see {log})")
    return found[1]


def _wait_until_running(config: Config, job_id: str, *, restored: bool) -> None:
    def running() -> bool:
        details = cluster.describe(config, job_id)
        if restored and cluster.exceptions(config, job_id):
            raise JobError(f"job {job_id} cannot continue from the savepoint: {cluster.root_cause(config, job_id)}")
        if details["state"] in ("FAILED", "CANCELED"):
            raise JobError(f"job {job_id} {details['state'].lower()}: {cluster.root_cause(config, job_id)}")
        tasks = [vertex["status"] for vertex in details["vertices"]]
        return details["state"] == "RUNNING" and all(status == "RUNNING" for status in tasks)

    try:
        Retrying(
            retry=retry_if_result(lambda done: not done), stop=stop_after_delay(START_SECONDS), wait=wait_fixed(0.2)
        )(running)
    except RetryError:
        reason = cluster.root_cause(config, job_id)
        raise JobError(f"job {job_id} did not run within {START_SECONDS} s: {reason}") from None


def _wait_until_it_goes_on(config: Config, job_id: str) -> None:
    """Wait for the first checkpoint of a job that started from a savepoint: it proves that the job reads on."""

    def goes_on() -> bool:
        if cluster.checkpoint_status(config, job_id).completed_checkpoints:
            return True
        if cluster.exceptions(config, job_id):
            raise JobError(f"job {job_id} cannot continue from the savepoint: {cluster.root_cause(config, job_id)}")
        return False

    try:
        Retrying(
            retry=retry_if_result(lambda done: not done), stop=stop_after_delay(START_SECONDS), wait=wait_fixed(0.2)
        )(goes_on)
    except RetryError:
        raise JobError(f"job {job_id} made no checkpoint within {START_SECONDS} s: see Flink's web page") from None


def stop(config: Config, job_id: str) -> str:
    """Stop a job with a savepoint and return the savepoint's address. A later job can continue from it, with another
    release or parallelism.

    Raises:
        StackError: no cluster answers.
        JobError: the job is unknown or not running, or the savepoint failed. In the last case the job keeps running.
    """
    job_id = _known(config, job_id)
    answer = rest.post(config, f"/jobs/{job_id}/stop", {"drain": False})
    if not answer.ok:
        raise JobError(f"job {job_id} cannot be stopped: Flink answers {answer.status_code} {answer.reason}")
    path = f"/jobs/{job_id}/savepoints/{answer.json()['request-id']}"
    try:
        done = Retrying(
            retry=retry_if_result(lambda answer: answer["status"]["id"] != "COMPLETED"),
            stop=stop_after_delay(STOP_SECONDS),
            wait=wait_fixed(0.2),
        )(rest.get, config, path)
    except RetryError:
        raise JobError(f"the savepoint of job {job_id} is not done after {STOP_SECONDS} s: see Flink's page") from None
    operation = done["operation"]
    if "location" not in operation:
        raise JobError(
            f"the savepoint of job {job_id} failed: {cluster.cause(operation['failure-cause']['stack-trace'])}"
        )
    _wait_until_ended(config, job_id)
    location: str = operation["location"]
    root = str(Layout.of(config.stack.state_dir).root)
    return root + location.removeprefix(f"file:{INSIDE}") if location.startswith(f"file:{INSIDE}/") else location


def _known(config: Config, job_id: str) -> str:
    """The id of the only job whose id begins with these characters."""
    found = [job.id for job in cluster.jobs(config) if job_id and job.id.startswith(job_id)]
    if len(found) != 1:
        problem = f"means {len(found)} jobs of the cluster" if found else "is unknown to the cluster"
        raise JobError(f"job {job_id} {problem}: `rtea job status` lists its jobs")
    return found[0]


def cancel(config: Config, job_id: str) -> str:
    """Cancel a job, wait until it has ended, and return its id. The first characters of the id are enough.

    Raises:
        StackError: no cluster answers.
        JobError: it did not end in time.
    """
    job_id = _known(config, job_id)
    rest.patch(config, f"/jobs/{job_id}")
    _wait_until_ended(config, job_id)
    return job_id


def _wait_until_ended(config: Config, job_id: str) -> None:
    try:
        Retrying(
            retry=retry_if_result(lambda state: state not in cluster.ENDED),
            stop=stop_after_delay(START_SECONDS),
            wait=wait_fixed(0.2),
        )(lambda: cluster.describe(config, job_id)["state"])
    except RetryError:
        raise JobError(f"job {job_id} did not end within {START_SECONDS} s: see Flink's web page") from None
