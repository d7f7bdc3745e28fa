"""Writes results to BigQuery: each row exactly once.

A load job writes a batch to a staging table of its own. From there, one MERGE writes the results that are newer than
the table's to the table. Then the sink drops the staging table, and the runner commits the offsets. After a crash at
any point, the next run writes the same results again, which changes nothing.
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
from rtea.sinks.contract import Batch, Limits, Sink, StoredRow, Total
from rtea.sinks.metrics import BYTES_BILLED

log = logging.getLogger(__name__)


class TableLostError(Exception):
    """The staging table is gone, for example after an outage of more than a day, or the writer's table is, because a
    dataset's default let it expire. The batch must be loaded again.
    """


class BigQuerySink(Sink):
    """The table in BigQuery; reads and writes one `project.dataset.table`."""

    name = "bigquery"

    def __init__(self, section: BigQuerySection) -> None:
        self._section = section
        self.limits = Limits(
            records=section.batch_records,
            size_bytes=section.batch_bytes,
            interval_s=section.batch_interval_ms / 1000,
            early_interval_s=section.early_interval_ms / 1000,
        )
        self._jobs: Jobs | None = None

    @cached_property
    def client(self) -> bigquery.Client:
        """The client; it connects when it is first used.

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
        """Find the table, or make it if the settings allow it, and check its schema.

        Raises:
            SinkError: the table is missing or has another schema, or BigQuery cannot be used; the message says what to
                do.
            AbandonedError: `stop` was set while the sink waited for the server.
        """
        is_empty = self._table.open(stop)
        if self._table.looked_at is None:
            raise RuntimeError("Destination.open sets looked_at")
        self._jobs = Jobs(self.client, self._table.location, self._table.looked_at)
        return is_empty

    def write(self, batch: Batch, stop: threading.Event) -> None:
        """Load and MERGE a batch; retry after every transient error."""
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
                # An earlier run may have used some ids: take the first one that is new or belongs to this run.
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
            # Let the load job make the staging table. If the sink made it before, a table that another sink has just
            # dropped would exist again, empty, and the MERGE would find nothing to do.
            self._jobs.run(f"rtea-load-{name}", lambda job_id: self._submit_load(job_id, staging_id, encoded), stop)
            patiently(lambda: self._let_expire(staging_id), stop)
            job = self._jobs.run(f"rtea-merge-{name}", lambda job_id: self._submit_query(job_id, statement), stop)
        except StaleJobError:
            self._drop(staging_id)
            raise
        except (JobFailedError, exceptions.NotFound) as error:
            for lost in (staging_id, self._table.writer_id):
                if "ot found" in str(error) and lost.rpartition(".")[2] in str(error):
                    log.warning("table %s was dropped or has expired: writing the batch again", lost)
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
        """Set an expiration, so that BigQuery removes the staging table after a crash."""
        staging = bigquery.Table(staging_id)
        staging.expires = datetime.now(timezone.utc) + STAGING_LIFE
        # If it is gone, another sink has merged it, or the MERGE fails and the batch is loaded again.
        with suppress(exceptions.NotFound):
            self.client.update_table(staging, ["expires"], retry=None, timeout=REQUEST_SECONDS)

    def _drop(self, staging_id: str) -> None:
        """Drop a staging table; if that fails, it expires later."""
        try:
            self.client.delete_table(staging_id, not_found_ok=True, retry=None, timeout=REQUEST_SECONDS)
        except FAILURES as error:
            log.warning("staging table %s was not dropped, it will expire: %s", staging_id, first_line(error))

    def read(self, start_ms: int, end_ms: int) -> list[StoredRow]:
        """Read the rows back, in key order."""
        statement = sql.select(self.table_id, start_ms, end_ms)

        def query() -> list[StoredRow]:
            job = self.client.query(statement, retry=None, job_retry=None, timeout=REQUEST_SECONDS)
            return [StoredRow(*row.values()) for row in job.result(retry=None, timeout=REQUEST_SECONDS)]

        return ask(query, f"table {self.table_id}")

    def totals(self, start_ms: int, end_ms: int, bucket_ms: int) -> list[Total]:
        """Sums by bucket, added up by BigQuery in one query, which reads no sketches."""
        statement = sql.totals(self.table_id, start_ms, end_ms, bucket_ms)

        def query() -> list[Total]:
            job = self.client.query(statement, retry=None, job_retry=None, timeout=REQUEST_SECONDS)
            return [Total(*row.values()) for row in job.result(retry=None, timeout=REQUEST_SECONDS)]

        return ask(query, f"table {self.table_id}")

    def close(self) -> None:
        """Close the client's connections."""
        if "client" in self.__dict__:
            self.client.close()  # type: ignore[no-untyped-call]
