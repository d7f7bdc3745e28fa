"""Results to BigQuery, exactly once by its rows.

A batch goes by a load job into a staging table of its own and from there by one MERGE into the table,
where they are newer than what is there; then the staging table is dropped, and the runner commits the offsets. A crash
at any point leads to the same batch again, whose rows change nothing that is there already.
"""

import io
import logging
import threading
from contextlib import suppress
from datetime import datetime, timezone
from functools import cached_property

import msgspec
from google.api_core import exceptions
from google.cloud import bigquery

from rtea.sections import BigQuerySection
from rtea.sinks import result, table
from rtea.sinks.bigquery import schema, sql
from rtea.sinks.bigquery.connect import FAILURES, REQUEST_SECONDS, JobFailedError, connect, explained, first_line
from rtea.sinks.bigquery.destination import STAGING_LIFE, Destination
from rtea.sinks.bigquery.jobs import Job, Jobs, StaleJobError
from rtea.sinks.bigquery.retries import ask, patiently
from rtea.sinks.contract import Batch, Limits, Sink, StoredRow
from rtea.sinks.metrics import BYTES_BILLED

log = logging.getLogger(__name__)


class TableLostError(Exception):
    """The staging table is gone, as after an outage of more than a day, or the writer's table: a dataset's default lets
    it expire. The batch has to be loaded again.
    """


class BigQuerySink(Sink):
    """The table in BigQuery; reads and writes one `project.dataset.table`."""

    name = "bigquery"

    def __init__(self, section: BigQuerySection) -> None:
        self._section = section
        self.limits = Limits(
            records=section.batch_records, size_bytes=section.batch_bytes, interval_s=section.batch_interval_ms / 1000
        )
        self._jobs: Jobs | None = None

    @cached_property
    def client(self) -> bigquery.Client:
        """The client, connected at first use.

        Raises:
            SinkError, ConfigError: as `connect`.
        """
        return connect(self._section)

    @cached_property
    def _table(self) -> Destination:
        return Destination(self.client, self._section)

    @property
    def table_id(self) -> str:
        """The table as project.dataset.table."""
        return self._table.table_id

    @property
    def destination(self) -> str:
        """Server and table."""
        return f"{self._section.endpoint or 'bigquery'}/{self.table_id}"

    def open(self, stop: threading.Event | None = None) -> bool:
        """Find the table, or make it when the settings say so, and compare its schema.

        Raises:
            SinkError: it is missing, differs, or BigQuery cannot be used; the line says what to do.
            AbandonedError: `stop` was set while the server was waited for.
        """
        is_empty = self._table.open(stop)
        if self._table.looked_at is None:
            raise RuntimeError("an opened table has been looked at")
        self._jobs = Jobs(self.client, self._table.location, self._table.looked_at)
        return is_empty

    def write(self, batch: Batch, stop: threading.Event) -> None:
        """Load and MERGE a batch; waits out every transient error."""
        table.require_length(self._table.window_ms, batch.results, self.table_id)
        results = result.newest(batch.results)
        written_at = datetime.now(timezone.utc)
        encoded = b"\n".join(
            msgspec.json.encode(dict(zip((column.name for column in table.COLUMNS), row, strict=True)))
            for each in results
            for row in table.rows(each, written_at)
        )
        starts_ms = {each.window_start_ms for each in results}
        attempt = 0

        def once() -> Job:
            nonlocal attempt
            while True:
                attempt += 1
                # An earlier run may have used some ids up: the first that is new, or this run's own, counts.
                with suppress(StaleJobError):
                    return self._load_and_merge(f"{batch.id}-a{attempt}", encoded, starts_ms, stop)

        try:
            job = patiently(once, stop, also=(TableLostError,))
        except FAILURES as error:
            raise explained(error, f"batch {batch.id} for {self.table_id}") from error
        self._table.window_ms = results[0].window_end_ms - results[0].window_start_ms
        BYTES_BILLED.labels(self.name).inc(getattr(job, "total_bytes_billed", None) or 0)

    def _load_and_merge(self, name: str, encoded: bytes, starts_ms: set[int], stop: threading.Event) -> Job:
        if self._jobs is None:
            raise RuntimeError("open comes before write")
        staging_id = f"{self._table.staging_prefix}{name.replace('-', '_')}"
        statement = sql.merge(self.table_id, staging_id, self._table.writer_id, starts_ms)
        try:
            # The load job itself makes the staging table. Made beforehand, one that another sink has just
            # dropped would be there again, empty, and the MERGE would find nothing to do.
            self._jobs.run(f"rtea-load-{name}", lambda job_id: self._submit_load(job_id, staging_id, encoded), stop)
            patiently(lambda: self._let_expire(staging_id), stop)
            job = self._jobs.run(f"rtea-merge-{name}", lambda job_id: self._submit_query(job_id, statement), stop)
        except StaleJobError:
            self._drop(staging_id)
            raise
        except (JobFailedError, exceptions.NotFound) as error:
            for lost in (staging_id, self._table.writer_id):
                if "ot found" in str(error) and lost.rpartition(".")[2] in str(error):
                    log.warning("table %s is gone, dropped or expired: the batch is written again", lost)
                    if lost == self._table.writer_id:
                        patiently(self._table.find_or_make_writer, stop)
                    raise TableLostError(lost) from error
            raise
        self._drop(staging_id)
        return job

    def _submit_load(self, job_id: str, staging_id: str, encoded: bytes) -> Job:
        config = bigquery.LoadJobConfig(
            schema=schema.fields(),
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        )
        return self.client.load_table_from_file(
            io.BytesIO(encoded),
            staging_id,
            size=len(encoded),
            num_retries=0,
            job_id=job_id,
            location=self._table.location,
            job_config=config,
            timeout=REQUEST_SECONDS,
        )

    def _submit_query(self, job_id: str, statement: str) -> Job:
        return self.client.query(
            statement,
            job_id=job_id,
            location=self._table.location,
            retry=None,
            job_retry=None,
            timeout=REQUEST_SECONDS,
        )

    def _let_expire(self, staging_id: str) -> None:
        """Have BigQuery remove a staging table that a crash leaves behind."""
        staging = bigquery.Table(staging_id)
        staging.expires = datetime.now(timezone.utc) + STAGING_LIFE
        # One that is gone already is either merged, or missed by the MERGE.
        with suppress(exceptions.NotFound):
            self.client.update_table(staging, ["expires"], retry=None, timeout=REQUEST_SECONDS)

    def _drop(self, staging_id: str) -> None:
        """Drop a staging table; one that stays is removed by its expiration."""
        try:
            self.client.delete_table(staging_id, not_found_ok=True, retry=None, timeout=REQUEST_SECONDS)
        except FAILURES as error:
            log.warning("staging table %s stays until it expires: %s", staging_id, first_line(error))

    def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
        """Read the rows back, in key order."""
        statement = sql.select(self.table_id, start_ms, end_ms)

        def query() -> list[StoredRow]:
            job = self.client.query(statement, retry=None, job_retry=None, timeout=REQUEST_SECONDS)
            return [StoredRow(*row.values()) for row in job.result(retry=None, timeout=REQUEST_SECONDS)]

        return ask(query, f"table {self.table_id}")

    def close(self) -> None:
        """Close the client's connections."""
        if "client" in self.__dict__:
            self.client.close()  # type: ignore[no-untyped-call]
