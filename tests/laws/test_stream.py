"""Promise: equal settings give equal bytes, on every machine, in every release, for any number of processes."""

import hashlib

import pytest

from rtea import _core
from rtea.config import GeneratorSection
from rtea.events import Format

EVENTS = 100_000

# Changing these breaks replays of earlier runs: say so in CHANGELOG.md.
GOLDEN: dict[Format, str] = {
    "json": "af386d9a033e4064f919f2534dc684ce24c8cdd733c7b5172b7c0451f8e277a5",
    "msgpack": "d59cea90f346891ab9e3e90e230cdedc9376cfb9bd43c9b95bb9a34df31326be",
}


def digest(format: Format, procs: int) -> str:
    """SHA-256 of key, time and value of the first events, by number."""
    settings = GeneratorSection()
    streams = [
        _core.EventStream(
            seed=settings.seed,
            start_ms=1_760_000_000_000,
            rate_hz=settings.rate,
            window_ms=60_000,
            lanes=settings.lanes,
            visitors=settings.visitors,
            products=settings.products,
            pause_sigma=settings.pause_sigma,
        )
        for _ in range(procs)
    ]
    shards = [
        zip(*streams[shard].batch(shard, procs, len(range(shard, EVENTS, procs)), format), strict=True)
        for shard in range(procs)
    ]
    found = hashlib.sha256()
    for number in range(EVENTS):
        key, value, time_ms = next(shards[number % procs])
        found.update(key + b" %d " % time_ms + value + b"\n")
    return found.hexdigest()


@pytest.mark.parametrize("format", ["json", "msgpack"])
@pytest.mark.parametrize("procs", [1, 3, 4])
def test_the_first_events_are_those_of_every_release(format: Format, procs: int) -> None:
    assert digest(format, procs) == GOLDEN[format]
