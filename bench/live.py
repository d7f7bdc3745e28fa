"""The whole stack at a steady rate for three minutes: rows, lag, CPU and freshness.

It runs `rtea demo`, which compares the rows with the manifest, and checks the figures.

    python -m bench.live [--rate 300000]

Promises: every finished window matches; the stack holds the rate; the lag does not grow. At 50,000 msg/s also: the
TaskManager takes less than 0.4 core; the p99 of the freshness is at most the watermark delay plus 0.5 s.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import msgspec

from bench import machine
from rtea import config as configuration
from rtea.demo.summary import Summary

PROMISED_RATE_HZ = 50_000
MOST_TASKMANAGER_CORES = 0.4
MOST_LAG_SECONDS = 0.2
"""A lag below this is the time that a record takes from the broker to the job, not a growing queue."""
FRESHNESS_BEYOND_DELAY_S = 0.5


@click.command
@click.option("--minutes", default=3.0, show_default=True, type=click.FloatRange(min=1.2))
@click.option("--rate", "rate_hz", default=PROMISED_RATE_HZ, show_default=True, type=click.IntRange(min=1))
def main(minutes: float, rate_hz: int) -> None:
    """Run the benchmark; exit code 1 if a promise is not kept."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "summary.json"
        flags = ["--rate", str(rate_hz), "--minutes", str(minutes), "--json", str(report)]
        subprocess.run([sys.executable, "-m", "rtea", "demo", *flags], check=False)
        if not report.exists():
            sys.exit("the demo failed: nothing was measured")
        summary = msgspec.json.decode(report.read_bytes(), type=Summary)
    print(machine.describe())
    cores = {process: round(summary.cores(process), 2) for process in sorted(summary.cpu_seconds)}
    print(f"cores: {cores}; freshness p50 {summary.freshness_p50_s:.2f}, p99 {summary.freshness_p99_s:.2f} s")
    kept = promises(summary, rate_hz)
    for promise, is_kept in kept.items():
        print(f"{promise}: {'kept' if is_kept else 'NOT KEPT'}")
    sys.exit(0 if all(kept.values()) else 1)


def promises(summary: Summary, rate_hz: int) -> dict[str, bool]:
    """Each promise with its figure, and whether it is kept."""
    kept = {
        f"{summary.matching} of {summary.windows} windows match": summary.passed,
        f"rate {summary.rate_hz:,.0f} msg/s of {rate_hz:,}": summary.rate_hz >= 0.97 * rate_hz,
        f"lag at most {summary.lag_first_third:,.0f} records at first, {summary.lag_last_third:,.0f} at last": (
            summary.lag_last_third <= max(summary.lag_first_third, MOST_LAG_SECONDS * rate_hz)
        ),
    }
    if rate_hz == PROMISED_RATE_HZ:
        most_freshness_s = configuration.load().job.watermark_delay_ms / 1000 + FRESHNESS_BEYOND_DELAY_S
        cores, freshness_s = summary.cores("taskmanager"), summary.freshness_p99_s
        kept[f"TaskManager {cores:.2f} of {MOST_TASKMANAGER_CORES} cores"] = cores < MOST_TASKMANAGER_CORES
        kept[f"freshness p99 {freshness_s:.2f} of {most_freshness_s:.2f} s"] = freshness_s <= most_freshness_s
    return kept


if __name__ == "__main__":
    main()
