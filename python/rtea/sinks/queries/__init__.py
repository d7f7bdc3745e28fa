"""Ready queries: the same questions with the same names for every sink that takes SQL.

Each query is one file. Words in braces stand for what the dialects spell differently. `rtea query` has a view for each,
and `rtea bigquery sql NAME` prints one.
"""

import re
from importlib import resources
from typing import NamedTuple

from rtea.errors import ConfigError

_FOLDER = resources.files("rtea.sinks.queries")


class Dialect(NamedTuple):
    """How a database spells what a query needs: day and hour of a time, the number of distinct ids of several windows,
    the present, and the time that is a span, such as `1 HOUR`, before another.
    """

    day: str
    hour: str
    merged: str
    now: str
    before: str


BIGQUERY = Dialect(
    day="DATE({0})",
    hour="TIMESTAMP_TRUNC({0}, HOUR)",
    merged="HLL_COUNT.MERGE(visitors_sketch)",
    now="CURRENT_TIMESTAMP()",
    before="TIMESTAMP_SUB({0}, INTERVAL {1})",
)

DUCKDB = Dialect(
    day="CAST({0} AT TIME ZONE 'UTC' AS DATE)",
    # Hours in UTC, whatever the session's time zone is.
    hour="time_bucket(INTERVAL 1 HOUR, {0})",
    merged="hll_count_merge(visitors_sketch)",
    now="now()",
    before="({0} - INTERVAL {1})",
)


def names() -> list[str]:
    """Names of the queries.

    >>> "daily_uniques" in names()
    True
    """
    return sorted(path.name.removesuffix(".sql") for path in _FOLDER.iterdir() if path.name.endswith(".sql"))


def query(name: str, table: str, dialect: Dialect) -> str:
    """A query in a dialect; `table` is quoted already. The first line says what it answers.

    Raises:
        ConfigError: there is no query of that name.

    >>> print(query("daily_uniques", '"t"', DUCKDB).splitlines()[0])
    -- Unique visitors by day and source over the last 30 days: sketches merge over any span, sums of uniques do not.
    """
    if name not in names():
        raise ConfigError(f"query {name!r} is unknown: expected one of {', '.join(names())}")
    text = (_FOLDER / f"{name}.sql").read_text()
    text = text.replace("{table}", table).replace("{merged}", dialect.merged)
    units = {"day": dialect.day, "hour": dialect.hour}
    text = re.sub(r"\{(day|hour) of ([^}]+)\}", lambda found: units[found[1]].format(found[2]), text)
    text = re.sub(
        r"\{since (\d+ [A-Z]+)\}", lambda found: f"window_start >= {dialect.before.format(dialect.now, found[1])}", text
    )
    return re.sub(r"\{(\w+) - (\d+ [A-Z]+)\}", lambda found: dialect.before.format(found[1], found[2]), text)
