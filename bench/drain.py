"""How fast the job drains a full topic, beside other ways to compute the same windows.

It fills a topic of 4 partitions once. Then each contender drains it, alone on a restarted stack. The first rounds of
programs on a JVM do not count, because the JVM compiles for about 30 s. Each round's rows are compared with the
manifest. Beside the seconds, it counts the CPU seconds of every process of the stack, and of a contender's own program.

    python -m bench.drain --events 18000000 --rounds 3 --only rtea --only sql

Promises, as ratios of one run, because machines differ: Flink SQL takes at least 3.3 times the CPU seconds of RTEA, and
RTEA takes at most 1.3 times those of a bare Rust consumer. The CPU seconds are those of the TaskManager or the program.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from bench import machine, record
from bench.record import Measured
from bench.rivals.contender import Contender, Drained
from bench.rivals.flink import Expert, Idiomatic, Rtea, Sql, SqlWithoutVisitors
from bench.rivals.processes import Bare, Plain, Streams
from rtea import config as configuration
from rtea import manifest
from rtea.config import Config
from rtea.manifest import Manifest
from rtea.stack import local

CONTENDERS: dict[str, type[Contender]] = {
    each.name: each for each in (Rtea, Sql, SqlWithoutVisitors, Expert, Idiomatic, Streams, Plain, Bare)
}

LEAST_SQL_RATIO = 3.3
MOST_BARE_RATIO = 1.3


@click.command
@click.option("--events", default=18_000_000, show_default=True, type=click.IntRange(min=1_000_000))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--warm-up", default=3, show_default=True, type=click.IntRange(min=0), help="Rounds that do not count.")
@click.option("--only", multiple=True, type=click.Choice(list(CONTENDERS)), help="One contender; may be repeated.")
@click.option("--format", "format_", type=click.Choice(["json", "msgpack"]), default="json", show_default=True)
@click.option("--record", "keep", is_flag=True, help="Keep the figures in bench/records.")
@click.option("--state-dir", default=Path(".rtea/drain"), type=click.Path(path_type=Path))
def main(
    events: int, rounds: int, warm_up: int, only: Sequence[str], format_: str, keep: bool, state_dir: Path
) -> None:
    """Run the benchmark; exit code 1 if a promise is not kept."""
    names = list(only) or (list(CONTENDERS) if format_ == "json" else ["rtea"])
    measured: list[Measured] = []
    kept = record.Keeper(format_, events, sys.argv[1:]) if keep else None
    with full_topic(state_dir, events, format_) as (config, sent):
        for name in names:
            measured.append(measure(CONTENDERS[name](config, sent), rounds, warm_up))
            if kept:
                kept.write(measured)
    print(machine.describe())
    for each in measured:
        print(each)
    if kept:
        print(kept.path)
    sys.exit(0 if _judge({each.name: each.worker_cpu_seconds for each in measured}) else 1)


@contextmanager
def full_topic(
    state_dir: Path, events: int, format_: str, flags: Mapping[str, object] | None = None
) -> Iterator[tuple[Config, Manifest]]:
    """Run a stack whose events topic is full, for a block; give its settings and what was sent."""
    settings = {
        "stack.state_dir": state_dir,
        "stack.taskmanager_memory": "3g",
        "stack.metrics_interval_ms": 250,
        "generator.speed": 0,
        "generator.format": format_,
    }
    config = configuration.load(flags=settings | dict(flags or {}))
    # Otherwise the job would drain the topic of an earlier run too.
    shutil.rmtree(state_dir, ignore_errors=True)
    with local.running(config):
        path = state_dir / "manifest.jsonl"
        command = [sys.executable, "-m", "rtea_gen", "--events", str(events), "--manifest", str(path), "--no-progress"]
        subprocess.run(command, check=True, env=os.environ | configuration.as_environment(config))
        yield config, manifest.read(path)


def measure(contender: Contender, rounds: int, warm_up: int) -> Measured:
    """Rounds of a contender on a restarted stack, after some that do not count."""
    local.down(contender.config)
    local.up(contender.config)
    counted: list[Drained] = []
    skipped = warm_up if contender.warms_up else 0
    with contender.ready():
        for number in range(skipped + min(rounds, contender.most_rounds or rounds)):
            drained = contender.drain()
            rate_hz = contender.sent.end.events / drained.seconds
            used = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(drained.cpu_seconds.items()))
            warming = "" if number >= skipped else " (warm-up)"
            print(f"{contender.name} round {number}{warming}: {rate_hz:,.0f} msg/s, CPU s: {used}", flush=True)
            if number >= skipped:
                counted.append(drained)
    return Measured.of(contender, counted)


def _judge(cpu_seconds: Mapping[str, float]) -> bool:
    """Print each promise that the run can tell; whether all are kept."""
    promises: dict[str, bool] = {}
    if "rtea" in cpu_seconds and "sql" in cpu_seconds:
        ratio = cpu_seconds["sql"] / cpu_seconds["rtea"]
        promises[f"Flink SQL takes {ratio:.2f}, at least {LEAST_SQL_RATIO} times the CPU seconds"] = (
            ratio >= LEAST_SQL_RATIO
        )
    if "rtea" in cpu_seconds and "rust" in cpu_seconds:
        ratio = cpu_seconds["rtea"] / cpu_seconds["rust"]
        promises[f"RTEA takes {ratio:.2f}, at most {MOST_BARE_RATIO} times the CPU seconds of bare Rust"] = (
            ratio <= MOST_BARE_RATIO
        )
    for promise, is_kept in promises.items():
        print(f"{promise}: {'kept' if is_kept else 'NOT KEPT'}")
    return all(promises.values())


if __name__ == "__main__":
    main()
