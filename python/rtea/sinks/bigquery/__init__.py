"""The BigQuery sink: load job into a staging table, guarded MERGE, deterministic job ids.

`sink` writes and reads, `jobs` submits and waits, `schema` is the table, `sql` its statements, `connect` the
client and what its errors mean, `check` proves a real project, `queries/` is ready SQL for users.
"""

import warnings

# Google's client announces on standard error, at each start, what it will ask for in a year.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
