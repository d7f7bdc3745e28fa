"""Promise: requests to Flink's REST interface use no proxy, and an error names another service that answers there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rtea import config as configuration
from rtea.config import Config
from rtea.errors import JobError, StackError
from rtea.stack import rest


@contextmanager
def answering(status: int, body: bytes) -> Iterator[Config]:
    """A server that always answers the same, as the configuration's Flink."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield configuration.load(flags={"stack.rest_port": server.server_port})
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_is_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering(200, b'{"jobs": []}') as config:
        assert rest.get(config, "/jobs/overview") == {"jobs": []}


def test_another_service_on_the_port_is_named() -> None:
    with (
        answering(200, b"<html>my wiki</html>") as config,
        pytest.raises(StackError, match="is not Flink: stop it, or"),
    ):
        rest.get(config, "/jobs/overview")


def test_a_refusal_and_silence_are_told_apart() -> None:
    with answering(404, b"{}") as config, pytest.raises(JobError, match="Flink refuses /jobs/x: 404"):
        rest.get(config, "/jobs/x")
    with pytest.raises(StackError, match="start one with `rtea stack up`"):
        rest.get(configuration.load(flags={"stack.rest_port": 1}), "/jobs/overview")
