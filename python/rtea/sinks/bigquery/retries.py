"""Retries: for a short time while a user waits for the answer, without end while rows must be written."""

import logging
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from rtea.sinks.bigquery.connect import FAILURES, explained, is_transient
from rtea.sinks.contract import AbandonedError
from rtea.sinks.metrics import RETRIES

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""How long `ask` waits for a server that does not answer, if it has no `stop` event."""

MOST_WAIT_SECONDS = 30.0

T = TypeVar("T")


def ask(work: Callable[[], T], what: str, stop: threading.Event | None = None) -> T:
    """Do some requests. While the server does not answer, retry: for a short time without `stop`, else until it is set.

    Raises:
        SinkError: BigQuery did not answer in time, or refused.
        AbandonedError: `stop` was set.
    """
    briefly = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
    try:
        return briefly(work) if stop is None else patiently(work, stop)
    except FAILURES as error:
        raise explained(error, what) from error


def patiently(work: Callable[[], T], stop: threading.Event, *, also: tuple[type[BaseException], ...] = ()) -> T:
    """Retry until it works, for hours if necessary. Back off exponentially with jitter after transient errors and
    after the errors in `also`.

    Raises:
        AbandonedError: `stop` was set meanwhile.
        Exception: `work` raised an error that a retry cannot fix.
    """
    tries = Retrying(
        retry=retry_if_exception(lambda error: is_transient(error) or isinstance(error, also)),
        wait=wait_random_exponential(multiplier=0.25, max=MOST_WAIT_SECONDS),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=_note,
        retry_error_callback=abandon,
    )
    return tries(work)


def _note(state: RetryCallState) -> None:
    RETRIES.labels("bigquery").inc()
    before_sleep_log(log, logging.WARNING)(state)


def abandon(state: RetryCallState) -> NoReturn:
    """End the retries because `stop` was set."""
    raise AbandonedError from (state.outcome.exception() if state.outcome else None)
