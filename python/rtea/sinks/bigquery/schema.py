"""The table in BigQuery: its fields, and how an existing table differs from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from google.cloud.bigquery import SchemaField

from rtea.sinks import table

TYPES: dict[table.Kind, str] = {
    "timestamp": "TIMESTAMP",
    "string": "STRING",
    "int64": "INT64",
    "decimal": "NUMERIC",
    "bytes": "BYTES",
    "bool": "BOOL",
}

# BigQuery's API returns the older names.
CURRENT_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}

DESCRIPTION = "Metrics of event-time windows, written by RTEA."
PARTITION_FIELD = "window_start"
CLUSTERING_FIELDS = ("metric", "dimension")


def fields() -> list[SchemaField]:
    """The table's fields, with descriptions."""
    return [
        SchemaField(
            column.name,
            TYPES[column.kind],
            "REQUIRED" if column.required else "NULLABLE",
            description=column.description,
        )
        for column in table.COLUMNS
    ]


@dataclass(frozen=True)
class Differences:
    """How an existing table differs. `addable` columns are missing and nullable, so BigQuery can add them in place."""

    problems: list[str]
    addable: list[SchemaField]


def compare(existing: Sequence[SchemaField]) -> Differences:
    """Compare a table's fields with ours. The table may have further columns, unless they are required: then our rows
    would not fit.

    >>> compare(fields()[:-3]).problems
    ['updated_at is missing, expected TIMESTAMP REQUIRED']
    >>> [field.name for field in compare(fields()[:-2]).addable]
    ['generation', 'is_final']
    """
    found = {field.name: field for field in existing}
    wanted = {field.name: field for field in fields()}
    addable = [field for name, field in wanted.items() if name not in found and field.mode == "NULLABLE"]
    problems = [
        f"{name} is {_describe(found[name]) if name in found else 'missing'}, expected {_describe(field)}"
        for name, field in wanted.items()
        if field not in addable and (name not in found or _describe(found[name]) != _describe(field))
    ]
    problems += [
        f"{name} is {_describe(field)}, but RTEA does not write this column"
        for name, field in found.items()
        if name not in wanted and field.mode == "REQUIRED"
    ]
    return Differences(problems, addable)


def _describe(field: SchemaField) -> str:
    return f"{CURRENT_NAMES.get(field.field_type, field.field_type)} {field.mode}"
