"""Ctrl-C, SIGTERM and a closed terminal during a run: noted, and looked at between two steps.

An exception in their place could fall between two lines that belong together, and lose a window of the manifest.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ONE_SECONDS = 0.5
"""Signals within this time are one: a terminal sends to the whole group, and a shell once more."""


class Seen:
    """The signals of a run: when the first came (0.0: none), and whether a second one did."""

    def __init__(self) -> None:
        self.first_s = 0.0
        self.are_two = False

    def note(self, number: int, _: object) -> None:
        """Note a signal; a closed terminal may tell so several times."""
        now_s = time.monotonic()
        if not self.first_s:
            self.first_s = now_s
        elif number != signal.SIGHUP and now_s > self.first_s + ONE_SECONDS:
            self.are_two = True


@contextmanager
def counted() -> Iterator[Seen]:
    """Note signals for a block; one that the process was started to ignore stays ignored."""
    seen = Seen()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, seen.note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def blocked() -> Iterator[None]:
    """Hold signals back for a block; processes that it starts have them blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS[::2])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
