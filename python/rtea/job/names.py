"""What a running job tells of itself: its name, the topics it writes, its generation. Needs no pyflink."""

from rtea.aggregate import Submission
from rtea.config import Config

JOB_NAME = "rtea"

BACKFILL_NAME = "rtea backfill"

LIVE = "live"
"""The writer of a job without a rival; others have names of their own, and so keys of their own in the topic."""

GENERATION = "rtea.generation"

SETTINGS = "rtea.settings"


def written_topics(config: Config) -> dict[str, str]:
    """The topics that a job writes, by the names under which Flink shows them among its parameters."""
    return {"rtea.results-topic": config.kafka.results_topic, "rtea.dead-letter-topic": config.kafka.dead_letter_topic}


def parameters(config: Config, submission: Submission) -> dict[str, str]:
    """All that Flink shows of a job beside its graph."""
    return written_topics(config) | {GENERATION: str(submission.generation), SETTINGS: submission.settings}
