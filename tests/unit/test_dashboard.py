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
from rtea.dashboard import panels, server, state
from rtea.dashboard.feed import Feed
from rtea.dashboard.health import Health
from rtea.dashboard.metrics import PageCollector
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
SEARCHES = ("event_count", "search_mobile", "")


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
        if is_of_events:
            window = shown[start_ms]
            assert window.age == each.age
            assert window.numbers["event_count", "search_mobile", ""] == each.revision
            assert window.numbers["revenue", "toys", "EUR"] == each.revision
            assert window.numbers["revenue", "toys", "JPY"] == each.revision
        else:
            assert store._refused[start_ms].counts == {row.dimension: row.event_count for row in each.rows}


def test_a_corrected_window_is_marked() -> None:
    store = Store()
    store.add([counted(0, 3), counted(1, 3, final=False)])
    store.add([counted(0, 4), counted(1, 4)])
    assert [window.is_corrected for window in store.windows()] == [True, False]


def total_of(store: Store) -> float:
    """All events in memory and in the sums."""
    kept = sum(window.numbers[SEARCHES] for window in store.windows())
    return kept + sum(bucket.get(SEARCHES, 0) for bucket in store.totals().values())


def test_memory_is_limited_and_no_number_is_lost_or_counted_twice() -> None:
    """Also if an old window comes again, as after a correction or a backfill."""
    store = Store()
    first, minutes = 24 * 60, 8 * 60
    store.add([counted(first, 2)])
    store.settle()
    for minute in range(first, first + minutes):
        store.add([counted(minute, 2)])
        if minute % 7 == 0:
            store.add(
                [counted(minute - 5, 2), counted(max(first, minute - 300), 99, generation=1)]
                if minute > first + 240
                else []
            )
    windows = store.windows()
    assert len(windows) == KEEP_MS // MINUTE_MS + 1
    assert sum(bool(window.sketches) for window in windows) == KEEP_SKETCHES_MS // MINUTE_MS + 1
    assert total_of(store) == 2 * minutes


