"""The cost of `job.deduplicate_orders`: folds and merges a minute of 50,000 events/s in this process.

    python -m bench.orders

It asserts that the result record is the same with and without the setting: no order in this stream is repeated.
"""

import time
from collections.abc import Iterator

from bench import machine
from bench.test_core import EVENTS, WINDOW_MS, batch, stream
from rtea import aggregate

RATE_HZ = 50_000


def batches() -> Iterator[bytes]:
    """The packed batches of one window."""
    made = stream(RATE_HZ)
    for first in range(0, RATE_HZ * WINDOW_MS // 1_000, EVENTS):
        yield batch("json", made, first)


def run(*, deduplicate_orders: bool) -> bytes:
    """Fold and merge the window, print the time, and return the result record."""
    folder = aggregate.Folder(
        window_ms=WINDOW_MS,
        max_event_bytes=262_144,
        topic="events",
        deduplicate_orders=deduplicate_orders,
    )
    window: bytes | None = None
    fold_s = merge_s = 0.0
    for packed in batches():
        started_s = time.process_time()
        ((_, partial),) = folder.fold(packed).partials
        folded_s = time.process_time()
        window = aggregate.merge_partials(window, partial) if window else partial
        fold_s += folded_s - started_s
        merge_s += time.process_time() - folded_s
    assert window is not None
    started_s = time.process_time()
    result = aggregate.encode_result(window, aggregate.Submission(WINDOW_MS, 1, ""))
    rows_s = time.process_time() - started_s
    way = "counted once" if deduplicate_orders else "not deduplicated"
    print(
        f"orders {way}: fold {fold_s:.2f} s, merge {merge_s:.2f} s, rows {rows_s * 1000:.0f} ms of CPU; "
        f"state of the window {len(window) / 2**20:.2f} MiB"
    )
    return result


def main() -> None:
    """Run with and without the setting, three times in turn."""
    print(machine.describe())
    for _ in range(3):
        as_they_come = run(deduplicate_orders=False)
        counted_once = run(deduplicate_orders=True)
        assert as_they_come == counted_once, "the rows differ, although no order is repeated"


if __name__ == "__main__":
    main()
