"""The program that `flink run -py` executes. `rtea.job.submit` starts it; do not start it by hand."""

import sys
from pathlib import Path

from rtea import config as configuration
from rtea import topics
from rtea.aggregate import Submission
from rtea.config import Config
from rtea.flink import connect, jar
from rtea.job import generation as generations
from rtea.job import graph
from rtea.job.names import BACKFILL_NAME, JOB_NAME, LIVE
from rtea.stack import jars

# PyFlink imports Beam, and with it pandas and a MongoDB client, only to see whether Beam's compiled coders are there.
# That takes half of a submission's time, and building a graph does not need them. So hide Beam.
sys.modules["apache_beam"] = None  # type: ignore[assignment]


def main(config_file: Path, generation: int, writer: str, *span_ms: int) -> None:
    """Build the graph from a resolved configuration and submit it. With a span of event time (start and end), the job
    is bounded. `writer` is `live`, or the name of a job that writes beside the live job.
    """
    config = configuration.restore(config_file)
    paths = [*jars.locate(config.jars, "flink"), jar.locate()]
    longest_records = topics.check(config)
    beside = "" if writer == LIVE else writer
    submission = Submission(config.job.window_ms, generation, generations.digest(config), beside)
    jar_names = [str(path) for path in paths]
    reading = plan(config, connect.Span(*span_ms) if span_ms else None)
    env = graph.build(config, sys.executable, longest_records, jar_names, submission, reading)
    env.execute(BACKFILL_NAME if span_ms else JOB_NAME)


def plan(config: Config, span: connect.Span | None) -> connect.Reading:
    """Choose the offsets at which the job starts and ends. They are fixed here, so that a job that starts again before
    its first checkpoint reads the same records.
    """
    kafka, job = config.kafka, config.job
    if span is not None:
        starts = topics.start_offsets(kafka, kafka.events_topic, span.from_ms - job.backfill_slack_ms)
        return connect.Reading(starts, topics.end_offsets(kafka, kafka.events_topic), span)
    if job.start_from == "latest":
        return connect.Reading(topics.end_offsets(kafka, kafka.events_topic), {}, None)
    return connect.EVERYTHING


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
