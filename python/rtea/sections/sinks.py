"""Where the rows go."""

from pathlib import Path

from pydantic import Field

from rtea.sections.section import Section


class SinkSection(Section):
    """The sinks."""

    duckdb_path: Path = Path("rtea.duckdb")
    """The DuckDB file."""
    table: str = Field("ecommerce_metrics", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    """Name of the table in the DuckDB file."""
    group_id: str = "rtea-sink"
    """Prefix of the consumer groups of the results topic; each table has its own group."""


class BigQuerySection(Section):
    """The BigQuery sink."""

    project: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.:-]{0,62}$")
    """Project of the table and of the jobs; default: the project of the credentials."""
    table: str = Field("rtea.ecommerce_metrics", pattern=r"^[A-Za-z0-9_]{1,1024}\.[A-Za-z_][A-Za-z0-9_]{0,255}$")
    """The table, DATASET.TABLE."""
    location: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,63}$")
    """Location of a dataset that `create` makes; default: BigQuery's own choice, US."""
    endpoint: str | None = Field(None, pattern=r"^https?://\S+$")
    """Address of an emulator; RTEA sends no credentials to it."""
    create: bool = False
    """Make the dataset and the table if they are missing."""
    add_columns: bool = False
    """Add nullable columns that an existing table lacks."""
    partition_expiration_days: int = Field(0, ge=0)
    """Number of days after which BigQuery drops partitions of a table that `create` makes; 0: never."""
    batch_interval_ms: int = Field(5_000, ge=0)
    """Minimum time between the starts of two batches. Unless batches are full or jobs fail, 5 s gives at most 17,280
    load jobs a day; a project may run 100,000."""
    early_interval_ms: int = Field(60_000, ge=0)
    """Minimum time between the starts of two batches if the second one has nothing but early rows. BigQuery bills each
    batch, so early rows mostly come along with final ones."""
    batch_records: int = Field(1_000, ge=1)
    """Maximum number of windows in a batch."""
    batch_bytes: int = Field(16_777_216, ge=1)
    """Maximum size of a batch's result records, in bytes; they grow by about a third on their way to BigQuery."""

    @property
    def table_id(self) -> str:
        """project.dataset.table, or dataset.table when the credentials name the project."""
        return f"{self.project}.{self.table}" if self.project else self.table
