"""The live view of the demo: rate, lag, watermark, the newest finished windows, and what is wrong."""

from collections.abc import Iterator
from datetime import datetime, timezone

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rtea.demo.monitor import Monitor

NEWEST = 8


def draw(monitor: Monitor, phase: str) -> Group:
    """One frame."""
    sample = monitor.samples[-1] if monitor.samples else None
    head = Table.grid(padding=(0, 3))
    head.add_row("rate", "lag", "watermark", "windows")
    head.add_row(
        f"{monitor.rate_hz():,.0f} msg/s",
        f"{sample.lag:,.0f} records" if sample else "-",
        _clock(sample.watermark_ms) if sample and sample.watermark_ms > 0 else "-",
        str(len({written.window_start_ms for written in monitor.written if written.is_final})),
    )
    return Group(Panel(head, title=f"rtea demo: {phase}"), _windows(monitor), *_problems(monitor))


def _problems(monitor: Monitor) -> Iterator[Text]:
    for each in monitor.problems:
        remedy = f": {each.remedy}" if each.remedy else ""
        yield Text(
            f"{each.state}: {each.check}: {each.found}{remedy}", style="red" if each.state == "failed" else "yellow"
        )


def _windows(monitor: Monitor) -> Table:
    table = Table("window", "events", "rows", "readable after window end", title="newest windows")
    newest = {entry.window_start_ms: entry for entry in monitor.written}
    for entry in list(reversed(newest.values()))[:NEWEST]:
        freshness = f"{monitor.freshness_s(entry):.2f} s" if entry.is_final else "still open"
        table.add_row(_clock(entry.window_start_ms), f"{entry.revision:,}", str(entry.rows), freshness)
    return table


def _clock(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%H:%M:%S UTC")
