"""The plan of a run: everything the shards must agree on, decided once."""

import math
import time
from dataclasses import dataclass

from rtea.config import Config

START_DELAY_S = 1.5
"""Head start for the shards to come up before the first event is due."""


@dataclass(frozen=True)
class Plan:
    """A run. Event `number` belongs to shard `number % procs`; times are ms since the epoch."""

    config: Config
    start_ms: int
    """Event time of the first event."""
    began_s: float
    """Wall-clock time at which the first event is due, in seconds since the epoch."""
    events: int | None
    """Number of events; None runs until interrupted."""

    @property
    def procs(self) -> int:
        """Number of shards."""
        return self.config.generator.procs

    def due_at_s(self, number: int) -> float:
        """Wall-clock time at which an event is due; always past when speed is 0."""
        generator = self.config.generator
        return self.began_s + number / (generator.rate * generator.speed) if generator.speed else 0.0

    def due_number(self, now_s: float) -> float:
        """Number of the first event that is not due yet."""
        generator = self.config.generator
        if not generator.speed:
            return math.inf
        return (now_s - self.began_s) * generator.rate * generator.speed


def make(config: Config, *, start_ms: int | None, events: int | None, duration_s: float | None) -> Plan:
    """Plan a run. Without a start, a live run (speed 1) starts shortly from now, any other so that
    its last event lies in the past.
    """
    if events is None and duration_s is not None:
        events = round(duration_s * config.generator.rate)
    began_s = time.time() + (START_DELAY_S if config.generator.speed else 0.0)
    if start_ms is None:
        length_ms = 0 if config.generator.speed == 1 else (events or 0) * 1000 // config.generator.rate
        start_ms = int(began_s * 1000) - length_ms
    return Plan(config, start_ms, began_s, events)
