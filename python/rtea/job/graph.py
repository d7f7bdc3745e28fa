"""The job's graph: source -> fold -> watermarks -> merge -> results, with side outputs for refused events and counts.

`rtea.job.main` builds it in Flink's client. Operators have uids, so their state belongs to a name and not to a
position in the graph.
"""

import platform
from importlib import util
from pathlib import Path

from pyflink.common import Configuration, Time, Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.window import TumblingEventTimeWindows

from rtea import maps
from rtea.aggregate import Submission
from rtea.config import Config
from rtea.flink import connect, orders
from rtea.flink.connect import BYTES
from rtea.flink.counters import WindowCounters
from rtea.flink.firing import Firing
from rtea.flink.fold import DEAD_LETTERS, Fold
from rtea.flink.merge import LATE, DescribeLate, Emit, Merge
from rtea.flink.refused import CountLate, Sum, window_of
from rtea.job.names import parameters

CHECKPOINT_TIMEOUT = "60 s"

MOST_LETTER_BYTES = 16_777_216
"""Longest dead letter, even if its topic takes longer ones: one batch may make thousands of them."""


def choose_mode(config: Config) -> str:
    """Choose `thread` or `process`: thread mode needs pemja, which has wheels for x86-64 Linux only."""
    if config.job.python_mode != "auto":
        return config.job.python_mode
    embeddable = platform.system() == "Linux" and platform.machine() == "x86_64" and util.find_spec("pemja") is not None
    return "thread" if embeddable else "process"


WITHOUT_END = 2**31 - 1
"""Attempts of a live job. A lost TaskManager is back within seconds, so it waits and does not give up."""

OF_A_BACKFILL = 10
"""Attempts of a backfill: somebody waits for its end, and records that retention deletes meanwhile do not come back."""


def settings(config: Config, python: str, submission: Submission, attempts: int = WITHOUT_END) -> dict[str, str]:
    """Flink's settings for the job, by name. `python` is the interpreter of the client and the workers."""
    told = parameters(config, submission)
    return {
        "python.execution-mode": choose_mode(config),
        "python.executable": python,
        "python.client.executable": python,
        # Process mode only: each element is a whole batch, so short bundles cost little and keep results fresh.
        "python.fn-execution.bundle.time": "100",
        # Each submission reads these from the running jobs (`rtea.job.submit`).
        "pipeline.global-job-parameters": ",".join(f"{name}:{value}" for name, value in told.items()),
        # Elements are byte arrays that nobody changes, so chained operators need no copies.
        "pipeline.object-reuse": "true",
        # The default of 100 ms would delay the watermark, and so each window's rows.
        "execution.buffer-timeout.interval": "20 ms",
        "execution.checkpointing.interval": f"{config.job.checkpoint_interval_ms} ms",
        "execution.checkpointing.timeout": CHECKPOINT_TIMEOUT,
        # A failed checkpoint, for example on a full disk, makes a later recovery slower but is no reason to stop.
        # `rtea job status` and Flink's metric numberOfFailedCheckpoints show it.
        "execution.checkpointing.tolerable-failed-checkpoints": "2147483647",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": str(attempts),
        "restart-strategy.fixed-delay.delay": "1 s",
    }


def build(
    config: Config,
    python: str,
    longest_records: dict[str, int],
    jars: list[str],
    submission: Submission,
    reading: connect.Reading = connect.EVERYTHING,
) -> StreamExecutionEnvironment:
    """Build the environment with the whole graph. `longest_records` is the longest record of each topic, in bytes. A
    backfill computes only the windows of its span, and then ends.
    """
    flink = Configuration()
    attempts = OF_A_BACKFILL if reading.span else WITHOUT_END
    for name, value in settings(config, python, submission, attempts).items():
        flink.set_string(name, value)
    env = StreamExecutionEnvironment.get_execution_environment(flink)
    env.set_parallelism(config.job.parallelism)
    env.add_jars(*(Path(jar).as_uri() for jar in jars))

    kafka, job = config.kafka, config.job
    max_letter_bytes = min(longest_records[kafka.dead_letter_topic], MOST_LETTER_BYTES)
    batches = connect.guard_topic(connect.read_events(env, config, reading), config)
    # The workers may not have the file, so the job holds the text.
    fold = Fold(config, max_letter_bytes, reading.span, maps.read(config.events.map))
    folded = batches.process(fold, output_type=BYTES).name("fold").uid("fold")
    partials, refused = connect.make_watermarks(folded, config, reading)
    # Pickled together, so both functions have the same one.
    counters = WindowCounters(counts_in_timers=choose_mode(config) == "thread")
    results = (
        (_hold_orders(partials, job.window_ms) if job.deduplicate_orders else partials)
        .key_by(lambda _: 0, key_type=Types.INT())
        .window(TumblingEventTimeWindows.of(Time.milliseconds(job.window_ms)))
        .trigger(Firing(job.early_rows_ms if reading.span is None else 0, job.late_rows_ms, job.allowed_lateness_ms))
        .allowed_lateness(job.allowed_lateness_ms)
        .side_output_late_data(LATE)
        .aggregate(
            Merge(counters), Emit(submission, counters), accumulator_type=Types.PICKLED_BYTE_ARRAY(), output_type=BYTES
        )
        .set_parallelism(1)
        .name("merge")
        .uid("merge")
    )
    missed = results.get_side_output(LATE)
    describe = DescribeLate(kafka.events_topic, max_letter_bytes)
    late = missed.flat_map(describe, output_type=BYTES).name("late").uid("late")
    health = (
        refused.union(
            missed.map(CountLate(), output_type=BYTES).set_parallelism(1).name("count late").uid("count-late")
        )
        .key_by(window_of, key_type=Types.LONG())
        .process(Sum(submission, job.allowed_lateness_ms), output_type=BYTES)
        .set_parallelism(1)
        .name("health")
        .uid("health")
    )
    letters = folded.get_side_output(DEAD_LETTERS).union(late)
    connect.write_keyed(letters, config, kafka.dead_letter_topic, longest_records[kafka.dead_letter_topic])
    written = connect.write_keyed(
        results.union(health), config, kafka.results_topic, longest_records[kafka.results_topic]
    )
    # Only one writer: compaction keeps the last record of a key, which must be the newest one.
    written.set_parallelism(1)
    return env


def _hold_orders(partials: DataStream, window_ms: int) -> DataStream:
    keyed = partials.key_by(orders.window_of, key_type=Types.LONG())
    held = keyed.process(orders.HoldOrders(window_ms), output_type=BYTES)
    return held.set_parallelism(1).name("hold orders").uid("hold-orders")
