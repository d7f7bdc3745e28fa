"""Checks that a topic was not recreated: what a sink knows of its offsets belongs to the old one."""

import logging
import threading

from rtea import topics
from rtea.config import Config
from rtea.errors import BrokerError, MissingTopicError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Time between two checks of the topic's id."""


class TopicIdentity:
    """Watches the id of a topic, and logs when Kafka does not answer. In a recreated topic, the old offsets would skip
    records; `advice` tells the user what to do then. A thread of its own does this, because the consumer's calls wait
    for Kafka silently.

    Raises:
        BrokerError, MissingTopicError: the topic cannot be read.
    """

    def __init__(self, config: Config, topic: str, advice: str) -> None:
        self._config, self._topic, self._advice = config, topic, advice
        self.id = self._found = self._ask()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="topic identity", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._ended.set()

    def check(self) -> None:
        """Check the id that the thread found last.

        Raises:
            MissingTopicError: the topic was recreated.
        """
        self.require(self._found)

    def _watch(self) -> None:
        is_away = False
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self._found = self._ask()
            except (BrokerError, MissingTopicError) as error:
                # The next check shows whether the same topic or another one comes back.
                if not is_away:
                    logger.warning("%s: waiting", error)
                is_away = True
                continue
            if is_away:
                logger.warning("Kafka answers again")
            is_away = False

    def require(self, found: str) -> None:
        """Check that an id is the one that the topic had at the start.

        Raises:
            MissingTopicError: the ids differ.
        """
        if found != self.id:
            raise MissingTopicError(
                f"topic {self._topic} was deleted and recreated: the sink's offsets are of the old one: {self._advice}"
            )

    def _ask(self) -> str:
        return topics.find_id(self._config.kafka, self._topic)
