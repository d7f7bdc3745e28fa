"""Records of `bench.drain`: what was measured, on which machine, by which command."""

import re
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from bench import machine
from bench.rivals.contender import Contender, Drained

RECORDS = Path(__file__).parent / "records"


class Measured(msgspec.Struct, frozen=True):
    """The rounds of one contender that count: seconds, and CPU seconds by process, for all events."""

    name: str
    note: str
    events: int
    seconds: list[float]
    cpu_seconds: list[dict[str, float]]

    @classmethod
    def of(cls, contender: Contender, rounds: Sequence[Drained]) -> "Measured":
        """What some rounds of a contender gave."""
        cpu_seconds = [drained.cpu_seconds for drained in rounds]
        events = contender.sent.end.events
        return cls(contender.name, contender.note, events, [drained.seconds for drained in rounds], cpu_seconds)

    @property
    def rates_hz(self) -> list[float]:
        """Events per second of each round."""
        return [self.events / seconds for seconds in self.seconds]

    @property
    def rate_hz(self) -> float:
        """The median of them."""
        return statistics.median(self.rates_hz)

    @property
    def worker_seconds(self) -> list[float]:
        """CPU seconds of the process that does the work: the contender's own program, or the TaskManager."""
        return [used.get("program", used["taskmanager"]) for used in self.cpu_seconds]

    @property
    def worker_cpu_seconds(self) -> float:
        """The median of them."""
        return statistics.median(self.worker_seconds)

    def __str__(self) -> str:
        rates, used = self.rates_hz, self.worker_seconds
        return (
            f"{self.name}: median {self.rate_hz:,.0f} msg/s ({min(rates):,.0f} to {max(rates):,.0f}), "
            f"{self.worker_cpu_seconds:.1f} CPU s ({min(used):.1f} to {max(used):.1f})"
        )


class Record(msgspec.Struct, frozen=True):
    """One run."""

    machine: str
    command: str
    format: str
    events: int
    measured: list[Measured]


class Keeper:
    """Keeps a run in a file that is named by the processor and the time. What was measured before a failure stays."""

    def __init__(self, format_: str, events: int, arguments: Sequence[str]) -> None:
        command = " ".join(["python -m bench.drain", *arguments])
        self._record = Record(machine.describe(), command, format_, events, [])
        processor = re.sub(r"[^a-z0-9]+", "-", machine.processor().lower()).strip("-")
        now = datetime.now(timezone.utc)
        self.path = RECORDS / f"drain-{format_}-{processor}-{now:%Y-%m-%dT%H%M}.json"

    def write(self, measured: list[Measured]) -> None:
        """Write what was measured so far."""
        RECORDS.mkdir(exist_ok=True)
        encoded = msgspec.json.encode(msgspec.structs.replace(self._record, measured=measured))
        self.path.write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")


def newest(format_: str) -> Record:
    """The last run of a format that was kept."""
    paths = sorted(RECORDS.glob(f"drain-{format_}-*.json"), key=lambda path: path.stem[-15:])
    if not paths:
        sys.exit(f"no record of {format_} is in {RECORDS}: run `make bench-drain DRAIN=--record` first")
    return msgspec.json.decode(paths[-1].read_bytes(), type=Record)
