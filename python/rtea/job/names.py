"""What a running job tells of itself: its name, and the topics it writes. Needs no pyflink."""

from rtea.config import Config

JOB_NAME = "rtea"

BACKFILL_NAME = "rtea backfill"


def written_topics(config: Config) -> dict[str, str]:
    """The topics that a job writes, by the names under which Flink shows them among its parameters."""
    return {"rtea.results-topic": config.kafka.results_topic, "rtea.dead-letter-topic": config.kafka.dead_letter_topic}
