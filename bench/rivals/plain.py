"""The windows in plain Python, with no guarantees: a consumer with confluent-kafka, msgspec and exact sets.

    python -m bench.rivals.plain BOOTSTRAP TOPIC PROCESSES PARTITIONS WINDOW_MS

It reads the topic to the end that it has, and prints one row on each line, as the other
rivals do, and at last the seconds from the first record to the last one.
"""

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing import get_context
from multiprocessing.connection import Connection

import msgspec
from confluent_kafka import Consumer, TopicPartition

READ_RECORDS = 10_000


class Item(msgspec.Struct):
    """A line of a purchase."""

    category: str
    price: Decimal
    quantity: int = 1


class Event(msgspec.Struct):
    """What the rows need of an event."""

    event_type: str
    source: str
    event_time: int
    visitor_id: str
    items: list[Item] = []
    currency: str = "USD"


class Tally:
    """Counts, sales in minor units and visitors, by window."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, str]] = Counter()
        self.revenue: defaultdict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
        self.visitors: defaultdict[tuple[int, str], set[str]] = defaultdict(set)

    def add(self, event: Event, window_ms: int) -> None:
        """Count one event."""
        start_ms = event.event_time - event.event_time % window_ms
        self.counts[start_ms, f"{event.event_type}_{event.source}"] += 1
        self.visitors[start_ms, event.source].add(event.visitor_id)
        if event.event_type == "purchase":
            for item in event.items:
                self.revenue[start_ms, item.category, event.currency] += item.price * item.quantity

    def merge(self, other: "Tally") -> None:
        """Add what another process counted."""
        self.counts.update(other.counts)
        for sale, amount in other.revenue.items():
            self.revenue[sale] += amount
        for place, visitors in other.visitors.items():
            self.visitors[place] |= visitors

    def rows(self) -> Iterator[tuple[int, str, str, str, int]]:
        """Window start, metric, dimension, currency and value."""
        for (start_ms, kind), count in self.counts.items():
            yield start_ms, "event_count", kind, "", count
        for (start_ms, category, currency), amount in self.revenue.items():
            yield start_ms, "revenue", category, currency, int(amount.scaleb(2))
        for start_ms in {start for start, _ in self.visitors}:
            mine = {source: self.visitors[start_ms, source] for source in ("mobile", "website")}
            for source, visitors in (mine | {"all": mine["mobile"] | mine["website"]}).items():
                yield start_ms, "unique_visitors", source, "", len(visitors)


def read(bootstrap_servers: str, topic: str, partitions: list[int], window_ms: int, answer: Connection) -> None:
    """Read some partitions to the end that they have now; send the tally and the times of the first and last record."""
    settings = {"bootstrap.servers": bootstrap_servers, "group.id": "plain", "enable.auto.commit": False}
    # Without these, librdkafka stops fetching for up to a second whenever its queue is full.
    settings |= {"queued.min.messages": 1_000_000, "fetch.queue.backoff.ms": 10}
    consumer = Consumer(settings | {"enable.partition.eof": True, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    decode = msgspec.json.Decoder(Event).decode
    tally, left, first_s = Tally(), len(partitions), 0.0
    while left:
        for message in consumer.consume(READ_RECORDS, 1):
            value = message.value()
            if message.error():
                left -= 1
                continue
            first_s = first_s or time.monotonic()
            try:
                tally.add(decode(value or b""), window_ms)
            except msgspec.MsgspecError:
                continue
    consumer.close()
    answer.send((tally, first_s, time.monotonic()))


def main(bootstrap_servers: str, topic: str, processes: int, partitions: int, window_ms: int) -> None:
    """Share the partitions among the processes, and print the rows of all."""
    context = get_context("spawn")
    shares = [list(range(partitions))[number::processes] for number in range(processes)]
    pipes = [context.Pipe(duplex=False) for _ in shares]
    workers = [
        context.Process(target=read, args=(bootstrap_servers, topic, share, window_ms, answer))
        for share, (_, answer) in zip(shares, pipes, strict=True)
    ]
    for worker in workers:
        worker.start()
    found = [receive.recv() for receive, _ in pipes]
    for worker in workers:
        worker.join()
    total = Tally()
    for tally, _, _ in found:
        total.merge(tally)
    for start_ms, metric, dimension, currency, value in total.rows():
        names = ("window_start_ms", "metric", "dimension", "currency", "value")
        print(json.dumps(dict(zip(names, (start_ms, metric, dimension, currency, value), strict=True))))
    print(json.dumps({"seconds": max(last for *_, last in found) - min(first for _, first, _ in found)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
