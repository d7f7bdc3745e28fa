"""The job's graph: source -> pack -> fold -> merge -> results, with side outputs for refused events and their counts.

`rtea.job.main` builds it in Flink's client. Operators have uids, so their state belongs to a name and not to a
position in the graph.
"""

import platform
from importlib import util
from pathlib import Path

from pyflink.common import Configuration, Time, Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.window import TumblingEventTimeWindows

from rtea.aggregate import Submission
from rtea.config import Config
from rtea.flink import connect, orders
from rtea.flink.connect import BYTES
from rtea.flink.fold import DEAD_LETTERS, Fold
from rtea.flink.merge import LATE, DescribeLate, Emit, Merge
from rtea.flink.refused import REFUSED, CountLate, Sum, window_of
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


def settings(config: Config, python: str, submission: Submission) -> dict[str, str]:
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
        "execution.checkpointing.interval": f"{config.job.checkpoint_interval_ms} ms",
        "execution.checkpointing.timeout": CHECKPOINT_TIMEOUT,
        # A failed checkpoint, for example on a full disk, makes a later recovery slower but is no reason to stop.
        # `rtea job status` and Flink's metric numberOfFailedCheckpoints show it.
        "execution.checkpointing.tolerable-failed-checkpoints": "2147483647",
        # A lost TaskManager is back within seconds, so the job waits for it and does not give up.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "2147483647",
        "restart-strategy.fixed-delay.delay": "1 s",
    }


def build(
    config: Config,
    python: str,
    longest_records: dict[str, int],
    jars: list[str],
    submission: Submission,
    span_ms: tuple[int, int] = connect.WHOLE_TOPIC,
) -> StreamExecutionEnvironment:
    """Build the environment with the whole graph. `longest_records` is the longest record of each topic, in bytes. With
    a span of event time `[from, to)`, the job computes only the windows in it, and then ends.
    """
    flink = Configuration()
    for name, value in settings(config, python, submission).items():
        flink.set_string(name, value)
    env = StreamExecutionEnvironment.get_execution_environment(flink)
    env.set_parallelism(config.job.parallelism)
    env.add_jars(*(Path(jar).as_uri() for jar in jars))

    kafka, job = config.kafka, config.job
    max_letter_bytes = min(longest_records[kafka.dead_letter_topic], MOST_LETTER_BYTES)
    batches = connect.guard_topic(connect.pack(connect.read_events(env, config, span_ms), config, span_ms), config)
    partials = batches.process(Fold(config, max_letter_bytes), output_type=BYTES).name("fold").uid("fold")
    kept = connect.keep_watermark(partials)
    results = (
        (_hold_orders(kept, job.window_ms) if job.deduplicate_orders else kept)
        .key_by(lambda _: 0, key_type=Types.INT())
        .window(TumblingEventTimeWindows.of(Time.milliseconds(job.window_ms)))
        .allowed_lateness(job.allowed_lateness_ms)
        .side_output_late_data(LATE)
        .aggregate(Merge(), Emit(submission), accumulator_type=Types.PICKLED_BYTE_ARRAY(), output_type=BYTES)
        .set_parallelism(1)
        .name("merge")
        .uid("merge")
    )
    missed = results.get_side_output(LATE)
    describe = DescribeLate(kafka.events_topic, max_letter_bytes)
    late = missed.flat_map(describe, output_type=BYTES).name("late").uid("late")
    health = (
        partials.get_side_output(REFUSED)
        .union(missed.map(CountLate(), output_type=BYTES).name("count late").uid("count-late"))
        .key_by(window_of, key_type=Types.LONG())
        .process(Sum(submission), output_type=BYTES)
        .set_parallelism(1)
        .name("health")
        .uid("health")
    )
    letters = partials.get_side_output(DEAD_LETTERS).union(late)
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
