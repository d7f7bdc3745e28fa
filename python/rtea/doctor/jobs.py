"""Checks of Flink and the job: whether it runs, its checkpoints, how far it has come in each partition."""

from collections.abc import Iterator

from rtea import topics
from rtea.config import Config
from rtea.doctor.broker import written_offsets
from rtea.doctor.finding import Found, ok, show_time
from rtea.errors import JobError
from rtea.job import cluster, progress
from rtea.job.cluster import Job
from rtea.job.names import JOB_NAME, written_topics
from rtea.stack import rest

MOST_UNREAD = 100_000
"""More unread records, and the job is behind."""


def flink(config: Config) -> Iterator[Found]:
    """Whether Flink answers, and its slots."""
    found = rest.get(config, "/overview")
    if not found.get("taskmanagers"):
        yield "failed", "no TaskManager is registered at Flink", "run `rtea stack up`, or start a TaskManager"
        return
    yield ok(f"{rest.address(config)}: {found['slots-available']} of {found['slots-total']} slots free")


def running(config: Config) -> Iterator[Found]:
    """Whether one job runs on these topics, its restarts and its parallelism."""
    found = cluster.live(config)
    if not found:
        yield _no_job(config)
        return
    for each in found:
        yield from _state(config, each)
    if len(found) > 1:
        yield (
            "warning",
            f"{len(found)} jobs write topic {config.kafka.results_topic}: {', '.join(each.id for each in found)}",
            "stop those that you do not want with `rtea job stop`",
        )


def _no_job(config: Config) -> Found:
    (name, topic), *_ = written_topics(config).items()
    ended = [job for job in cluster.jobs(config) if job.name == JOB_NAME and job.state in cluster.ENDED]
    mine = [job for job in ended if cluster.parameters(config, job).get(name, topic) == topic]
    last = max(mine, key=lambda job: job.started_ms, default=None)
    if last is not None and last.state == "FAILED":
        cause = cluster.root_cause(config, last.id)
        return "failed", f"job {last.id} failed: {cause}", "remove the cause, and submit it again"
    return (
        "failed",
        f"no job writes topic {topic}",
        "run `rtea job submit`, with --savepoint if you stopped one with a savepoint",
    )


def _state(config: Config, each: Job) -> Iterator[Found]:
    details = cluster.describe(config, each.id)
    if each.state != "RUNNING" or any(vertex["status"] != "RUNNING" for vertex in details["vertices"]):
        state = each.state.lower() if each.state != "RUNNING" else "starting"
        yield (
            "failed",
            f"job {each.id} is {state}: {cluster.root_cause(config, each.id)}",
            "remove the cause: the job tries again by itself",
        )
        return
    restarts = cluster.restarts(config, each.id)
    if restarts:
        yield (
            "warning",
            f"job {each.id} was restarted {restarts} times since its submission, last for: "
            f"{cluster.root_cause(config, each.id)}",
            "nothing is lost; see Flink's log if it happens again",
        )
    parallelism = max(vertex["parallelism"] for vertex in details["vertices"])
    partitions = topics.list_partitions(config.kafka).get(config.kafka.events_topic, 0)
    if parallelism > partitions:
        yield (
            "warning",
            f"job {each.id} has {parallelism} subtasks for {partitions} partitions: {parallelism - partitions} have "
            "nothing to read",
            "lower job.parallelism, or add partitions",
        )
    if not restarts and parallelism <= partitions:
        yield ok(f"job {each.id} is running, {parallelism} subtasks for {partitions} partitions")


def checkpoints(config: Config) -> Iterator[Found]:
    """Whether the job's checkpoints succeed: without them, no result is visible."""
    for each in cluster.live(config):
        status = cluster.checkpoint_status(config, each.id)
        if status.is_failing:
            yield (
                "failed",
                f"job {each.id}: the last checkpoint failed, {status.failed_checkpoints} in all: {status.last_failure}",
                "free the disk of the checkpoints or remove the cause: results become visible with the next checkpoint",
            )
        elif not status.completed_checkpoints:
            yield (
                "warning",
                f"job {each.id} has completed no checkpoint yet",
                "wait for the first one",
            )
        else:
            yield ok(f"{status.completed_checkpoints} completed, {status.failed_checkpoints} failed")


def partitions(config: Config) -> Iterator[Found]:
    """How far the job has come in each partition, and what holds the watermark back."""
    for each in cluster.live(config):
        yield from _partitions(config, each.id)


def _partitions(config: Config, job_id: str) -> Iterator[Found]:
    kafka = config.kafka
    try:
        found = progress.of_job(config, job_id)
    except JobError as error:
        yield "warning", str(error), "ask again in a moment"
        return
    written = written_offsets(kafka)
    readable = topics.end_offsets(kafka, kafka.events_topic)
    limit_ms = config.job.idle_timeout_ms + config.job.watermark_delay_ms + config.job.window_ms
    is_held = found.held_ms > limit_ms and found.slowest is not None
    for number, end in readable.items():
        partition = found.partitions.get(number, progress.Partition(None, None, is_idle=False))
        unread = end - partition.next_offset if partition.next_offset is not None else end
        where = f"partition {number}: end {end:,}, read up to {partition.next_offset or 0:,}"
        if is_held and number == found.slowest:
            why = _why(written.get(number, end) > end, unread > 0)
            yield (
                "warning",
                f"{where}: it has held the watermark back for {found.held_ms / 1000:,.0f} s: {why[0]}",
                why[1],
            )
        elif unread > MOST_UNREAD:
            yield (
                "warning",
                f"{where}: {unread:,} records are unread",
                "see whether the job catches up: raise job.parallelism, or add TaskManagers",
            )
        else:
            state = "idle" if partition.is_idle else f"event time {show_time(partition.event_time_ms)}"
            yield ok(f"{where}, {state}")


def _why(is_open: bool, is_unread: bool) -> tuple[str, str]:
    if is_open:
        return "an open transaction", "end the producer's transaction, or wait for its transaction.timeout.ms"
    if is_unread:
        return "it has unread records", "see whether the job falls behind: raise job.parallelism, or add TaskManagers"
    return "its events are older than those of the others", "look at the producer of this partition"
