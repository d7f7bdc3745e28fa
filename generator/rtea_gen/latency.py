"""The latency of deliveries. `rtea_gen.shard` measures it and adds it to its figures."""

import time
from collections import deque
from collections.abc import Callable


class LatencyClock:
    """Measures the latency of acknowledgements without a callback for each record: the time from sending the k-th
    record to receiving the k-th acknowledgement. This is exact if acknowledgements come in order, else nearly exact.
    """

    def __init__(self, report: Callable[[float, int], None]) -> None:
        self._report = report
        self._waiting: deque[tuple[int, float]] = deque()
        self._reported = 0

    def note_sent(self, sent: int) -> None:
        """Note how many records were sent until now."""
        self._waiting.append((sent, time.monotonic()))

    def note_acked(self, acked: int) -> None:
        """Note how many records were acknowledged until now."""
        now_s = time.monotonic()
        while self._waiting and self._waiting[0][0] <= acked:
            sent, sent_s = self._waiting.popleft()
            self._report((now_s - sent_s) * 1000, sent - self._reported)
            self._reported = sent
