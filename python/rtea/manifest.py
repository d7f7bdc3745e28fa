"""The manifest: what a generator sent, and the rows that every window must have.

`rtea_gen` writes it; `rtea verify`, the demo, tests and benchmarks read it. It has one JSON object per line: a header,
then the windows in time order, then an end.
"""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from rtea.errors import ConfigError, InputError

VERSION = 1


class Header(msgspec.Struct, tag="header", tag_field="kind", frozen=True):
    """Settings of the run; times in ms since the epoch, UTC. `settings` are those that determine the stream, by
    section. `events` is None for a run without an end. `topic_id` is Kafka's id: a recreated topic has another one.
    """

    version: int
    seed: int
    start_ms: int
    window_ms: int
    rate_hz: int
    format: str
    topic: str
    began_ms: int = 0
    events: int | None = None
    settings: dict[str, dict[str, Any]] = {}
    topic_id: str = ""


class Revenue(msgspec.Struct, frozen=True):
    """Revenue of one category in one currency, in minor units."""

    category: str
    currency: str
    minor: int


class Expected(msgspec.Struct, frozen=True, array_like=True):
    """One row that a window must have: a count, an amount in minor units, or an exact number of distinct ids."""

    metric: str
    dimension: str
    currency: str
    value: int


class Window(msgspec.Struct, tag="window", tag_field="kind", frozen=True):
    """Expected rows of one window `[window_start_ms, window_end_ms)`, with exact numbers of visitors. `faults` counts
    the injected faults in the window by kind; the expected rows already take them into account. `others` are the rows
    of the metrics besides the first three, if the job counts them.
    """

    window_start_ms: int
    window_end_ms: int
    events: int
    event_count: dict[str, int]
    revenue: list[Revenue]
    unique_visitors: dict[str, int]
    faults: dict[str, int] = {}
    others: list[Expected] = []

    def expected(self) -> Iterator[Expected]:
        """All rows of counted events.

        >>> window = Window(0, 60_000, 2, {"search_mobile": 2}, [], {"all": 1, "mobile": 1})
        >>> [row.dimension for row in window.expected()]
        ['search_mobile', 'all', 'mobile']
        """
        yield from (Expected("event_count", name, "", count) for name, count in self.event_count.items())
        yield from (Expected("revenue", sale.category, sale.currency, sale.minor) for sale in self.revenue)
        yield from (Expected("unique_visitors", name, "", count) for name, count in self.unique_visitors.items())
        yield from self.others


class End(msgspec.Struct, tag="end", tag_field="kind", frozen=True):
    """The totals of the run, in records. `complete` is false if a shard died or a delivery failed: then the topic may
    hold more events than the windows count. All events with a number below `next_number` were sent.
    """

    events: int
    failed: int
    last_event_ms: int
    complete: bool
    faults: dict[str, int] = {}
    next_number: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """A complete manifest."""

    header: Header
    windows: list[Window]
    end: End

    def finished(self, watermark_delay_ms: int, partitions: int) -> list[Window]:
        """The windows that the watermark has passed after the last event of this run.

        The last event of a partition is older than the last event of the run, by about the gap between two events of
        the partition. The margin is forty such gaps.
        """
        margin_ms = 40_000 * partitions // self.header.rate_hz
        horizon_ms = self.end.last_event_ms - watermark_delay_ms - margin_ms
        return [window for window in self.windows if window.window_end_ms <= horizon_ms]


_line = msgspec.json.Decoder(Header | Window | End)


class Writer:
    """Writes a manifest line by line. Each line survives a crash of this process, and readers see it at once.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "manifest.jsonl"
    >>> with Writer(path) as writer:
    ...     writer.add(Header(VERSION, 1, 0, 1000, 1000, "json", "events"))
    ...     writer.add(End(events=0, failed=0, last_event_ms=0, complete=True))
    >>> read(path).end.complete
    True
    """

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        """Open a file and keep its first `keep_bytes` bytes.

        Raises:
            ConfigError: another run is writing it, or it cannot be written.
        """
        try:
            self._file = open(path, "r+b" if keep_bytes else "ab")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise ConfigError(
                f"manifest {path} cannot be written ({error.strerror}): name another with --manifest"
            ) from error
        try:
            hold(self._file, path)
        except ConfigError:
            self._file.close()
            raise
        if path.is_file():
            self._file.truncate(keep_bytes)
            self._file.seek(keep_bytes)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: "Header | Window | End") -> None:
        """Append a line."""
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()


def hold(file: IO[bytes], path: Path, *, together: bool = False) -> None:
    """Lock a manifest until the file is closed or the process ends. With `together`, share the lock with the other
    processes of the run.

    Raises:
        ConfigError: a process of another run holds it.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if together else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(f"manifest {path} is being written by another run: wait until it has ended") from error
    if not together:
        fcntl.flock(file, fcntl.LOCK_SH)


def read(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        InputError: the file is missing, damaged, or cut off.
    """
    try:
        with open(path, "rb") as file:
            lines = [_line.decode(line) for line in file]
    except OSError as error:
        raise InputError(f"manifest {path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"manifest {path} is damaged or cut off: {error}: {_GO_ON}") from error
    if len(lines) < 2 or not isinstance(lines[0], Header) or not isinstance(lines[-1], End):
        raise InputError(f"manifest {path} is cut off, without its end: {_GO_ON}")
    windows = [line for line in lines if isinstance(line, Window)]
    return Manifest(lines[0], windows, lines[-1])


_GO_ON = "wait for its generator to end, or continue with `rtea-gen --resume`"


class Cut(msgspec.Struct, frozen=True):
    """The readable part of a manifest, which may be all of it. `sizes` are positions in the file, in bytes: after the
    header, then after each window.
    """

    header: Header
    windows: list[Window]
    end: End | None
    sizes: list[int]


def read_cut(path: Path) -> Cut:
    """Read a manifest that may be cut off at any point.

    Raises:
        InputError: the file is missing or damaged, or has no complete header.
    """
    lines: list[Header | Window] = []
    sizes, size, end = [], 0, None
    try:
        with open(path, "rb") as file:
            for text in file:
                if not text.endswith(b"\n"):
                    break
                line = _line.decode(text)
                if isinstance(line, End):
                    end = line
                    break
                size += len(text)
                lines.append(line)
                sizes.append(size)
    except OSError as error:
        raise InputError(f"manifest {path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"manifest {path} is damaged: {error}") from error
    if not lines or not isinstance(header := lines[0], Header):
        raise InputError(f"manifest {path} has no header: start a new run, without --resume")
    return Cut(header, [line for line in lines[1:] if isinstance(line, Window)], end, sizes)
