"""Makes the BigQuery client, and tells what its errors mean: retry, or one line with the remedy."""

from concurrent.futures import TimeoutError as FutureTimeoutError

import requests
from google.api_core import exceptions
from google.api_core.client_info import ClientInfo
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

import rtea
from rtea.errors import ConfigError, RteaError, SinkError
from rtea.sections import BigQuerySection

REQUEST_SECONDS = 60.0
"""Timeout of one request. RTEA does the retries, not the client, so it can count and stop them."""

TRANSIENT_CODES = frozenset({408, 429, 500, 502, 503, 504})
TRANSIENT_REASONS = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "quotaExceeded",
        "rateLimitExceeded",
        "stopped",
        "tableUnavailable",
        "timeout",
    }
)

# If two writers update the table at once, BigQuery reports the error of the loser as an invalid query.
LOST_RACES = ("concurrent update", "Could not serialize access")


class JobFailedError(Exception):
    """A job ended with an error; `reason` is BigQuery's code."""

    def __init__(self, job_id: str, reason: str, message: str) -> None:
        super().__init__(f"job {job_id}: {reason}: {message}")
        self.reason = reason
        self.message = message


FAILURES = (
    exceptions.GoogleAPICallError,
    auth.GoogleAuthError,
    requests.RequestException,
    FutureTimeoutError,
    JobFailedError,
)
"""Errors that the client raises, and failed jobs."""


def connect(section: BigQuerySection) -> bigquery.Client:
    """Make a client for the project. With an endpoint (an emulator), it uses no credentials.

    Raises:
        SinkError: there are no usable credentials.
        ConfigError: no project is named, and the credentials name none.
    """
    try:
        if section.endpoint:
            if not section.project:
                raise ConfigError("--endpoint needs a project: name one with --project")
            return bigquery.Client(
                project=section.project,
                credentials=AnonymousCredentials(),
                client_options={"api_endpoint": section.endpoint},
                client_info=_client_info(),
            )
        return bigquery.Client(project=section.project, client_info=_client_info())
    except auth.GoogleAuthError as error:
        raise explained(error, "the credentials") from error
    except (OSError, ValueError) as error:
        if "Project was not passed" in str(error):
            raise ConfigError("no project is named, and the credentials name none: name one with --project") from error
        raise SinkError(f"credentials cannot be read: {first_line(error)}: {CREDENTIALS_REMEDY}") from error


def _client_info() -> ClientInfo:
    return ClientInfo(user_agent=f"rtea/{rtea.__version__}")


CREDENTIALS_REMEDY = (
    "run `gcloud auth application-default login`, or name a service account's key in GOOGLE_APPLICATION_CREDENTIALS"
)
ROLES_REMEDY = "grant the account roles/bigquery.jobUser on the project and roles/bigquery.dataEditor on the dataset"


def is_transient(error: BaseException) -> bool:
    """Whether a retry may help: after no answer, overload, a quota, or a concurrent update of the table."""
    if isinstance(error, JobFailedError | exceptions.BadRequest) and any(word in error.message for word in LOST_RACES):
        return True
    if isinstance(error, JobFailedError):
        return error.reason in TRANSIENT_REASONS
    if isinstance(error, auth.RefreshError):
        return bool(error.retryable) or isinstance(error.__cause__, auth.TransportError)
    if isinstance(error, exceptions.GoogleAPICallError):
        return error.code in TRANSIENT_CODES or _reason(error) in TRANSIENT_REASONS
    broken = (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        ConnectionError,
        FutureTimeoutError,
        auth.TransportError,
    )
    return isinstance(error, broken)


def explained(error: BaseException, what: str) -> RteaError:
    """Turn an error of the client into an error of RTEA: one line with the remedy."""
    line = first_line(error)
    if isinstance(error, RteaError):
        return error
    if is_transient(error):
        return SinkError(f"BigQuery does not answer for {what}: {line}: check the network, the endpoint and the quotas")
    if isinstance(error, auth.GoogleAuthError | exceptions.Unauthorized):
        return SinkError(f"BigQuery refuses the credentials: {line}: {CREDENTIALS_REMEDY}")
    reason = error.reason if isinstance(error, JobFailedError) else ""
    if isinstance(error, exceptions.Forbidden) or reason == "accessDenied":
        return SinkError(f"BigQuery denies access to {what}: {line}: {ROLES_REMEDY}")
    if isinstance(error, exceptions.NotFound) or reason == "notFound":
        return SinkError(f"BigQuery does not find {what}: {line}: make dataset and table with --create")
    return SinkError(f"BigQuery refuses {what}: {line}")


def first_line(error: BaseException) -> str:
    """The first line of an error, without the request's address."""
    text = error.message if isinstance(error, exceptions.GoogleAPICallError) else str(error)
    return (text or type(error).__name__).splitlines()[0].split("prettyPrint=false: ")[-1][:300]


def _reason(error: exceptions.GoogleAPICallError) -> str:
    return next((str(entry.get("reason")) for entry in error.errors or () if isinstance(entry, dict)), "")
