"""Promise: equal settings give equal bytes, on every machine, in every release, for any number of processes."""

import hashlib

import pytest

from rtea.config import Config
from rtea.events import Format
from rtea_gen import plan as plans

EVENTS = 100_000

# Changing these breaks replays of earlier runs: say so in CHANGELOG.md.
GOLDEN: dict[Format, str] = {
    "json": "67ecff0f16eb6100c1f0522a0a92a33a57984385745fb54c4ec942a21036a4db",
    "msgpack": "62eb5aa0842f00ab7ad475edf303b42e1449b7495f1af5ea026ac65b44fc4deb",
}


def digest(format: Format, procs: int) -> str:
    """SHA-256 of key, time and value of the first events, by number."""
    streams = [plans.stream(Config(), 1_760_000_000_000) for _ in range(procs)]
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
