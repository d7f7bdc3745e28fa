"""Starts the emulator, in its own environment, with one fix for the DuckDB that it runs on here.

To find out whether a transaction is open, the emulator's MERGE tries to begin another one. The DuckDB that the emulator
asks for refuses this and keeps the open transaction. Ours refuses it and aborts the open transaction. So the fix asks
DuckDB first.
"""

import duckdb
from local_bigquery import cli
from local_bigquery.jobs import merge

merge_alone = merge.run


class Cursor:
    """A cursor that refuses a BEGIN within a transaction before DuckDB does."""

    def __init__(self, cursor):
        self._cursor = cursor

    def __getattr__(self, name):
        return getattr(self._cursor, name)

    def execute(self, sql, *arguments):
        if sql == "BEGIN" and self._is_in_transaction():
            raise duckdb.TransactionException("a transaction is open")
        return self._cursor.execute(sql, *arguments)

    def _is_in_transaction(self):
        """now() is when the transaction began; without one, each statement begins its own."""
        began = "SELECT epoch_us(now())"
        return self._cursor.execute(began).fetchone() == self._cursor.execute(began).fetchone()


def run_merge(cursor, *arguments):
    """The emulator's MERGE on such a cursor."""
    return merge_alone(Cursor(cursor), *arguments)


merge.run = run_merge

if __name__ == "__main__":
    cli.main()
