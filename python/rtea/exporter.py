"""Metrics for Prometheus over HTTP, on the loopback alone. Used by the sinks and by the generator."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from rtea.errors import PortInUseError


@contextmanager
def serving(port: int | None, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Serve a registry's metrics on 127.0.0.1 for a block; with no port, nothing.

    Raises:
        PortInUseError: it is taken.
    """
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise PortInUseError(f"metrics port {port} is taken ({error.strerror}): name another one") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
