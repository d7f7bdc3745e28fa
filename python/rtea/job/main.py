"""The program that `flink run -py` executes; started by `rtea.job.submit`, not by hand."""

import sys
from pathlib import Path

from rtea import config as configuration
from rtea import topics
from rtea.flink import jar
from rtea.job import graph
from rtea.stack import jars


def main(config_file: Path) -> None:
    """Build the graph from a resolved configuration and submit it."""
    config = configuration.restore(config_file)
    paths = [*jars.locate(config.jars, "flink"), jar.locate()]
    env = graph.build(config, sys.executable, topics.check(config), [str(path) for path in paths])
    env.execute(graph.JOB_NAME)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
