"""Fold: the UDF that passes packed batches to Rust.

The batches come from the Java `PackOperator`. One partial per batch goes to `rtea.flink.merge`. Dead letters go to the
dead letter topic through a side output, and their counts to `rtea.flink.refused` through another one.
"""

import time
from collections.abc import Iterator

from pyflink.datastream import OutputTag, ProcessFunction, RuntimeContext

from rtea.aggregate import Folder
from rtea.config import Config
from rtea.flink.connect import BYTES
from rtea.flink.refused import REFUSED

DEAD_LETTERS = OutputTag("dead-letters", BYTES)


class Fold(ProcessFunction):
    """Folds each batch into a partial aggregate of its window."""

    def __init__(self, config: Config, max_letter_bytes: int) -> None:
        self._config, self._max_letter_bytes = config, max_letter_bytes

    def open(self, runtime_context: RuntimeContext) -> None:
        """Make the folder here: it is a Rust object, so it cannot be pickled with the UDF."""
        job = self._config.job
        self._folder = Folder(
            window_ms=job.window_ms,
            timestamp_tolerance_ms=job.timestamp_tolerance_ms,
            max_event_bytes=job.max_event_bytes,
            max_letter_bytes=self._max_letter_bytes,
            topic=self._config.kafka.events_topic,
            max_dimensions=job.max_dimensions,
            event_types=job.event_types,
            categories=job.categories,
            currencies=job.currencies,
            deduplicate_orders=job.deduplicate_orders,
        )

    def process_element(self, value: bytes, ctx: ProcessFunction.Context) -> Iterator[object]:
        """Fold one batch. Rust releases the interpreter lock (GIL) meanwhile."""
        folded = self._folder.fold(bytes(value), time.time_ns() // 1_000_000)
        for letter in folded.dead_letters:
            yield DEAD_LETTERS, letter
        for refused in folded.refused:
            yield REFUSED, refused
        if folded.partial is not None:
            yield folded.partial
