"""Fold: the UDF that passes packed batches to Rust.

The batches come from the Java `PackInterceptor`. Partials, counts of refused events and the progress go to the Java
`Watermarks` operator (`rtea.flink.elements`). Dead letters go to the dead letter topic through a side output.
"""

import time
from collections.abc import Iterator

from pyflink.datastream import OutputTag, ProcessFunction, RuntimeContext

from rtea.aggregate import Folder
from rtea.config import Config
from rtea.flink import elements
from rtea.flink.connect import BYTES, Span
from rtea.flink.counters import FoldCounters

DEAD_LETTERS = OutputTag("dead-letters", BYTES)


class Fold(ProcessFunction):
    """Folds each batch into one partial aggregate for each window of its events."""

    def __init__(
        self, config: Config, max_letter_bytes: int, span: Span | None = None, event_map: str | None = None
    ) -> None:
        self._config, self._max_letter_bytes, self._span, self._event_map = config, max_letter_bytes, span, event_map

    def open(self, runtime_context: RuntimeContext) -> None:
        """Make the folder here: it is a Rust object, so it cannot be pickled with the UDF."""
        self._counters = FoldCounters(runtime_context.get_metrics_group())
        job = self._config.job
        self._folder = Folder(
            window_ms=job.window_ms,
            max_skew_ms=job.max_skew_ms,
            span_ms=self._span,
            max_event_bytes=job.max_event_bytes,
            max_letter_bytes=self._max_letter_bytes,
            topic=self._config.kafka.events_topic,
            max_dimensions=job.max_dimensions,
            event_types=job.event_types,
            categories=job.categories,
            currencies=job.currencies,
            deduplicate_orders=job.deduplicate_orders,
            metrics=job.metrics,
            top_products=job.top_products,
            event_map=self._event_map,
            format=None if self._config.events.format == "auto" else self._config.events.format,
        )

    def process_element(self, value: bytes, ctx: ProcessFunction.Context) -> Iterator[object]:
        """Fold one batch. Rust releases the interpreter lock (GIL) meanwhile."""
        began_ns = time.perf_counter_ns()
        folded = self._folder.fold(bytes(value))
        self._counters.add(folded, time.perf_counter_ns() - began_ns)
        for letter in folded.dead_letters:
            yield DEAD_LETTERS, letter
        for window_start_ms, state in folded.partials:
            yield elements.partial(window_start_ms, state)
        for state in folded.refused:
            yield elements.refused(state)
        yield elements.progress(folded.progress)
