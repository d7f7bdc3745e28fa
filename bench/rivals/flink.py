"""The contenders that run on the Flink cluster: RTEA, Flink SQL, and hand-written Java jobs."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import msgspec
import requests
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from bench.rivals import java, sql_job
from bench.rivals.answer import Answer, Row, differences, without_all_visitors
from bench.rivals.contender import Clock, Contender, Drained
from rtea.job import cluster
from rtea.job import submit as job
from rtea.sinks import result
from rtea.sinks.result import WindowResult
from rtea.stack import rest

WATCH_SECONDS = 0.25
DRAIN_LIMIT_SECONDS = 600

ROWS_TOPIC, LETTERS_TOPIC = "rival_rows", "rival_letters"

_SOURCE_RECORDS = re.compile(r"Source__\S*[.](numRecordsOut|deserializer[.]rtea_job_records_total)")


class OnFlink(Contender):
    """A job on the cluster; a round is measured from its first metrics to its last record."""

    def watch(self, job_id: str) -> Drained:
        """Wait until the source has read all events."""
        vertex = next(v for v in cluster.describe(self.config, job_id)["vertices"] if v["name"].startswith("Source: "))
        name = self._source_metric(job_id, vertex["id"])
        events = self.sent.end.events
        deadline_s = time.monotonic() + DRAIN_LIMIT_SECONDS
        clock, first = Clock(self.config), 0.0
        while time.monotonic() < deadline_s:
            found = cluster.metrics(self.config, job_id, vertex["id"], [name])
            records = found[name]["sum"] if name in found else 0.0
            if not first and records > 0:
                if records > events / 2:
                    raise AssertionError("too few events were left when the metrics appeared: give more --events")
                clock, first = Clock(self.config), records
            elif first and records >= events:
                return clock.read((records - first) / events)
            time.sleep(WATCH_SECONDS)
        raise AssertionError(f"{self.name}: the topic was not drained in {DRAIN_LIMIT_SECONDS} s")

    def _source_metric(self, job_id: str, vertex_id: str) -> str:
        """Name of the source operator's record count; Flink lists it a few seconds after the start."""

        def ask() -> str | None:
            address = f"{rest.address(self.config)}/jobs/{job_id}/vertices/{vertex_id}/subtasks/metrics"
            names = [metric["id"] for metric in requests.get(address, timeout=10).json()]
            # Elements of our source are batches, so it counts their records itself.
            ours = [name for name in names if name.endswith(".rtea_job_records_total")]
            return next((name for name in [*ours, *names] if _SOURCE_RECORDS.fullmatch(name)), None)

        unknown = retry_if_result(lambda name: name is None)
        name = Retrying(retry=unknown, stop=stop_after_delay(60), wait=wait_fixed(0.1))(ask)
        if name is None:
            raise AssertionError(f"{self.name}: the source has no count of records")
        return name


class Rtea(OnFlink):
    """The job of this project."""

    name = "rtea"

    def drain(self) -> Drained:
        """Submit the job, and take its newest result of each window."""
        topic = self.config.kafka.results_topic
        offset = self.end_offset(topic)
        job_id = job.submit(self.config)
        try:
            drained = self.watch(job_id)
            newest: dict[int, WindowResult] = {}
            answer: Answer = {}
            for value in self.consume(topic, offset):
                found = result.decode(value, topic)
                known = newest.get(found.window_start_ms)
                if found.is_of_events and (known is None or found.age > known.age):
                    newest[found.window_start_ms] = found
                    answer |= {(found.window_start_ms, *row.key): _value(row) for row in found.rows}
                    if not differences(self.wanted, answer):
                        break
        finally:
            job.cancel(self.config, job_id)
        self.check(answer)
        return drained


def _value(row: result.Row) -> int:
    values = (row.event_count, row.revenue_minor, row.unique_visitors)
    return next(int(value) for value in values if value is not None)


class Sql(OnFlink):
    """The same windows in Flink SQL, written as its guide recommends."""

    name = "sql"
    note = "counts visitors exactly, by source; no dead letters"
    statements: tuple[str, ...] = ("counts", "revenue", "visitors")

    def adapt(self, wanted: Answer) -> Answer:
        """It has no row for the visitors of all sources."""
        return without_all_visitors(wanted)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Make the topics."""
        self.make_topics(*(f"sql_{name}" for name in self.statements))
        yield

    def drain(self) -> Drained:
        """Submit the statements and read what they write."""
        offsets = {name: self.end_offset(f"sql_{name}") for name in self.statements}
        job_id = job.launch(self.config, Path(sql_job.__file__), ",".join(self.statements))
        try:
            drained = self.watch(job_id)
            answer: Answer = {}
            for name, offset in offsets.items():
                wanted = {key: value for key, value in self.wanted.items() if key[1] == sql_job.METRICS[name]}
                for value in self.consume(f"sql_{name}", offset):
                    key, number = _of_sql(name, json.loads(value, parse_float=Decimal))
                    answer[key] = number
                    if not differences(wanted, answer):
                        break
        finally:
            job.cancel(self.config, job_id)
        self.check(answer)
        return drained


def _of_sql(name: str, row: dict[str, str | int | Decimal]) -> tuple[tuple[int, str, str, str], int]:
    start = datetime.fromisoformat(str(row["window_start"])).replace(tzinfo=timezone.utc)
    start_ms = int(start.timestamp() * 1000)
    if name == "counts":
        return (start_ms, "event_count", f"{row['event_type']}_{row['source']}", ""), int(row["event_count"])
    if name == "revenue":
        minor = int(Decimal(row["revenue"]).scaleb(2))
        return (start_ms, "revenue", str(row["category"]), str(row["currency"])), minor
    return (start_ms, "unique_visitors", str(row["source"]), ""), int(row["unique_visitors"])


class SqlWithoutVisitors(Sql):
    """The same without the costly distinct count."""

    name = "sql-no-visitors"
    note = "no visitors; no dead letters"
    metrics = ("event_count", "revenue")
    statements = ("counts", "revenue")


class JavaJob(OnFlink):
    """A hand-written DataStream job."""

    main_class: str

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Compile the rivals and make the topics."""
        self.make_topics(ROWS_TOPIC, LETTERS_TOPIC)
        with java.built() as self._jar:
            yield

    def drain(self) -> Drained:
        """Submit the jar and read its rows."""
        offset = self.end_offset(ROWS_TOPIC)
        arguments = java.arguments(self.config, ROWS_TOPIC, LETTERS_TOPIC)
        job_id = java.submit(self.config, self._jar, self.main_class, arguments)
        decode = msgspec.json.Decoder(Row).decode
        try:
            drained = self.watch(job_id)
            answer: Answer = {}
            for value in self.consume(ROWS_TOPIC, offset):
                row = decode(value)
                answer[row.key] = row.value
                if len(answer) >= len(self.wanted) and not differences(self.wanted, answer):
                    break
        finally:
            job.cancel(self.config, job_id)
        self.check(answer)
        return drained


class Idiomatic(JavaJob):
    """As most Java developers would write it."""

    name = "java-idiomatic"
    note = "Jackson POJO, keyBy, window; HLL of Apache DataSketches"
    main_class = "rivals.IdiomaticJob"


class Expert(JavaJob):
    """As somebody would write it who knows Flink well."""

    name = "java-expert"
    note = "streaming parser, aggregation before keyBy; HLL of Apache DataSketches"
    main_class = "rivals.ExpertJob"
