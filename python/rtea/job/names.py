"""What a running job says about itself: its name, the topics that it writes, its generation. Needs no PyFlink."""

from rtea.aggregate import Submission
from rtea.config import Config

JOB_NAME = "rtea"

BACKFILL_NAME = "rtea backfill"

LIVE = "live"
"""The writer name of the live job. Other jobs have other names, so they use other keys in the results topic."""

GENERATION = "rtea.generation"

SETTINGS = "rtea.settings"


def written_topics(config: Config) -> dict[str, str]:
    """The topics that a job writes, by the name of the job parameter in which Flink shows them."""
    return {"rtea.results-topic": config.kafka.results_topic, "rtea.dead-letter-topic": config.kafka.dead_letter_topic}


def parameters(config: Config, submission: Submission) -> dict[str, str]:
    """The parameters of the job that Flink shows."""
    return written_topics(config) | {GENERATION: str(submission.generation), SETTINGS: submission.settings}
