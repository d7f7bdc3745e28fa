"""The BigQuery sink: load job into a staging table, guarded MERGE, deterministic job ids.

`sink` writes and reads, `destination` finds or makes the table, `schema` has its fields, `sql` the statements. `jobs`
submits jobs and waits for them, `connect` makes the client and explains its errors, `retries` tries again. `check`
tests a real project. `queries/` has ready SQL for users.
"""

import warnings

# At each start, Google's client warns about Python versions that it will stop supporting in the future.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
