"""BigQuery jobs with ids of our own, so that submitting one twice runs it once.

An answer may be lost after BigQuery took a job. Sending the same id again is then refused as a
duplicate, and the job that exists is waited for instead. An id is used once for ever: after a failure the
next attempt has the next id.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import NoReturn, TypeAlias, TypeVar

from google.api_core import exceptions
from google.cloud import bigquery
from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_result,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
    wait_random_exponential,
)

from rtea.sinks.bigquery.connect import REQUEST_SECONDS, JobFailedError, is_transient
from rtea.sinks.contract import AbandonedError
from rtea.sinks.metrics import RETRIES

log = logging.getLogger(__name__)

MOST_WAIT_SECONDS = 30.0
FOUND_SECONDS = 10.0

Job: TypeAlias = bigquery.LoadJob | bigquery.QueryJob
T = TypeVar("T")


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

    def settle(self, job_id: str, stop: threading.Event) -> None:
        """Wait for the end of a job of an earlier run, if there is one."""
        try:
            job = patiently(lambda: self._find(job_id), stop)
        except exceptions.NotFound:
            return
        if job.state != "DONE":
            self._wait(job_id, stop)

    def _wait(self, job_id: str, stop: threading.Event) -> Job:
        def look() -> Job:
            return patiently(lambda: self._find(job_id), stop)

        polls = Retrying(
            retry=retry_if_result(lambda job: job.state != "DONE"),
            wait=wait_exponential(multiplier=0.05, max=1),
            stop=stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            retry_error_callback=_abandon,
        )
        return polls(look)


def patiently(work: Callable[[], T], stop: threading.Event, *, also: tuple[type[BaseException], ...] = ()) -> T:
    """Try until it works, for hours when need be: back off exponentially with jitter after transient
    errors, and go on at once after those named in `also`.

    Raises:
        AbandonedError: `stop` was set meanwhile.
        Exception: what `work` raised, when trying again cannot help.
    """
    back_off = wait_random_exponential(multiplier=0.25, max=MOST_WAIT_SECONDS)

    def wait(state: RetryCallState) -> float:
        return 0.0 if isinstance(_error(state), also) else back_off(state)

    tries = Retrying(
        retry=retry_if_exception(lambda error: is_transient(error) or isinstance(error, also)),
        wait=wait,
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=_note,
        retry_error_callback=_abandon,
    )
    return tries(work)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _note(state: RetryCallState) -> None:
    if not isinstance(_error(state), StaleJobError):
        RETRIES.labels("bigquery").inc()
        before_sleep_log(log, logging.WARNING)(state)


def _abandon(state: RetryCallState) -> NoReturn:
    raise AbandonedError from _error(state)
