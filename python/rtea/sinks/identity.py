"""Whether the results topic is still the one whose offsets a sink keeps."""

import logging
import threading

from rtea import topics
from rtea.config import Config
from rtea.errors import BrokerError, MissingTopicError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Time between looks at the topic's id."""


class TopicIdentity:
    """Notices that Kafka is away, or that the results topic was deleted and made again: offsets of the old topic would
    skip records. It looks from a thread of its own: the consumer's calls wait for Kafka without a word.

    Raises:
        BrokerError, MissingTopicError: the results topic cannot be read.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.id = self._found = self._ask()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="topic identity", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def check(self) -> None:
        """Compare the id that was found last.

        Raises:
            MissingTopicError: it is another topic's.
        """
        self.require(self._found)

    def _watch(self) -> None:
        is_away = False
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self._found = self._ask()
            except (BrokerError, MissingTopicError) as error:
                # The next look tells whether it comes back, or another topic in its place.
                if not is_away:
                    logger.warning("%s: waiting", error)
                is_away = True
                continue
            if is_away:
                logger.warning("Kafka answers again")
            is_away = False

    def require(self, found: str) -> None:
        """Compare another id with the topic's.

        Raises:
            MissingTopicError: they differ.
        """
        if found != self.id:
            kafka, group = self._config.kafka, self._config.sink.group_id
            raise MissingTopicError(
                f"topic {kafka.results_topic} was deleted and made again: the sink's offsets are of another topic. To "
                f"read the new one from its start, choose another sink.group_id than {group}"
            )

    def _ask(self) -> str:
        return topics.find_id(self._config.kafka, self._config.kafka.results_topic)
