"""Notes Ctrl-C, SIGTERM and a closed terminal during a run; the run looks at the notes between two steps.

An exception could come between two lines that belong together, and lose a window of the manifest.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SAME_SIGNAL_SECONDS = 0.5
"""Signals within this time count as one: for one Ctrl-C, both the terminal and a shell may send a signal."""


class Seen:
    """The signals of a run: when the first one came (0.0: none yet), and whether a second one came."""

    def __init__(self) -> None:
        self.first_s = 0.0
        self.is_second = False

    def note(self, number: int, _: object) -> None:
        """Note a signal. A closed terminal may send several; they count as one."""
        now_s = time.monotonic()
        if not self.first_s:
            self.first_s = now_s
        elif number != signal.SIGHUP and now_s > self.first_s + SAME_SIGNAL_SECONDS:
            self.is_second = True


@contextmanager
def counted() -> Iterator[Seen]:
    """Note signals during a block. Signals that the process already ignores stay ignored."""
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
    """Block SIGINT and SIGHUP during a block; processes started in it inherit this."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS[::2])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
