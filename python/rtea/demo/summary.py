"""The demo's result: the measurements, and whether every finished window matches the manifest."""

import statistics

import msgspec
from rich.console import Console
from rich.table import Table

from rtea.demo.monitor import Monitor
from rtea.manifest import Manifest
from rtea.verify import Report


class Summary(msgspec.Struct, frozen=True):
    """Figures of one run. The lags, in records, are the largest in the first and the last third of the run."""

    windows: int
    matching: int
    events: int
    rate_hz: float
    seconds: float
    freshness_p50_s: float
    freshness_p99_s: float
    lag_first_third: float
    lag_last_third: float
    cpu_seconds: dict[str, float]
    problems: list[str]

    @property
    def passed(self) -> bool:
        """Whether windows were compared, and all of them match."""
        return self.windows > 0 and self.matching == self.windows

    def cores(self, process: str) -> float:
        """Average cores a process used."""
        return self.cpu_seconds[process] / self.seconds


def summarize(monitor: Monitor, sent: Manifest, report: Report, seconds: float) -> Summary:
    """Summarize a run in which the generator sent for `seconds`."""
    freshness = monitor.freshness_of_windows_s() or [float("nan")]
    lags = [sample.lag for sample in monitor.samples] or [float("nan")]
    third = max(1, len(lags) // 3)
    return Summary(
        windows=report.windows,
        matching=report.matching,
        events=sent.end.events,
        rate_hz=sent.end.events / seconds,
        seconds=seconds,
        freshness_p50_s=statistics.median(freshness),
        freshness_p99_s=percentile(freshness, 99),
        lag_first_third=max(lags[:third]),
        lag_last_third=max(lags[-third:]),
        cpu_seconds=dict(monitor.cpu_seconds),
        problems=[f"window {start_ms}: {problem}" for start_ms, found in report.problems.items() for problem in found],
    )


def percentile(values: list[float], percent: float) -> float:
    """Nearest-rank percentile of at least one value.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 99)
    4.0
    """
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]


def show(summary: Summary, console: Console) -> None:
    """Print the figures, the CPU seconds of each process, and the result."""
    figures = Table("figure", "value", title="rtea demo")
    figures.add_row("events sent", f"{summary.events:,}")
    figures.add_row("rate", f"{summary.rate_hz:,.0f} msg/s over {summary.seconds:.0f} s")
    figures.add_row(
        "freshness (window end to row readable)",
        f"p50 {summary.freshness_p50_s:.2f} s, p99 {summary.freshness_p99_s:.2f} s",
    )
    figures.add_row(
        "largest lag, first and last third", f"{summary.lag_first_third:,.0f} and {summary.lag_last_third:,.0f} records"
    )
    for name, used in summary.cpu_seconds.items():
        figures.add_row(f"CPU {name}", f"{used:.1f} s, {summary.cores(name):.2f} cores")
    console.print(figures)
    for problem in summary.problems:
        console.print(f"[red]{problem}[/red]", highlight=False)
    console.print(f"{summary.matching} of {summary.windows} windows match", style="green" if summary.passed else "red")
