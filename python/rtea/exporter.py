"""Serves Prometheus metrics over HTTP, on the loopback only, for the sinks and the generator."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from rtea.errors import PortInUseError


@contextmanager
def serving(port: int | None, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Serve a registry's metrics on 127.0.0.1 while the block runs; without a port, serve nothing.

    Raises:
        PortInUseError: the port is in use.
    """
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise PortInUseError(f"metrics port {port} is in use ({error.strerror}): name another one") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
