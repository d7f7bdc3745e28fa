"""Flink's REST interface, on the loopback."""

from typing import Any

import requests

from rtea.config import Config
from rtea.errors import JobError, StackError
from rtea.stack.kafka import LOOPBACK

_session = requests.Session()
# Ignore proxies from the environment: they are for other machines.
_session.trust_env = False


def address(config: Config) -> str:
    """Base address of the interface and of Flink's web page."""
    return f"http://{LOOPBACK}:{config.stack.rest_port}"


def get(config: Config, path: str, timeout_s: float = 10) -> Any:
    """Get the JSON of a path.

    Raises:
        StackError: no cluster answers.
        JobError: Flink refuses the path.
    """
    answer = _ask("GET", config, path, timeout_s)
    if not answer.ok:
        raise JobError(f"Flink refuses {path}: {answer.status_code} {answer.reason}")
    try:
        return answer.json()
    except requests.JSONDecodeError as error:
        raise StackError(
            f"the program at {address(config)} is not Flink: stop it, or set stack.rest_port to another port"
        ) from error


def post(config: Config, path: str, body: dict[str, Any]) -> requests.Response:
    """Post JSON.

    Raises:
        StackError: no cluster answers.
    """
    return _ask("POST", config, path, 10, body)


def patch(config: Config, path: str) -> requests.Response:
    """Send a PATCH request without a body.

    Raises:
        StackError: no cluster answers.
    """
    return _ask("PATCH", config, path, 10)


def _ask(
    method: str, config: Config, path: str, timeout_s: float, body: dict[str, Any] | None = None
) -> requests.Response:
    try:
        return _session.request(method, address(config) + path, json=body, timeout=timeout_s)
    except requests.RequestException as error:
        raise StackError(f"no Flink cluster answers at {address(config)}: start one with `rtea stack up`") from error
