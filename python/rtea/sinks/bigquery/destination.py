"""The table in its dataset: finds or makes it, checks its schema, and drops staging tables that crashes left behind.

Beside the table is `<table>__writer`, with one row that every MERGE updates in its transaction. Without it, BigQuery
would let two statements that only insert run at once, and both would insert the same new key.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

from google.api_core import exceptions
from google.cloud import bigquery

from rtea.errors import SinkError
from rtea.sections import BigQuerySection
from rtea.sinks.bigquery import schema, sql
from rtea.sinks.bigquery.connect import REQUEST_SECONDS
from rtea.sinks.bigquery.retries import ask

log = logging.getLogger(__name__)

STAGING_LIFE = timedelta(days=1)
"""How long a staging table may exist after a crash."""

T = TypeVar("T")


class Destination:
    """One table, `project.dataset.table`. `open` waits like `rtea.sinks.bigquery.retries.ask`."""

    def __init__(self, client: bigquery.Client, section: BigQuerySection) -> None:
        self._client, self._section = client, section
        self.table_id = f"{client.project}.{section.table}"
        self.dataset_id = self.table_id.rpartition(".")[0]
        self.location: str | None = None
        self.looked_at: datetime | None = None
        self.window_ms: int | None = None

    @property
    def writer_id(self) -> str:
        """The table with the row that every MERGE updates."""
        return f"{self.table_id}__writer"

    @property
    def staging_prefix(self) -> str:
        """The prefix of the names of all staging tables."""
        return f"{self.table_id}__staging_"

    def open(self, stop: threading.Event | None) -> bool:
        """Find the table, or make it if the settings allow it, and check its schema. Return whether it is empty.

        Raises:
            SinkError: the table is missing or has another schema, or BigQuery cannot be used; the message says what to
                do.
            AbandonedError: `stop` was set while the sink waited for the server.
        """
        what = f"table {self.table_id}"
        found = ask(self._find_or_make, what, stop)
        self._check_schema(found, stop)
        if found.time_partitioning is None or found.time_partitioning.field != schema.PARTITION_FIELD:
            log.warning(
                "%s is not partitioned by %s: every MERGE reads all of it", self.table_id, schema.PARTITION_FIELD
            )
        ask(self.find_or_make_writer, f"table {self.writer_id}", stop)
        self.looked_at, self.window_ms = ask(self._look, what, stop)
        ask(self._sweep, f"staging tables of {self.table_id}", stop)
        return self.window_ms is None

    def _find_or_make(self) -> bigquery.Table:
        self.location = self._found(self._find_dataset, self._make_dataset).location
        return self._found(self._find_table, self._make_table)

    def _found(self, find: Callable[[], T], make: Callable[[], object]) -> T:
        """Find something, or make it. Finding comes first, because it needs fewer permissions."""
        try:
            return find()
        except exceptions.NotFound:
            if not self._section.create:
                raise
            make()
            return find()

    def _find_dataset(self) -> bigquery.Dataset:
        return self._client.get_dataset(self.dataset_id, retry=None, timeout=REQUEST_SECONDS)

    def _make_dataset(self) -> None:
        dataset = bigquery.Dataset(self.dataset_id)
        dataset.location = self._section.location
        self._client.create_dataset(dataset, exists_ok=True, retry=None, timeout=REQUEST_SECONDS)

    def _find_table(self) -> bigquery.Table:
        return self._client.get_table(self.table_id, retry=None, timeout=REQUEST_SECONDS)

    def _make_table(self) -> None:
        wanted = bigquery.Table(self.table_id, schema=schema.fields())
        days = self._section.partition_expiration_days
        wanted.time_partitioning = bigquery.TimePartitioning(
            field=schema.PARTITION_FIELD, expiration_ms=days * 86_400_000 or None
        )
        wanted.clustering_fields = list(schema.CLUSTERING_FIELDS)
        wanted.description = schema.DESCRIPTION
        self._client.create_table(wanted, exists_ok=True, retry=None, timeout=REQUEST_SECONDS)

    def find_or_make_writer(self) -> None:
        """Make the table with the row that every MERGE updates, if it is missing. It may have expired by default."""
        try:
            self._client.get_table(self.writer_id, retry=None, timeout=REQUEST_SECONDS)
        except exceptions.NotFound:
            with suppress(exceptions.Conflict):  # Another sink was faster.
                self._query(sql.make_writer(self.writer_id))

    def _check_schema(self, found: bigquery.Table, stop: threading.Event | None) -> None:
        differences = schema.compare(found.schema)
        if differences.problems:
            raise SinkError(
                f"table {self.table_id} differs: {'; '.join(differences.problems)}: name another with --table"
            )
        if not differences.addable:
            return
        names = ", ".join(f"{field.name} {field.field_type}" for field in differences.addable)
        if not self._section.add_columns:
            raise SinkError(f"table {self.table_id} lacks the nullable columns {names}: add them with --add-columns")
        found.schema = [*found.schema, *differences.addable]
        ask(
            lambda: self._client.update_table(found, ["schema"], retry=None, timeout=REQUEST_SECONDS),
            self.table_id,
            stop,
        )
        log.info("added to %s: %s", self.table_id, names)

    def _look(self) -> tuple[datetime, int | None]:
        (row,) = self._query(sql.look(self.table_id))
        return row.now, row.window_ms

    def _query(self, statement: str) -> list[bigquery.Row]:
        job = self._client.query(statement, location=self.location, retry=None, job_retry=None, timeout=REQUEST_SECONDS)
        return list(job.result(retry=None, timeout=REQUEST_SECONDS))

    def _sweep(self) -> None:
        """Drop old staging tables: if a sink was killed before it set the expiration, its table would stay."""
        if self.looked_at is None:
            raise RuntimeError("_look comes before _sweep")
        for entry in self._client.list_tables(self.dataset_id, retry=None, timeout=REQUEST_SECONDS):
            name = f"{self.dataset_id}.{entry.table_id}"
            if name.startswith(self.staging_prefix) and entry.created < self.looked_at - STAGING_LIFE:
                self._client.delete_table(name, not_found_ok=True, retry=None, timeout=REQUEST_SECONDS)
                log.info("dropped %s, which a crash left behind", name)
