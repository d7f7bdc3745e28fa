"""How far a running job has come: what its operators show in Flink's REST interface."""

from typing import Any, NamedTuple

from rtea import topics
from rtea.config import Config
from rtea.errors import JobError
from rtea.job import cluster

SOURCE = "Source: events"
WATERMARKS = "watermarks"
MERGE = "merge"

RECORDS_OUT, PENDING = "Source__events.deserializer.rtea_job_records_total", "Source__events.pendingRecords"
WATERMARK = f"{WATERMARKS}.currentOutputWatermark"
SLOWEST, HELD = (
    f"{WATERMARKS}.rtea_job_slowest_partition",
    f"{WATERMARKS}.rtea_job_watermark_held_milliseconds",
)

NAMES_IN_A_REQUEST = 60
"""Flink refuses a request line of more than 4,096 bytes."""

NOTHING = -(2**63)
"""What Java's operators show for a time or an offset that they do not know."""


class NoFiguresError(JobError):
    """A job shows no figures: it is starting, or was submitted by another release."""


class Partition(NamedTuple):
    """A partition of the events topic as the job sees it: the next offset to read and the greatest event time (ms UTC),
    None before its first batch; whether it is idle, so that it does not hold the watermark back.
    """

    next_offset: int | None
    event_time_ms: int | None
    is_idle: bool


class Progress(NamedTuple):
    """How far a job has come: all records read so far, records still in Kafka, the watermark in ms UTC (None before the
    first), since how many ms it has not risen, the partition that holds it back (None for no one), the partitions.
    """

    records: float
    lag: float
    watermark_ms: int | None
    held_ms: float
    slowest: int | None
    partitions: dict[int, Partition]


def find_vertex(vertices: list[dict[str, Any]], operator: str) -> str:
    """The id of the vertex with an operator. With a parallelism of 1, Flink chains more operators in a vertex.

    Raises:
        NoFiguresError: there is none.
    """
    found = next((str(vertex["id"]) for vertex in vertices if operator in vertex["name"]), None)
    if found is None:
        raise NoFiguresError(f"the job has no operator {operator}: it was submitted by another release")
    return found


def of_job(config: Config, job_id: str) -> Progress:
    """Ask the operators of a job.

    Raises:
        StackError: no cluster answers.
        NoFiguresError: the job shows no such figures.
        BrokerError: Kafka does not answer.
    """
    vertices = cluster.describe(config, job_id)["vertices"]
    source, watermarks = find_vertex(vertices, SOURCE), find_vertex(vertices, WATERMARKS)
    numbers = range(topics.list_partitions(config.kafka).get(config.kafka.events_topic, 0))
    names = [f"{WATERMARKS}.partition.{number}.{what}" for number in numbers for what in _OF_PARTITION]
    try:
        found = cluster.metrics(config, job_id, source, [RECORDS_OUT, PENDING])
        found |= cluster.metrics(config, job_id, watermarks, [WATERMARK, SLOWEST, HELD])
        for first in range(0, len(names), NAMES_IN_A_REQUEST):
            found |= cluster.metrics(config, job_id, watermarks, names[first : first + NAMES_IN_A_REQUEST])
        watermark, slowest = found[WATERMARK]["min"], found[SLOWEST]["min"]
        return Progress(
            found[RECORDS_OUT]["sum"],
            found[PENDING]["sum"],
            _known(watermark),
            found[HELD]["max"],
            int(slowest) if slowest >= 0 else None,
            {number: _partition(found, number) for number in numbers},
        )
    except KeyError as error:
        raise NoFiguresError(f"job {job_id} shows no {error}: it is starting, or is of another release") from error


_OF_PARTITION = ("rtea_job_next_offset", "rtea_job_event_time_milliseconds", "rtea_job_is_idle")


def _partition(found: dict[str, dict[str, float]], number: int) -> Partition:
    next_offset, event_time_ms, is_idle = (
        found.get(f"{WATERMARKS}.partition.{number}.{what}", {}).get("min", NOTHING) for what in _OF_PARTITION
    )
    return Partition(_known(next_offset), _known(event_time_ms), is_idle == 1)


def _known(value: float) -> int | None:
    # Java shows doubles: the least long is not exact.
    return int(value) if value > NOTHING / 2 else None
