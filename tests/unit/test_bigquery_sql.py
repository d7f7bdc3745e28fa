"""Promise: a MERGE reads only the partitions of its batch."""

import re

from rtea.sinks.bigquery import sql

RANGE = (
    "{0}.window_start >= TIMESTAMP '1970-01-01 00:01:00.000+00:00' "
    "AND {0}.window_start < TIMESTAMP '1970-01-01 00:02:00.001+00:00'"
)


def test_every_read_of_the_table_has_a_constant_range_of_the_partition_column() -> None:
    statement = sql.merge("p.d.t", "p.d.t__staging_x", "p.d.t__writer", {60_000, 120_000})
    merge = statement[statement.index("MERGE") :]
    aliases = re.findall(r"`p\.d\.t` (\w+)", merge)
    assert sorted(aliases) == ["O", "O", "T"]
    assert merge.count(RANGE.format("O")) == 2
    assert merge.count(RANGE.format("T")) == 1
    assert merge.count("IN (DATE '1970-01-01')") == 3
    # It would read every partition, whatever the ranges say.
    assert "NOT MATCHED BY SOURCE" not in merge


def test_a_batch_of_two_distant_days_names_only_those_days() -> None:
    statement = sql.merge("p.d.t", "p.d.t__staging_x", "p.d.t__writer", {1_760_000_000_000, 1_730_000_000_000})
    assert statement.count("IN (DATE '2024-10-27', DATE '2025-10-09')") == 3
