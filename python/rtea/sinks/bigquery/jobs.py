"""BigQuery jobs with ids of our own, so that submitting one twice runs it once.

An answer may be lost after BigQuery took a job. Sending the same id again is then refused as a
duplicate, and the job that exists is waited for instead. An id is used only once: after a failure the
next attempt has the next id.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from google.api_core import exceptions
from google.cloud import bigquery
from tenacity import (
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)

from rtea.sinks.bigquery.connect import REQUEST_SECONDS, JobFailedError
from rtea.sinks.bigquery.retries import abandon, patiently

FOUND_SECONDS = 10.0

Job: TypeAlias = bigquery.LoadJob | bigquery.QueryJob


class StaleJobError(Exception):
    """A job of this id ended before this run began: what it wrote may have been deleted since."""


class Jobs:
    """Runs jobs in one location. `began_at`, by the server's clock, tells this run's jobs from older ones."""

    def __init__(self, client: bigquery.Client, location: str | None, began_at: datetime) -> None:
        self._client, self._location, self._began_at = client, location, began_at

    def run(self, job_id: str, submit: Callable[[str], Job], stop: threading.Event) -> Job:
        """Submit a job, or find the one that has this id, and wait for its end.

        Raises:
            JobFailedError: it ended with an error.
            StaleJobError: it ended before this run began.
            AbandonedError: `stop` was set first.
            GoogleAPICallError: BigQuery refuses it.
        """

        def submit_once() -> Job:
            try:
                return submit(job_id)
            except exceptions.Conflict:
                job = self._find_refused(job_id)
                if job.ended and job.ended < self._began_at:
                    raise StaleJobError(job_id) from None
                return job

        job = patiently(submit_once, stop)
        if job.state != "DONE":
            job = self._wait(job_id, stop)
        if job.error_result:
            raise JobFailedError(job_id, job.error_result.get("reason", ""), job.error_result.get("message", ""))
        return job

    def _find(self, job_id: str) -> Job:
        job: Job = self._client.get_job(job_id, location=self._location, retry=None, timeout=REQUEST_SECONDS)
        return job

    def _find_refused(self, job_id: str) -> Job:
        """A job that exists, as its id was refused; BigQuery may take a moment to find it."""
        soon = Retrying(
            retry=retry_if_exception_type(exceptions.NotFound),
            stop=stop_after_delay(FOUND_SECONDS),
            wait=wait_exponential(multiplier=0.1, max=1),
            reraise=True,
        )
        return soon(self._find, job_id)

    def _wait(self, job_id: str, stop: threading.Event) -> Job:
        def look() -> Job:
            return patiently(lambda: self._find(job_id), stop)

        polls = Retrying(
            retry=retry_if_result(lambda job: job.state != "DONE"),
            wait=wait_exponential(multiplier=0.05, max=1),
            stop=stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            retry_error_callback=abandon,
        )
        return polls(look)
