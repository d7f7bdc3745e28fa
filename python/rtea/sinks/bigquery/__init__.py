"""The BigQuery sink: load job into a staging table, guarded MERGE, deterministic job ids.

`sink` writes and reads, `destination` finds or makes the table, `schema` has its fields, `sql` the statements. `jobs`
submits jobs and waits for them, `connect` makes the client and explains its errors, `retries` tries again. `check`
tests a real project. `queries/` has ready SQL for users.
"""

import os
import time
import warnings
from pathlib import Path
from typing import Any

from rtea.plugins import Option, SinkKind
from rtea.sections import BigQuerySection

# At each start, Google's client warns about Python versions that it will stop supporting in the future.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")


def _make(section: BigQuerySection) -> Any:
    # Google's client takes a second to import, so import it only for users of BigQuery.
    from rtea.sinks.bigquery.sink import BigQuerySink

    return BigQuerySink(section)


def _of_demo(section: BigQuerySection, _: Path) -> BigQuerySection:
    table = f"{section.table}_demo_{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}"
    return section.model_copy(update={"table": table, "create": True})


KIND = SinkKind(
    name="bigquery",
    summary="Write to a BigQuery table until interrupted.",
    section="bigquery",
    example="--project my-project --table shop.ecommerce_metrics --create",
    settings=BigQuerySection,
    make=_make,
    options=(
        Option("--project", "project", "The project [default: the one in the credentials]."),
        Option("--table", "table", "The table, DATASET.TABLE [default: rtea.ecommerce_metrics]."),
        Option("--location", "location", "Location of the dataset that --create makes."),
        Option("--endpoint", "endpoint", "Address of an emulator; sends no credentials."),
        Option("--create", "create", "Make a missing dataset or table.", is_flag=True),
        Option("--add-columns", "add_columns", "Add nullable columns that are missing.", is_flag=True),
        Option("--partition-expiration-days", "partition_expiration_days", "With --create."),
    ),
    of_demo=_of_demo,
    is_service=True,
    is_set_up=lambda section: bool(
        section.project or section.endpoint or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    ),
    whereabouts=lambda section: f"rows stay in table {section.table_id}; drop it when you have seen enough",
)
