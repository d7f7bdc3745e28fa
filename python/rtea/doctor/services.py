"""Checks of what answers people: the table of a service, such as BigQuery, and the live page."""

from collections.abc import Iterator
from contextlib import closing

import requests

from rtea import plugins
from rtea.config import Config
from rtea.doctor.finding import Found, of_error, ok
from rtea.errors import RteaError
from rtea.sinks.registry import make_sink

ANSWER_SECONDS = 5.0


def access(config: Config) -> Iterator[Found]:
    """Whether the tables of services that are set up can be read with these credentials and roles."""
    asked = False
    for kind in map(plugins.sink, plugins.names()):
        section = getattr(config, kind.section)
        if not (kind.is_service and kind.is_set_up(section)):
            continue
        asked = True
        try:
            with closing(make_sink(config, kind.name)) as sink:
                sink.read(0, 1)
        except RteaError as error:
            # Credentials in the environment may be for something else.
            yield of_error(error, "failed" if section != kind.settings() else "warning")
        except Exception as error:  # Of another package, perhaps.
            yield "warning", f"{kind.name}: its table cannot be read: {error}", ""
        else:
            yield ok(f"{kind.name}: {sink.destination} can be read")
    if not asked:
        yield "skipped", "no table of a service is set up", ""


def page(config: Config) -> Iterator[Found]:
    """Whether the live page is served."""
    settings = config.dashboard
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{settings.port}"
    headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}
    try:
        with requests.Session() as session:
            session.trust_env = False  # A proxy could not reach the page, and would see the token.
            answer = session.get(f"{address}/api/state", headers=headers, timeout=ANSWER_SECONDS)
    except requests.RequestException:
        yield "skipped", f"no page is served at {address}: `rtea dashboard` serves it", ""
        return
    if answer.status_code == requests.codes.unauthorized:
        yield "warning", f"the page at {address} has another token", "set dashboard.token as for `rtea dashboard`"
    elif not answer.ok or "pipeline" not in answer.text:
        yield (
            "warning",
            f"another program answers at {address}",
            "set dashboard.port to a free port before you start `rtea dashboard`",
        )
    else:
        yield ok(f"the page is served at {address}")
