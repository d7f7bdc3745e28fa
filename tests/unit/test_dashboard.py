"""Promises: the page's numbers are those of the newest results, whatever the order and the repetitions; memory is
limited; an unchanged state costs a client nothing; strangers get in with the token only.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import requests
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from rtea import aggregate
from rtea import config as configuration
from rtea.config import Config
from rtea.dashboard import panels, server
from rtea.dashboard.feed import Feed
from rtea.dashboard.health import Health
from rtea.dashboard.panels import Bucket, Span
from rtea.dashboard.state import States
from rtea.dashboard.store import BUCKET_MS, KEEP_MS, KEEP_SKETCHES_MS, Store
from rtea.errors import ConfigError, PortInUseError
from rtea.metrics import registry
from rtea.sinks import result
from rtea.sinks.contract import Total
from rtea.sinks.result import Row, WindowResult
from tests.conftest import free_ports

MINUTE_MS = 60_000


def counted(minute: int, events: int, *, final: bool = True, generation: int = 1, **more: int) -> WindowResult:
    """A result with one type of event, a purchase's revenue in two currencies, and visitors."""
    sketch = aggregate.build_sketch([f"{minute}-{n}".encode() for n in range(events)])
    rows = [
        Row("event_count", "search_mobile", "", events, None, None, None),
        Row("revenue", "toys", "EUR", None, str(events * 100), None, None),
        Row("revenue", "toys", "JPY", None, str(events), None, None),
        Row("unique_visitors", "all", "", None, None, events, sketch),
        *(Row(name, "mobile", "", count, None, None, None) for name, count in more.items()),
    ]
    start_ms = minute * MINUTE_MS
    return WindowResult(3, start_ms, start_ms + MINUTE_MS, generation, events, "s", rows, final)


def refused(minute: int, revision: int, **reasons: int) -> WindowResult:
    rows = [Row("dead_letters", reason, "", count, None, None, None) for reason, count in reasons.items()]
    return WindowResult(3, minute * MINUTE_MS, (minute + 1) * MINUTE_MS, 1, revision, "s", rows)


results = st.builds(
    counted,
    st.integers(0, 3),
    st.integers(1, 5),
    final=st.booleans(),
    generation=st.integers(1, 2),
) | st.builds(lambda minute, count: refused(minute, count, late=count), st.integers(0, 3), st.integers(1, 9))


