"""Serves the page and its data over HTTP, on the loopback unless a token protects it."""

import errno
import hmac
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtea.config import Config
from rtea.dashboard.feed import Feed, History
from rtea.dashboard.health import Health
from rtea.dashboard.metrics import PageCollector
from rtea.dashboard.panels import ALL
from rtea.dashboard.state import RANGES_MS, States
from rtea.dashboard.store import Store
from rtea.errors import ConfigError, PortInUseError, SystemRefusalError
from rtea.sinks.contract import Sink

STATIC = Path(__file__).with_name("static")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""The page takes code from this server only, and shows data as text."""

COOKIE = "rtea_token"
"""The start of the cookie's name; the port follows, since browsers share the cookies of a host's ports."""


def application(states: States, metrics: Collector, token: str = "") -> Starlette:
    """The web application; with a token, only for those who know it."""
    registry = CollectorRegistry()
    registry.register(metrics)

    def show_metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    def state(request: Request) -> Response:
        range_name, source = request.query_params.get("range", "hour"), request.query_params.get("source", ALL)
        if range_name not in RANGES_MS or source not in (ALL, *states.sources()):
            # Each pair that is asked for is kept: strangers must not make up any.
            known = f"range is one of {', '.join(RANGES_MS)}, source one of the page's"
            return JSONResponse({"error": known}, 400)
        tag, body = states.get(range_name, source)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return Response(body, media_type="application/json", headers={"ETag": tag})

    routes = [
        Route("/api/state", state),
        Route("/metrics", show_metrics),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    guards = [Middleware(_Guard, token=token), Middleware(GZipMiddleware, minimum_size=1_000)]
    return Starlette(routes=routes, middleware=guards)


class _Guard:
    """Adds the headers to each answer, and asks for the token if there is one: as `?token=` once, then by a cookie, or
    as a bearer token in each request. It refuses names that are not this machine's, so that no other site's page can
    reach the server through its own name.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        name = f"{COOKIE}_{request.url.port or 0}"
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.query_params.get("token") or request.cookies.get(name) or bearer
        if self._token and not hmac.compare_digest(given.encode(), self._token.encode()):
            refusal = PlainTextResponse("This page needs a token: open it with ?token=TOKEN.\n", 401, HEADERS)
            await refusal(scope, receive, send)
            return
        if not self._token and request.url.hostname not in ("127.0.0.1", "localhost", "::1"):
            refusal = PlainTextResponse("This server answers to 127.0.0.1 and localhost only.\n", 421, HEADERS)
            await refusal(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                headers += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                if self._token and request.query_params.get("token"):
                    cookie = f"{name}={self._token}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append((b"set-cookie", cookie.encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_headers)


@contextmanager
def serving(config: Config, sink: Sink | None, history: Sink | None = None) -> Iterator[str]:
    """Serve the page for a block; gives its address. `sink` is what `verify` compares with a manifest, `history` the
    table with the time before; both may be missing.

    Raises:
        ConfigError: another host than the loopback needs a token.
        PortInUseError: the port is in use.
    """
    settings = config.dashboard
    token = settings.token.get_secret_value() if settings.token else ""
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not token:
        raise ConfigError(
            f"dashboard.host {settings.host} lets other machines in: set dashboard.token, best as RTEA_DASHBOARD__TOKEN"
        )
    store = Store()
    feed, health = Feed(config, store), Health(config, sink)
    server = uvicorn.Server(
        uvicorn.Config(
            application(States(config, store, feed, health), PageCollector(store, feed, health), token),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,  # It would hold the token.
            lifespan="off",
        )
    )
    listener = _bound(settings.host, settings.port)
    before = History(history, store) if history else None
    thread = threading.Thread(target=server.run, args=([listener],), name="dashboard", daemon=True)
    parts = [part for part in (feed, health, before) if part]
    for part in parts:
        part.start()
    thread.start()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        yield f"http://{host}:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        for part in parts:
            part.close()


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SystemRefusalError(
                f"cannot listen at {host} port {port}: {error.strerror}: set dashboard.host and dashboard.port"
            ) from error
        raise PortInUseError(f"port {port} on {host} is in use: name another one with dashboard.port") from error
