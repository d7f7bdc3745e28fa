"""The contenders that are programs of their own: plain Python, bare Rust, and Kafka Streams."""

import subprocess
import sys
import tempfile
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from bench.rivals import java
from bench.rivals.answer import Answer, Row, differences, without_all_visitors
from bench.rivals.contender import Clock, Contender, Drained
from bench.rivals.flink import LETTERS_TOPIC, ROWS_TOPIC

BARE = Path(__file__).parent / "bare"
BUILT = Path(__file__).parents[2] / "target" / "bare"
STREAMS_LIMIT_SECONDS = 900


class Program(Contender):
    """A program that reads the topic to its end and prints its rows."""

    warms_up = False

    @abstractmethod
    def command(self) -> list[str]:
        """What to run."""

    def drain(self) -> Drained:
        """Run the program; the CPU seconds are all of its own."""
        clock = Clock(self.config)
        before = psutil.Process().cpu_times()
        ran = subprocess.run(self.command(), stdout=subprocess.PIPE, check=True)
        after = psutil.Process().cpu_times()
        used = clock.read().cpu_seconds
        used["program"] = after.children_user + after.children_system - before.children_user - before.children_system
        *lines, last = ran.stdout.splitlines()
        rows = [msgspec.json.decode(line, type=Row) for line in lines]
        self.check({row.key: row.value for row in rows})
        return Drained(msgspec.json.decode(last)["seconds"], used)


class Plain(Program):
    """Two Python processes."""

    name = "python"
    note = "confluent-kafka and msgspec; exact sets; no guarantees, no dead letters"

    def command(self) -> list[str]:
        """One process for each subtask of the job."""
        kafka, job = self.config.kafka, self.config.job
        numbers = map(str, (job.parallelism, kafka.partitions, job.window_ms))
        return [sys.executable, "-m", "bench.rivals.plain", kafka.bootstrap_servers, kafka.events_topic, *numbers]


class Bare(Program):
    """One Rust process."""

    name = "rust"
    note = "librdkafka, sonic-rs and our sketch; no guarantees, no dead letters"

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Compile it."""
        build = ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", str(BUILT)]
        subprocess.run(build, cwd=BARE, check=True)
        yield

    def command(self) -> list[str]:
        """The whole topic in one process."""
        kafka = self.config.kafka
        numbers = map(str, (kafka.partitions, self.config.job.window_ms))
        return [str(BUILT / "release" / "bare"), kafka.bootstrap_servers, kafka.events_topic, *numbers]


class Streams(Contender):
    """Kafka Streams in one JVM; its rows are updates, so a round ends when they are right."""

    name = "kafka-streams"
    note = "RocksDB state and repartition topics; counts visitors exactly, by source"
    # A round takes minutes: compiling hardly counts, and one round must do.
    warms_up = False
    most_rounds = 1

    def adapt(self, wanted: Answer) -> Answer:
        """It has no row for the visitors of all sources."""
        return without_all_visitors(wanted)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Make the topics, and compile."""
        self.make_topics(ROWS_TOPIC, LETTERS_TOPIC)
        with java.built() as self._jar:
            yield

    def drain(self) -> Drained:
        """One application of its own, from the start of the topic."""
        offset = self.end_offset(ROWS_TOPIC)
        arguments = [f"rival-{time.time_ns()}", *java.arguments(self.config, ROWS_TOPIC, LETTERS_TOPIC)]
        flags = ("-Xmx2g", "-XX:+UseParallelGC")
        with tempfile.TemporaryDirectory(prefix="streams-") as folder:
            program = java.command(self._jar, "rivals.StreamsApp", *flags, f"-Djava.io.tmpdir={folder}")
            clock = Clock(self.config)
            with subprocess.Popen([*program, *arguments], stderr=subprocess.DEVNULL) as process:
                try:
                    answer = self._follow(offset)
                    used = clock.read()
                    used.cpu_seconds["program"] = sum(psutil.Process(process.pid).cpu_times()[:2])
                finally:
                    process.terminate()
        self.check(answer)
        return used

    def _follow(self, offset: int) -> Answer:
        """Its rows, as soon as they are right."""
        answer: Answer = {}
        deadline_s = time.monotonic() + STREAMS_LIMIT_SECONDS
        for value in self.consume(ROWS_TOPIC, offset):
            row = msgspec.json.decode(value, type=Row)
            answer[row.key] = row.value
            is_right = len(answer) >= len(self.wanted) and not differences(self.wanted, answer)
            if is_right or time.monotonic() > deadline_s:
                break
        return answer
