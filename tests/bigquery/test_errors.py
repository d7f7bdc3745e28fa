"""Promise: the sink waits out temporary errors of BigQuery's client; any other error becomes one line with its
remedy."""

from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest
import requests
from google.api_core import exceptions
from google.auth import exceptions as auth

from rtea.sinks.bigquery.connect import JobFailedError, explained, is_transient


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError(),
        requests.Timeout(),
        FutureTimeoutError(),
        exceptions.ServiceUnavailable("x"),
        auth.TransportError("x"),
        auth.RefreshError("x", retryable=True),
        caused(auth.RefreshError("x"), auth.TransportError("metadata")),
        JobFailedError("j", "backendError", "x"),
        JobFailedError("j", "invalidQuery", "aborted due to concurrent update against table t"),
    ],
)
def test_temporary_errors_are_waited_out(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (auth.RefreshError("revoked"), "gcloud auth application-default login"),
        (exceptions.Forbidden("x"), "roles/bigquery.dataEditor"),
        (JobFailedError("j", "accessDenied", "x"), "roles/bigquery.dataEditor"),
        (exceptions.NotFound("x"), "--create"),
        (JobFailedError("j", "notFound", "x"), "--create"),
        (JobFailedError("j", "invalidQuery", "syntax"), "refuses"),
    ],
)
def test_other_errors_name_their_remedy(error: Exception, remedy: str) -> None:
    assert not is_transient(error)
    line = str(explained(error, "table t"))
    assert remedy in line
    assert "\n" not in line