def test_the_table_has_what_is_before_the_boundary_and_nothing_twice() -> None:
    """The feed may have read windows that the table has, too, for example of a backfill."""
    store = Store()
    minutes = range(1_000, 1_000 + 5 * 60)
    store.add([counted(minute, 2) for minute in minutes])
    assert store.boundary_ms is None
    store.settle()
    boundary = store.boundary_ms or 0
    assert boundary % BUCKET_MS == 0
    in_table = [minute for minute in minutes if minute * MINUTE_MS < boundary]
    store.add_totals([Total(minute * MINUTE_MS // BUCKET_MS * BUCKET_MS, *SEARCHES, 2.0) for minute in in_table])
    store.add([counted(in_table[0], 50)])
    assert total_of(store) == 2 * len(minutes)


def test_published_windows_never_change() -> None:
    store = Store()
    store.add([counted(0, 3)])
    (before,) = store.windows()
    store.add([counted(0, 4)])
    assert before.numbers[SEARCHES] == 3
    assert store.windows()[0].numbers[SEARCHES] == 4


def test_refused_events_alone_are_no_window() -> None:
    """One of them may have a time far from all others."""
    store = Store()
    store.add([refused(999_999, 1, future_timestamp=1), counted(0, 3)])
    store.settle()
    store.add([counted(1, 3), refused(1, 1, late=2)])
    assert [window.start_ms for window in store.windows()] == [0, MINUTE_MS]
    assert store.refused(0) == {"future_timestamp": 1, "late": 2}
    shown = msgspec.json.decode(states(store).get("hour", "all")[1])
    assert shown["running"] is None


def test_the_table_s_sums_and_the_windows_are_added_up() -> None:
    store = Store()
    store.add([counted(600, 2)])
    store.settle()
    store.add_totals([Total(0, *SEARCHES, 7.0)])
    body = states(store).get("day", "all")[1]
    types = next(panel for panel in msgspec.json.decode(body)["panels"] if panel["id"] == "types")
    assert types["series"] == [{"name": "search", "values": [7.0, 2.0]}]
    assert types["labels"] == [0, 600 * MINUTE_MS]


def states(store: Store) -> States:
    config = configuration.load()
    made = States(config, store, Feed(config, store), Health(config, None))
    made._health.found["problem"] = ""
    return made


def span(*found: WindowResult, source: str = "all") -> Span:
    store = Store()
    store.add(found)
    windows = [window for window in store.windows() if window.is_final]
    return Span([Bucket(each.start_ms, each.numbers) for each in windows], windows, source)


def all_visitors(found: Span, minutes: int) -> int:
    return found.merged("unique_visitors", minutes, lambda dimension: dimension == "all")


def test_visitors_of_minutes_are_merged_and_not_added_up() -> None:
    """The same visitors in each minute count once."""
    same = [counted(0, 50), counted(1, 50)]
    same[1] = msgspec.structs.replace(same[1], rows=same[0].rows)
    assert all_visitors(span(*same), 5) == 50
    assert abs(all_visitors(span(counted(0, 50), counted(1, 50)), 5) - 100) <= 2
    assert all_visitors(span(counted(0, 50), counted(9, 40)), 5) == 40


def test_windows_of_an_hour_are_shown_as_such() -> None:
    """A tile says what it shows: at least the newest window."""
    hour_ms = 60 * MINUTE_MS
    hours = [
        msgspec.structs.replace(
            counted(0, events), window_start_ms=number * hour_ms, window_end_ms=(number + 1) * hour_ms
        )
        for number, events in enumerate((3_600, 7_200))
    ]
    found = {tile["id"]: tile for tile in panels.tiles(span(*hours))}
    assert found["events"]["value"] == 2.0
    assert found["events"]["change"] == 1.0
    assert found["events"]["against"] == "newest window vs. the one before"
    assert found["active-5"]["label"] == "Visitors, last 1 h"
    assert found["active-5"]["value"] == pytest.approx(7_200, rel=0.03)
    assert "active-30" not in found


def test_early_rows_are_in_no_tile() -> None:
    (rate, *_) = panels.tiles(span(counted(0, 60), counted(1, 999, final=False)))
    assert (rate["id"], rate["value"]) == ("events", 1.0)


def test_what_is_not_counted_has_no_tile() -> None:
    sketch = aggregate.build_sketch([b"s"])
    rows = [
        Row("revenue", "toys", "EUR", None, "100", None, None),
        Row("sessions", "all", "", None, None, 1, sketch),  # Its sketch is no visitor.
    ]
    found = panels.tiles(span(msgspec.structs.replace(counted(0, 1), rows=rows)))
    assert [tile["id"] for tile in found] == ["revenue-EUR"]


def test_amounts_of_two_currencies_are_not_added_up() -> None:
    found = {tile["id"]: tile["value"] for tile in panels.tiles(span(counted(0, 60)))}
    assert (found["revenue-EUR"], found["revenue-JPY"]) == (60.0, 60.0)
    assert "order-value" not in found
    categories = next(panel for panel in panels.panels(span(counted(0, 60))) if panel["id"] == "categories")
    assert categories["series"][0]["values"] == [60.0]


def test_the_conversion_compares_sessions_of_the_same_windows() -> None:
    """Every session buys something, so it is 100 %, also if more windows are in memory than it shows."""
    results = []
    for minute in range(34):
        sketch = aggregate.build_sketch([f"{minute}-{n}".encode() for n in range(20)])
        rows = [
            Row("sessions", "all", "", None, None, 20, sketch),
            Row("funnel", "purchase_mobile", "", None, None, 20, sketch),
        ]
        results.append(msgspec.structs.replace(counted(minute, 20), rows=rows))
    found = {tile["id"]: tile for tile in panels.tiles(span(*results))}
    assert found["conversion"]["value"] == pytest.approx(1.0, abs=0.001)
    assert found["conversion"]["note"] == "sessions of the last 30 minutes"


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
def served(store: Store, token: str = "") -> Iterator[str]:
    (port,) = free_ports(1)
    made = states(store)
    application = server.application(made, PageCollector(store, made._feed, made._health), token)
    running = uvicorn.Server(
        uvicorn.Config(application, host="127.0.0.1", port=port, log_level="error", lifespan="off")
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


def test_an_unchanged_state_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "FRESH_SECONDS", 0.0)
    store = Store()
    store.add([counted(0, 3)])
    with served(store) as address:
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
        assert requests.get(f"{address}/api/state?source=nobody", timeout=5).status_code == 400


def test_the_page_takes_code_and_data_from_its_server_only() -> None:
    with served(Store()) as address:
        page = requests.get(address, timeout=5)
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        for text in (page.text, requests.get(f"{address}/page.js", timeout=5).text):
            assert "https://" not in text
            assert "innerHTML" not in text
        assert requests.get(f"{address}/../server.py", timeout=5).status_code == 404
        other = requests.get(f"{address}/api/state", headers={"Host": "evil.example"}, timeout=5)
        assert other.status_code == 421


def test_the_page_serves_metrics_beside_it() -> None:
    store = Store()
    store.add([counted(0, 3)])
    with served(store) as address:
        lines = requests.get(f"{address}/metrics", timeout=5).text.splitlines()
    assert "rtea_dashboard_windows 1.0" in lines
    assert "rtea_dashboard_results_total 0.0" in lines, "the feed has read none"


def test_a_token_protects_page_and_data() -> None:
    with pytest.raises(ConfigError, match="other characters"):
        with_dashboard(token="a b")
    with served(Store(), "secret") as address:
        for path in ("/", "/api/state", "/page.js", "/metrics"):
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
    shown = msgspec.json.decode(states(Store()).get("hour", "all")[1])
    assert shown["status"]["state"] == "nothing"
    assert shown["status"]["command"].startswith("rtea-gen")
    assert shown["tiles"][0]["value"] is None


def test_the_vendored_library_is_the_one_of_its_package() -> None:
    """ECharts 6.1.0, https://registry.npmjs.org/echarts/-/echarts-6.1.0.tgz, package/dist/echarts.common.min.js."""
    import hashlib

    file = server.STATIC / "echarts.common.min.js"
    wanted = "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == wanted
    assert "Apache License" in (server.STATIC / "echarts.LICENSE").read_text()
