"""Elements that the fold passes to the Java `Watermarks` operator, which takes them apart.

Each begins with one byte that says what it is:

- a partial: | window start i64, ms | state bytes |
- counts of refused events: | state bytes |
- progress, after the partials of its batch: | partition i32 | next offset i64 | event time i64, ms |

Numbers are little-endian. Without a valid event, the event time of a progress is the least number.
"""

import struct

from rtea.aggregate import Progress

PROGRESS = 0x80
PARTIAL = 0x81
REFUSED = 0x82

NO_TIME = -(2**63)


def partial(window_start_ms: int, state: bytes) -> bytes:
    """A partial of a window.

    >>> partial(1, b"x").hex()
    '81010000000000000078'
    """
    return struct.pack("<Bq", PARTIAL, window_start_ms) + state


def refused(state: bytes) -> bytes:
    """Counts of refused events.

    >>> refused(b"x").hex()
    '8278'
    """
    return bytes([REFUSED]) + state


def progress(found: Progress) -> bytes:
    """How far a partition has come.

    >>> progress(Progress(1, 2, 3)).hex()
    '800100000002000000000000000300000000000000'
    """
    event_time_ms = NO_TIME if found.event_time_ms is None else found.event_time_ms
    return struct.pack("<Biqq", PROGRESS, found.partition, found.next_offset, event_time_ms)
