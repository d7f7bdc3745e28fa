"""How much time the BigQuery sink adds to the freshness, and what a backfill costs.

It runs against the emulator (`make emulator`). So the times are those of RTEA and the emulator, not of Google's
servers. Memory, jobs and bytes are the same as with Google's servers. Results come through a real Kafka.

    python -m bench.bigquery

Promises: a window of 300 rows with dense sketches is one load job and one MERGE; a backfill of 10,000
windows stays below 300 MiB; every row is there and correct.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from confluent_kafka import Producer

from bench import machine
from rtea import aggregate, topics
from rtea import config as configuration
from rtea.config import Config
from rtea.sinks import result
from rtea.sinks.bigquery.sink import BigQuerySink
from rtea.sinks.contract import Batch
from rtea.sinks.result import Row, WindowResult
from rtea.stack import local
from tests.bigquery import emulator

WINDOW_MS = 60_000
START_MS = 1_760_000_040_000
MOST_MEMORY_MIB = 300
LOAD_JOBS_A_DAY = 100_000
"""BigQuery's quota for a project. The quota for a table is 1,500, but each batch has its own staging table."""


def window(number: int, rows: int, sketches: list[bytes]) -> WindowResult:
    """A window of that many rows, three of them with dense sketches."""
    made = [Row("event_count", f"type_{n:03}_mobile", "", number + n, None, None, None) for n in range(rows - 3)]
    for name, sketch in zip(("all", "mobile", "website"), sketches, strict=True):
        made.append(Row("unique_visitors", name, "", None, None, aggregate.estimate_sketch(sketch), sketch))
    start_ms = START_MS + number * WINDOW_MS
    return WindowResult(result.VERSION, start_ms, start_ms + WINDOW_MS, 1, number + 1, "", made)


def dense_sketches() -> list[bytes]:
    """Three sketches of 200,000 visitors each."""
    return [aggregate.build_sketch([b"%d-%d" % (part, n) for n in range(200_000)]) for part in range(3)]


def measure_writes(sink: BigQuerySink, sketches: list[bytes], rounds: int) -> list[float]:
    """Seconds of each write of one window of 300 rows; the first write does not count."""
    seconds = []
    for number in range(rounds + 1):
        before = len(_jobs(sink))
        started_s = time.monotonic()
        sink.write(Batch([window(number, 300, sketches)], f"{number:032x}"), threading.Event())
        seconds.append(time.monotonic() - started_s)
        assert len(_jobs(sink)) == before + 2, "one window must be one load job and one MERGE"
    rows = sink.read(START_MS, START_MS + (rounds + 1) * WINDOW_MS)
    assert len(rows) == 300 * (rounds + 1)
    return seconds[1:]


def backfill(config: Config, windows: int, rows: int, sketches: list[bytes]) -> tuple[float, float]:
    """Fill the results topic, and let the sink write it; return the seconds, and the peak memory in MiB."""
    _publish(config, (window(number, rows, sketches) for number in range(windows)))
    command = [sys.executable, "-m", "rtea", "sink", "bigquery", "--progress", "json"]
    environment = os.environ | configuration.as_environment(config)
    started_s = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in zip(range(windows), process.stdout, strict=False):
            pass
        most_bytes = _peak_bytes(process.pid)
        seconds = time.monotonic() - started_s
        process.terminate()
    assert process.returncode == 0, "the sink failed"
    return seconds, most_bytes / 2**20


def _peak_bytes(pid: int) -> int:
    """The peak memory of a process, from the kernel."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def verify_backfill(sink: BigQuerySink, windows: int, rows: int) -> None:
    """Check that every row is there once, and that the counts add up."""
    found = sink.client.query(
        f"SELECT COUNT(*) AS n, COUNT(DISTINCT window_start) AS w, SUM(event_count) AS c FROM `{sink.table_id}`"
    ).result()
    (got,) = found
    counted = rows - 3
    expected = sum(number * counted + counted * (counted - 1) // 2 for number in range(windows))
    assert (got.n, got.w, got.c) == (windows * rows, windows, expected), "rows differ from what was published"


def _publish(config: Config, windows: Iterator[WindowResult]) -> None:
    producer = Producer(topics.connection(config.kafka) | {"enable.idempotence": True, "compression.type": "lz4"})
    for made in windows:
        while True:
            try:
                producer.produce(config.kafka.results_topic, msgspec.msgpack.encode(made), str(made.window_start_ms))
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def _jobs(sink: BigQuerySink) -> list[str]:
    return [job.job_id for job in sink.client.list_jobs() if job.job_id.startswith("rtea-")]


@click.command
@click.option("--windows", default=10_000, show_default=True, type=click.IntRange(min=1))
@click.option("--rows", default=53, show_default=True, type=click.IntRange(min=4), help="Rows of a backfilled window.")
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(min=1))
def main(windows: int, rows: int, rounds: int) -> None:
    """Run the benchmark; exit code 1 if a promise is not kept."""
    emulator.install()
    sketches = dense_sketches()
    with tempfile.TemporaryDirectory() as scratch, emulator.running(Path(scratch)) as server:
        flags = {
            "stack.state_dir": Path(scratch) / "stack",
            "bigquery.project": emulator.PROJECT,
            "bigquery.endpoint": server.endpoint,
            "bigquery.create": True,
        }
        print(machine.describe())
        sink = BigQuerySink(configuration.load(flags=flags | {"bigquery.table": "bench.writes"}).bigquery)
        sink.open()
        seconds = measure_writes(sink, sketches, rounds)
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        print(f"a window of 300 rows: {statistics.median(seconds):.2f} s from result to readable row, {spread}")
        config = configuration.load(flags=flags | {"bigquery.table": "bench.backfill"})
        with local.running(config):
            before = len(_jobs(sink))
            took_s, most_mib = backfill(config, windows, rows, sketches)
        table = BigQuerySink(config.bigquery)
        verify_backfill(table, windows, rows)
        each = (len(_jobs(sink)) - before) // 2
        print(f"backfill of {windows:,} windows: {took_s:.0f} s, {each} load jobs and {each} MERGEs")
        print(f"quota: {each:,} of {LOAD_JOBS_A_DAY:,} load jobs a day; DML has none")
        kept = most_mib < MOST_MEMORY_MIB
        print(f"peak memory {most_mib:.0f} of {MOST_MEMORY_MIB} MiB: {'kept' if kept else 'NOT KEPT'}")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
