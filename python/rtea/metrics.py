"""The registry of metrics, as the Rust core has it (`rust_core/rtea-core/src/metrics`): one file and one line for each.

A metric gives one or more series of rows. Docs, settings, views and the dashboard read this list.
"""

from functools import cache
from typing import NamedTuple


class Series(NamedTuple):
    """One kind of rows: the value of the column `metric`, what the column `dimension` holds, the unit of the value, and
    one sentence about it.

    The unit `count` is a whole number in the column `event_count`, `money` an amount in `revenue`, and `distinct` an
    estimate in `unique_visitors` with its sketch in `visitors_sketch`. Over several windows, counts and money add up;
    sketches merge.
    """

    name: str
    dimension: str
    unit: str
    description: str


DEFAULT = ("event_count", "revenue", "unique_visitors")
"""What a job counts if the settings do not say otherwise."""

OF_EVERY_MANIFEST = frozenset({"event_count", "revenue", "unique_visitors"})
"""The generator counts these always, and the others if the job does."""


@cache
def registry() -> dict[str, tuple[Series, ...]]:
    """Give the series of each metric.

    >>> [series.unit for series in registry()["revenue"]]
    ['money']
    """
    # Settings import this module, and set-up reads them while the extension compiles.
    from rtea import _core

    return {name: tuple(Series(*described) for described in series) for name, series in _core.METRICS}
