"""The BigQuery sink: load job into a staging table, guarded MERGE, deterministic job ids.

`sink` writes and reads, `jobs` submits and waits, `schema` is the table, `sql` its statements, `connect` the
client and what its errors mean, `check` proves a real project, `queries/` is ready SQL for users.
"""
