"""Prints a preview before a run, and a summary after it."""

import sys
from datetime import datetime, timezone
from pathlib import Path

import click
import msgspec

from rtea_gen import plan as plans
from rtea_gen.figures import percentile_ms
from rtea_gen.plan import Plan, Schedule
from rtea_gen.run import Summary

SAMPLED_EVENTS = 1_000


def preview(plan: Plan) -> None:
    """Print what a plan would send: when, how much, the model's settings, and the first events.

    Raises:
        ConfigError: settings do not fit together.
    """
    generator, schedule = plan.config.generator, Schedule(plan)
    stream = plans.stream(plan.config, plan.start_ms)
    values = [value for _, value, *_ in stream.records(0, 1, SAMPLED_EVENTS, generator.format)]
    mean_bytes = sum(len(value or b"") for value in values) / max(len(values), 1)
    end = "until interrupted"
    if plan.events is not None:
        end = f"to {_time(schedule.time_ms(max(plan.events - 1, 0)))}, {plan.events * mean_bytes / 2**20:,.1f} MiB"
    click.echo(
        f"events: {'without end' if plan.events is None else f'{plan.events:,}'}, numbers from {plan.first:,} on"
    )
    click.echo(f"event time: from {_time(plan.start_ms)} {end}")
    click.echo(f"rate: {generator.rate:,}/s of event time at speed {generator.speed:g}, {mean_bytes:.0f} bytes each")
    click.echo(f"sink: {generator.sink}, format {generator.format}, {plan.procs} processes")
    for name, found in plans.population_settings(generator).model().items():
        click.echo(f"{name}: " + msgspec.json.encode(found, order="sorted").decode())
    for value in values[:3]:
        click.echo(f"sample: {(value or b'').decode('utf-8', 'backslashreplace')}")


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, timezone.utc).isoformat(" ", "milliseconds")


def summarize(plan: Plan, summary: Summary, manifest: Path | None) -> None:
    """Print a line for the run and one for each shard, to standard error if the events go to standard output."""
    figures, generator = summary.figures, plan.config.generator
    to_stderr = generator.sink == "stdout"
    rate = summary.sent / summary.seconds if summary.seconds > 0 else 0.0
    target = f" of {generator.rate * generator.speed:,.0f}" if generator.speed else ""
    size_mib, cpu_s = sum(figures.all("size_bytes")) / 2**20, sum(figures.all("cpu_us")) / 1e6
    merged = [sum(counts) for counts in zip(*(figures.latencies(n) for n in range(figures.shards)), strict=True)]
    ended = "; the reader closed the pipe" if summary.is_closed else ""
    if summary.problem:
        ended += f"; interrupted: {summary.problem}"
    click.echo(
        f"{summary.sent} events ({size_mib:.0f} MiB) in {summary.seconds:.1f} s, {rate:,.0f}/s{target}, "
        f"at most {max(figures.all('most_behind_us')) / 1e6:.2f} s behind schedule, "
        f"{_latency(merged)}{cpu_s:.1f} CPU s; manifest: {manifest or 'none'}{ended}",
        err=to_stderr,
    )
    for shard in range(figures.shards if figures.shards > 1 else 0):
        sent, behind_s = figures.get(shard, "sent"), figures.get(shard, "most_behind_us") / 1e6
        share = sent / summary.seconds if summary.seconds > 0 else 0.0
        click.echo(
            f"  shard {shard}: {sent} events, {share:,.0f}/s, at most {behind_s:.2f} s behind, "
            f"{_latency(figures.latencies(shard))}{figures.get(shard, 'cpu_us') / 1e6:.1f} CPU s",
            err=to_stderr,
        )
    sys.stderr.flush()


def _latency(buckets: list[int]) -> str:
    found = [percentile_ms(buckets, share) for share in (0.5, 0.95, 0.99)]
    if found[0] is None:
        return ""
    return "acknowledged within " + "/".join(f"{value:.0f}" for value in found if value) + " ms (p50/p95/p99), "
