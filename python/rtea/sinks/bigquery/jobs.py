"""BigQuery jobs with ids that RTEA chooses, so a job that is submitted twice runs once.

A response may be lost after BigQuery accepted a job. If the sink sends the same id again, BigQuery refuses it as a
duplicate, and the sink waits for the existing job instead. Each id is used only once: after a failure, the next
attempt has the next id.
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
    """A job with this id ended before this run began: what it wrote may have been deleted since."""


class Jobs:
    """Runs jobs in one location. Jobs that ended before `began_at`, by the server's clock, are from an earlier run."""

    def __init__(self, client: bigquery.Client, location: str | None, began_at: datetime) -> None:
        self._client, self._location, self._began_at = client, location, began_at

    def run(self, job_id: str, submit: Callable[[str], Job], stop: threading.Event) -> Job:
        """Submit a job, or find the one with this id, and wait until it ends.

        Raises:
            JobFailedError: it ended with an error.
            StaleJobError: it ended before this run began.
            AbandonedError: `stop` was set first.
            GoogleAPICallError: BigQuery refused it.
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
        """Find the job with an id that BigQuery refused as a duplicate; it may take BigQuery a moment to find it."""
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
