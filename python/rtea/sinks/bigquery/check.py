"""`rtea bigquery check`: checks that a real project does what the sink and the ready queries rely on.

It makes a temporary dataset, writes rows with known sketches through the sink, queries them, and always removes the
dataset at the end. The expected estimates come from RTEA's own sketches, which are byte-identical to those of
google/zetasketch.
"""

import io
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

from google.api_core import exceptions
from google.cloud import bigquery

from rtea import aggregate
from rtea.errors import RteaError
from rtea.sections import BigQuerySection
from rtea.sinks import result
from rtea.sinks.bigquery.connect import FAILURES, REQUEST_SECONDS, first_line
from rtea.sinks.bigquery.retries import ask
from rtea.sinks.bigquery.sink import BigQuerySink
from rtea.sinks.contract import Batch
from rtea.sinks.result import Row, WindowResult

log = logging.getLogger(__name__)

WINDOW_MS = 60_000
START_MS = 1_760_000_040_000

# A sparse sketch, a dense one, and a dense one that overlaps with the second.
VISITORS = {"mobile": range(100), "website": range(50_000), "all": range(40_000, 120_000)}


@dataclass(frozen=True)
class Finding:
    """One check: what was expected, and what was found."""

    name: str
    expected: str
    found: str

    @property
    def passed(self) -> bool:
        """Whether BigQuery did what was expected."""
        return self.expected == self.found


def check(section: BigQuerySection) -> list[Finding]:
    """Check a project, and remove everything that the check made.

    Raises:
        SinkError: the project cannot be used at all, for example because permissions are missing.
    """
    dataset = f"rtea_check_{uuid.uuid4().hex[:8]}"
    own = section.model_copy(
        update={"table": f"{dataset}.ecommerce_metrics", "create": True, "partition_expiration_days": 0}
    )
    sink = BigQuerySink(own)
    with _temporary(sink.client, dataset):
        sink.open()
        return list(_findings(sink, own))


@contextmanager
def _temporary(client: bigquery.Client, dataset: str) -> Iterator[None]:
    """Remove the dataset and everything in it at the end of the block."""

    def remove() -> None:
        client.delete_dataset(dataset, delete_contents=True, not_found_ok=True, retry=None, timeout=REQUEST_SECONDS)

    try:
        yield
    except BaseException:
        try:
            ask(remove, f"dataset {dataset}")
        except RteaError as error:
            log.warning("dataset %s stays, remove it by hand: %s", dataset, error)
        raise
    ask(remove, f"dataset {dataset}")


def _findings(sink: BigQuerySink, section: BigQuerySection) -> Iterator[Finding]:
    sketches = {name: aggregate.build_sketch([b"v%d" % n for n in numbers]) for name, numbers in VISITORS.items()}
    first = _window(3, sketches)
    _write(sink, first)
    rows = sink.read(START_MS, START_MS + 1)
    yield Finding("rows are readable as written", str(len(first.rows)), str(len(rows)))
    stored = {row.dimension: row.visitors_sketch for row in rows}
    yield Finding("sketch bytes are kept", "True", str(stored == sketches))
    for name, sketch in sketches.items():
        estimate = f"SELECT HLL_COUNT.EXTRACT(visitors_sketch) FROM `{sink.table_id}` WHERE dimension = '{name}'"
        yield _query_check(sink, f"HLL_COUNT.EXTRACT of {name}", str(aggregate.estimate_sketch(sketch)), estimate)
    union = aggregate.estimate_sketch(aggregate.merge_sketches(sketches.values()))
    merged = f"SELECT HLL_COUNT.MERGE(visitors_sketch) FROM `{sink.table_id}` WHERE metric = 'unique_visitors'"
    yield _query_check(sink, "HLL_COUNT.MERGE of all", str(union), merged)
    _write(sink, first)
    yield Finding("the same batch again changes nothing", "True", str(sink.read(START_MS, START_MS + 1) == rows))
    _write(sink, _window(2, sketches))
    yield Finding("an older revision changes nothing", "True", str(sink.read(START_MS, START_MS + 1) == rows))
    _write(sink, _window(4, sketches))
    revisions = {row.revision for row in sink.read(START_MS, START_MS + 1)}
    yield Finding("a newer revision replaces the rows", "{4}", str(revisions))
    yield _run_check("a job id is used once", "Conflict", lambda: _submit_twice(sink))
    yield _run_check("two sinks at once insert a new row once", "3", lambda: _write_at_once(section, sketches))


def _window(revision: int, sketches: dict[str, bytes], start_ms: int = START_MS) -> WindowResult:
    rows = [
        Row("unique_visitors", name, "", None, None, aggregate.estimate_sketch(sketch), sketch)
        for name, sketch in sketches.items()
    ]
    return WindowResult(result.VERSION, start_ms, start_ms + WINDOW_MS, 1, revision, "", rows)


def _write(sink: BigQuerySink, window: WindowResult) -> None:
    """Write one window in a batch of its own."""
    sink.write(Batch([window], uuid.uuid4().hex), threading.Event())


def _query_check(sink: BigQuerySink, name: str, expected: str, statement: str) -> Finding:
    def ask_once() -> str:
        job = sink.client.query(statement, retry=None, job_retry=None, timeout=REQUEST_SECONDS)
        return str(next(iter(job.result(retry=None, timeout=REQUEST_SECONDS)))[0])

    return _run_check(name, expected, ask_once)


def _submit_twice(sink: BigQuerySink) -> str:
    job_id = f"rtea-check-{uuid.uuid4().hex}"
    for _ in range(2):
        sink.client.load_table_from_file(
            io.BytesIO(b'{"x":1}\n'),
            f"{sink.table_id}_twice",
            size=8,
            num_retries=0,
            job_id=job_id,
            job_config=bigquery.LoadJobConfig(
                schema=[bigquery.SchemaField("x", "INT64")],
                source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            ),
        )
    return "both were accepted"


def _write_at_once(section: BigQuerySection, sketches: dict[str, bytes]) -> str:
    """Let two sinks write the same new window at once, three times; return the numbers of rows found."""
    sinks = [BigQuerySink(section), BigQuerySink(section)]
    found = set()
    for sink in sinks:
        sink.open()
    with ThreadPoolExecutor(len(sinks)) as pool:
        for turn in range(1, 4):
            start_ms = START_MS + turn * WINDOW_MS
            list(pool.map(_write, sinks, repeat(_window(1, sketches, start_ms))))
            found.add(len(sinks[0].read(start_ms, start_ms + 1)))
    return ", ".join(map(str, sorted(found)))


def _run_check(name: str, expected: str, work: Callable[[], str]) -> Finding:
    """Run a check; an error of BigQuery is a finding too."""
    try:
        return Finding(name, expected, work())
    except exceptions.Conflict:
        return Finding(name, expected, "Conflict")
    except (*FAILURES, RteaError) as error:
        return Finding(name, expected, f"refused: {first_line(error)}")