@given(st.lists(results, max_size=20), st.randoms())
def test_order_and_repetitions_change_no_number(found: list[WindowResult], random: Any) -> None:
    """As a sink's table, and as `newest` says."""
    store = Store()
    shuffled = found + found[: len(found) // 2]
    random.shuffle(shuffled)
    store.add(shuffled)
    newest = {each.place: each for each in result.newest(found)}
    shown = {window.start_ms: window for window in store.windows()}
    for (start_ms, is_of_events), each in newest.items():
        window = shown[start_ms]
        if is_of_events:
            assert window.age == each.age
            assert window.numbers["event_count", "search_mobile", ""] == each.revision
            assert window.numbers["revenue", "toys", "EUR"] == each.revision
            assert window.numbers["revenue", "toys", "JPY"] == each.revision
        else:
            assert window.refused == {row.dimension: row.event_count for row in each.rows}


def test_a_corrected_window_is_marked() -> None:
    store = Store()
    store.add([counted(0, 3), counted(1, 3, final=False)])
    store.add([counted(0, 4), counted(1, 4)])
    assert [window.is_corrected for window in store.windows()] == [True, False]


def test_memory_is_limited_and_no_number_is_lost() -> None:
    store = Store()
    minutes = 8 * 60
    for minute in range(minutes):
        store.add([counted(minute, 2)])
    windows = store.windows()
    assert len(windows) == KEEP_MS // MINUTE_MS + 1
    assert sum(bool(window.sketches) for window in windows) == KEEP_SKETCHES_MS // MINUTE_MS + 1
    key = ("event_count", "search_mobile", "")
    kept = sum(window.numbers[key] for window in windows)
    added_up = sum(bucket.get(key, 0) for bucket in store.totals().values())
    assert kept + added_up == 2 * minutes


def test_the_table_s_sums_and_the_windows_are_added_up() -> None:
    store = Store()
    store.add_totals([Total(0, "event_count", "search_mobile", "", 7.0)])
    store.add([counted(600, 2)])
    body = states(store).get("day", "all")[1]
    types = next(panel for panel in msgspec.json.decode(body)["panels"] if panel["id"] == "types")
    assert types["series"] == [{"name": "search", "values": [7.0, 2.0]}]
    assert types["labels"] == [0, 600 * MINUTE_MS // (2 * BUCKET_MS) * (2 * BUCKET_MS)]


def states(store: Store) -> States:
    config = configuration.load()
    return States(config, store, Feed(config, store), Health(config, None))


def span(*found: WindowResult, source: str = "all") -> Span:
    store = Store()
    store.add(found)
    windows = store.windows()
    return Span([Bucket(each.start_ms, each.numbers) for each in windows if each.is_final], windows, MINUTE_MS, source)


def test_visitors_of_minutes_are_merged_and_not_added_up() -> None:
    """The same visitors in each minute count once."""
    same = [counted(0, 50), counted(1, 50)]
    same[1] = msgspec.structs.replace(same[1], rows=same[0].rows)
    assert span(*same).merged("unique_visitors", "all", 5) == 50
    assert abs(span(counted(0, 50), counted(1, 50)).merged("unique_visitors", "all", 5) - 100) <= 2
    assert span(counted(0, 50), counted(9, 40)).merged("unique_visitors", "all", 5) == 40


def test_early_rows_are_in_no_tile() -> None:
    (rate, *_) = panels.tiles(span(counted(0, 60), counted(1, 999, final=False)))
    assert (rate["id"], rate["value"]) == ("events", 1.0)


def test_amounts_of_two_currencies_are_not_added_up() -> None:
    found = {tile["id"]: tile["value"] for tile in panels.tiles(span(counted(0, 60)))}
    assert (found["revenue-EUR"], found["revenue-JPY"]) == (60.0, 60.0)
    assert "order-value" not in found
    categories = next(panel for panel in panels.panels(span(counted(0, 60))) if panel["id"] == "categories")
    assert categories["series"][0]["values"] == [60.0]


def test_a_panel_shows_the_greatest_and_says_the_rest() -> None:
    rows = [Row("product_carts", f"p{n}", "", n + 1, None, None, None) for n in range(20)]
    rows += [Row("product_carts", "(other)", "", 100, None, None, None)]
    one = msgspec.structs.replace(counted(0, 1), rows=[*counted(0, 1).rows, *rows])
    panel = next(panel for panel in panels.panels(span(one)) if panel["id"] == "product_carts")
    assert panel["labels"] == [f"p{n}" for n in range(19, 9, -1)]
    assert panel["rest"] == 100 + sum(range(1, 11))


def test_every_series_that_adds_up_is_on_the_page() -> None:
    """Also that of a metric which the page does not know."""
    for series in (series for metric in registry().values() for series in metric):
        if series.unit == "distinct":
            continue
        currency = "EUR" if series.unit == "money" else ""
        minor = "500" if series.unit == "money" else None
        names = {"event_count": "search_mobile", "audience_events": "country:DE"}
        row = Row(series.name, names.get(series.name, "mobile"), currency, None if minor else 5, minor, None, None)
        found = span(msgspec.structs.replace(counted(0, 1), rows=[row]))
        shown = [*panels.tiles(found), *panels.panels(found)]
        values = [tile.get("value") for tile in shown] + [
            value for panel in shown for line in panel.get("series", ()) for value in line["values"]
        ]
        assert 5.0 in values, series.name


@contextmanager
def served(made: States, token: str = "") -> Iterator[str]:
    (port,) = free_ports(1)
    running = uvicorn.Server(
        uvicorn.Config(server.application(made, token), host="127.0.0.1", port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join()


def test_an_unchanged_state_is_not_sent_again() -> None:
    store = Store()
    store.add([counted(0, 3)])
    with served(states(store)) as address:
        first = requests.get(f"{address}/api/state", timeout=5)
        tag = first.headers["ETag"]
        again = requests.get(f"{address}/api/state", headers={"If-None-Match": tag}, timeout=5)
        assert (again.status_code, again.content) == (304, b"")
        store.add([counted(0, 4)])
        deadline_s = time.monotonic() + 10
        while requests.get(f"{address}/api/state", headers={"If-None-Match": tag}, timeout=5).status_code == 304:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        assert requests.get(f"{address}/api/state?range=year", timeout=5).status_code == 400
        assert requests.get(f"{address}/api/state?source={'x' * 65}", timeout=5).status_code == 400


def test_the_page_takes_code_and_data_from_its_server_only() -> None:
    with served(states(Store())) as address:
        page = requests.get(address, timeout=5)
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        for text in (page.text, requests.get(f"{address}/page.js", timeout=5).text):
            assert "https://" not in text
            assert "innerHTML" not in text
        assert requests.get(f"{address}/../server.py", timeout=5).status_code == 404
        other = requests.get(f"{address}/api/state", headers={"Host": "evil.example"}, timeout=5)
        assert other.status_code == 421


def test_a_token_protects_page_and_data() -> None:
    with served(states(Store()), "secret") as address:
        for path in ("/", "/api/state", "/page.js"):
            assert requests.get(address + path, timeout=5).status_code == 401
            assert requests.get(f"{address}{path}?token=wrong", timeout=5).status_code == 401
        browser = requests.Session()
        assert browser.get(f"{address}/?token=secret", timeout=5).status_code == 200
        assert browser.get(f"{address}/api/state", timeout=5).status_code == 200


def with_dashboard(**settings: Any) -> Config:
    return configuration.load(flags={f"dashboard.{name}": value for name, value in settings.items()})


def test_another_host_needs_a_token_and_a_port_is_taken_once() -> None:
    with (
        pytest.raises(ConfigError, match="RTEA_DASHBOARD__TOKEN"),
        server.serving(with_dashboard(host="0.0.0.0"), None),
    ):
        pass
    (port,) = free_ports(1)
    config = configuration.load(flags={"dashboard.port": port, "kafka.timeout_ms": 500})
    with server.serving(config, None) as address:
        assert address == f"http://127.0.0.1:{port}/"
        with pytest.raises(PortInUseError, match=r"dashboard\.port"), server.serving(config, None):
            pass


def test_the_state_says_what_to_type_when_there_is_nothing() -> None:
    made = states(Store())
    made._health.found["problem"] = ""
    state = msgspec.json.decode(made.get("hour", "all")[1])
    assert state["status"]["state"] == "nothing"
    assert state["status"]["command"].startswith("rtea-gen")
    assert state["tiles"][0]["value"] is None


def test_the_vendored_library_is_the_one_of_its_package() -> None:
    """ECharts 6.1.0, https://registry.npmjs.org/echarts/-/echarts-6.1.0.tgz, package/dist/echarts.common.min.js."""
    import hashlib

    file = server.STATIC / "echarts.common.min.js"
    wanted = "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == wanted
    assert "Apache License" in (server.STATIC / "echarts.LICENSE").read_text()
