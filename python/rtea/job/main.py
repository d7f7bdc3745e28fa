"""The program that `flink run -py` executes. `rtea.job.submit` starts it; do not start it by hand."""

import sys
from pathlib import Path

from rtea import config as configuration
from rtea import topics
from rtea.aggregate import Submission
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
    from_ms, to_ms = span_ms or connect.WHOLE_TOPIC
    longest_records = topics.check(config)
    beside = "" if writer == LIVE else writer
    submission = Submission(config.job.window_ms, generation, generations.digest(config), beside)
    jar_names = [str(path) for path in paths]
    env = graph.build(config, sys.executable, longest_records, jar_names, submission, (from_ms, to_ms))
    env.execute(BACKFILL_NAME if span_ms else JOB_NAME)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
