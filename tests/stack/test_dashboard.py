"""Promises: the page's numbers are those of the table, in a real browser on a real run; it says what is wrong; anybody
can read it; neither its clients nor a day of updates cost much; the sink never waits for it.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psutil
import pytest
import requests

from rtea.config import Config
from rtea.dashboard import server
from rtea.dashboard.health import Health
from rtea.job import cluster
from rtea.job import submit as job
from rtea.metrics import registry
from rtea.sinks.contract import Batch
from rtea.sinks.duckdb import DuckDbSink
from rtea.sinks.result import Row, WindowResult
from tests.drills import load
from tests.flink import pipeline
from tests.stack.test_doctor import changed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(300)

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--js-flags=--expose-gc"]  # fmt: skip
WINDOW_MS = 5_000
CLIENTS = 50
EQUAL_WINDOWS = """(() => {
    const found = /(\\d+) of (\\d+) windows equal the manifest/.exec(document.getElementById("pipeline").innerText);
    return found !== null && found[1] === found[2] && Number(found[1]) >= 6;
})()"""


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium. Without it, CI fails and a developer's machine skips, loudly."""
    sync_api = pytest.importorskip("playwright.sync_api") if not os.environ.get("CI") else None
    if not CHROMIUM.exists():
        reason = "Chromium is not installed: run `apt-get install chromium`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    if sync_api is None:
        from playwright import sync_api as imported

        sync_api = imported
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield launched
        launched.close()


@contextmanager
def dashboard(config: Config, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """`rtea dashboard` on any free port: its address and process."""
    command = [sys.executable, "-m", "rtea", "dashboard", "--port", "0", *options]
    with subprocess.Popen(command, env=load.environment(config), stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith("dashboard: http://127.0.0.1:"), line
            yield line.split()[1], psutil.Process(process.pid)
        finally:
            process.terminate()


@contextmanager
def page_of(browser: "Browser", address: str, **more: Any) -> Iterator["Page"]:
    """A page without errors in its console."""
    errors: list[str] = []
    page = browser.new_page(**({"viewport": {"width": 1_280, "height": 900}, "locale": "en-US"} | more))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    wait(page, "document.body.dataset.state !== undefined")
    try:
        yield page
    finally:
        page.close()
    assert [error for error in errors if "Failed to load resource" not in error] == []


def wait(page: "Page", expression: str, seconds: float = 30) -> None:
    """Wait until something is true. The page forbids what playwright's own waiting needs: code from text."""
    try:
        load.wait_until(lambda: bool(page.evaluate(expression)), seconds, expression)
    except AssertionError as error:
        raise AssertionError(f"{error}; the page shows: {page.inner_text('body')[:500]}") from error


def all_metrics(config: Config) -> Config:
    settings = {"window_ms": WINDOW_MS, "metrics": tuple(registry()), "checkpoint_interval_ms": 2_000}
    return config.model_copy(update={"job": config.job.model_copy(update=settings)})


def test_the_page_shows_what_the_table_has(pipeline_config: Config, tmp_path: Path, browser: "Browser") -> None:
    config = all_metrics(pipeline_config)
    path = tmp_path / "manifest.jsonl"
    with pipeline.submitted(config) as job_id, pipeline.sinking(config):
        with dashboard(config, "--manifest", str(path)) as (address, process), page_of(browser, address) as page:
            wait(page, "document.body.dataset.state === 'nothing'")
            assert "rtea-gen" in page.inner_text("#message code")
            start = ["--start", str(time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS)]
            sent = pipeline.generated(config, path, "--rate", "400", "--duration", "40", "--procs", "1", *start)
            pipeline.assert_rows_match(config, sent, least_windows=6)
            wait(page, "document.body.dataset.state === 'live'", 30)
            numbers_equal_the_table(config, page)
            wait(page, EQUAL_WINDOWS, 60)
            everybody_can_read_it(page)
            no_width_scrolls(page)
            fifty_clients_cost_little(address, process)
            job.cancel(config, job_id)
            wait(page, "document.body.dataset.state === 'down'", 30)
            assert page.inner_text("#message code") == "rtea job submit"
        assert cluster.describe(config, job_id)["state"] == "CANCELED"


def numbers_equal_the_table(config: Config, page: "Page") -> None:
    """Tiles, and the table below a chart, against the rows in DuckDB. Waits until the page has the last window."""
    with duckdb.connect(str(config.sink.duckdb_path), read_only=True) as connection:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(
                query.replace("FROM it", f"FROM {config.sink.table} WHERE is_final AND")
            ).fetchall()

        ((events, ends),) = ask(
            "SELECT sum(event_count)::BIGINT, epoch_ms(max(window_end)) FROM it metric = 'event_count'"
        )
        ((orders,),) = ask("SELECT sum(event_count)::BIGINT FROM it metric = 'orders'")
        revenue = dict(ask("SELECT currency, sum(revenue)::DOUBLE FROM it metric = 'revenue' GROUP BY ALL"))
        by_type = dict(
            ask(
                "SELECT regexp_replace(dimension, '_[a-z]+$', ''), sum(event_count)::BIGINT FROM it "
                "metric = 'event_count' GROUP BY ALL"
            )
        )
        views = dict(
            ask(
                "SELECT dimension, sum(event_count)::BIGINT FROM it metric = 'product_views' "
                "AND dimension <> '(other)' GROUP BY ALL ORDER BY 2 DESC LIMIT 1"
            )
        )
    deadline_s = time.monotonic() + 30
    while int(state(page)["status"].get("newest_ms", 0)) < ends and time.monotonic() < deadline_s:
        time.sleep(0.5)
    page.reload()
    page.wait_for_selector(".tile")
    shown = {tile.get_attribute("data-id"): tile.inner_text() for tile in page.query_selector_all(".tile")}
    assert f"\n{orders:,}\n" in shown["orders"]
    for currency in sorted(revenue, key=lambda name: -revenue[name])[:3]:
        amount = re.search(r"[\d,.]+", shown[f"revenue-{currency}"].replace(f"Revenue, {currency}", ""))
        assert amount is not None
        assert float(amount[0].replace(",", "")) == pytest.approx(revenue[currency], abs=1.0)
    types = table(page, "types")
    assert {name: sum(int(row[name].replace(",", "")) for row in types) for name in by_type} == by_type
    assert sum(by_type.values()) == events
    ((product, count),) = views.items()
    rows = [row for row in table(page, "products") if row["name"] == product]
    assert [f"{count:,}" in row.values() for row in rows] == [True]


def state(page: "Page") -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("fetch('api/state', {cache: 'no-store'}).then((answer) => answer.json())")
    return found


READ_TABLE = """(panel) => {
    const card = document.querySelector(`.panel[data-id="${panel}"]`);
    const names = [...card.querySelectorAll("th")].map((cell) => cell.innerText);
    return [...card.querySelectorAll("tbody tr")].map((row) =>
        Object.fromEntries([...row.children].map((cell, n) => [names[n], cell.innerText])));
}"""


def table(page: "Page", panel: str) -> list[dict[str, str]]:
    """The table below a chart, read at one moment."""
    card = page.locator(f'.panel[data-id="{panel}"]')
    if not card.locator("details[open]").count():
        card.locator("summary").press("Enter")
    card.locator("tbody tr").first.wait_for()
    rows: list[dict[str, str]] = page.evaluate(READ_TABLE, panel)
    return rows


def everybody_can_read_it(page: "Page") -> None:
    """axe finds nothing in both themes, and the keyboard reaches everything."""
    from axe_playwright_python.sync_playwright import Axe

    for theme in ("light", "dark"):
        if page.evaluate("document.documentElement.dataset.theme") != theme:
            page.locator("#theme").press("Enter")
        if page.evaluate("document.documentElement.dataset.theme") != theme:
            page.locator("#theme").press("Enter")
        found = Axe().run(page)
        assert found.violations_count == 0, (theme, found.generate_report())
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"range", "source", "zone", "theme", "SUMMARY"} <= reached


def no_width_scrolls(page: "Page") -> None:
    for width in (360, 768, 1_920):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def fifty_clients_cost_little(address: str, process: psutil.Process) -> None:
    """Each polls every two seconds, as the page does."""
    seconds = 16
    ends_s = time.monotonic() + seconds
    codes: list[int] = []

    def poll() -> None:
        session, tag = requests.Session(), ""
        while time.monotonic() < ends_s:
            answer = session.get(f"{address}api/state", headers={"If-None-Match": tag} if tag else {}, timeout=5)
            codes.append(answer.status_code)
            tag = answer.headers.get("ETag", tag)
            time.sleep(2)

    before = process.cpu_times()
    clients = [threading.Thread(target=poll) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    after = process.cpu_times()
    cores = (after.user + after.system - before.user - before.system) / seconds
    assert set(codes) <= {200, 304}
    assert len(codes) >= CLIENTS * seconds / 2 - CLIENTS
    assert cores < 0.1
    assert process.memory_info().rss < 150 * 2**20


def test_a_day_of_updates_does_not_grow_the_page(pipeline_config: Config, browser: "Browser") -> None:
    """2,000 updates that change every number, drawn as if they had come."""
    shown = Path(__file__).parents[1] / "vectors" / "dashboard" / "state.json"
    with (
        server.serving(changed(pipeline_config, dashboard__port=0), None) as address,
        page_of(browser, address, reduced_motion="reduce") as page,
    ):
        page.evaluate("clearInterval(window.rtea.polling)")
        draw = """([state, first, count]) => {
            for (let n = first; n < first + count; n++) {
                const changed = structuredClone(state);
                for (const tile of changed.tiles) {
                    tile.value += n;
                    tile.spark = tile.spark.map((value) => value + n);
                }
                for (const panel of changed.panels)
                    for (const line of panel.series) line.values = line.values.map((value) => value + (n % 7));
                window.rtea.draw(changed);
            }
            gc();
            return [performance.memory.usedJSHeapSize, document.getElementsByTagName("*").length];
        }"""
        given = json.loads(shown.read_text())
        page.evaluate(draw, [given, 0, 200])
        heap, nodes = page.evaluate(draw, [given, 200, 300])
        later_heap, later_nodes = page.evaluate(draw, [given, 500, 1_500])
    assert later_nodes == nodes
    assert later_heap < heap * 1.1 + 2**20


def test_names_from_events_are_text(pipeline_config: Config, browser: "Browser") -> None:
    shown = json.loads((Path(__file__).parents[1] / "vectors" / "dashboard" / "state.json").read_text())
    evil = "<img src=x onerror=\"document.title='owned'\">"
    for panel in shown["panels"]:
        panel["labels"] = [evil if isinstance(label, str) else label for label in panel["labels"]]
        for line in panel["series"]:
            line["name"] = evil
    shown["pipeline"]["dead_letters"] = {evil: 1}
    shown["status"] |= {"state": "down", "text": evil, "command": evil}
    shown["sources"] = [evil]
    with (
        server.serving(changed(pipeline_config, dashboard__port=0), None) as address,
        page_of(browser, address) as page,
    ):
        page.evaluate("clearInterval(window.rtea.polling)")
        page.evaluate("(state) => window.rtea.draw(state)", shown)
        for summary in page.query_selector_all("summary"):
            summary.press("Enter")
        assert page.title() != "owned"
        assert page.query_selector_all("main img") == []
        assert evil in page.inner_text("main")


def test_the_sink_does_not_wait_for_ten_pages(pipeline_config: Config, tmp_path: Path) -> None:
    """It writes 1,000 windows while ten pages poll, and while the server reads the table as often as it can."""
    manifest = tmp_path / "manifest.jsonl"
    fast = ["--rate", "100", "--duration", "150", "--speed", "0", "--procs", "1"]
    pipeline.generated(pipeline_config, manifest, *fast)
    config = changed(pipeline_config, dashboard__port=0, dashboard__manifest=manifest)
    sink, stop = DuckDbSink(config.sink.duckdb_path, config.sink.table), threading.Event()
    sink.open()
    failed: list[str] = []

    def poll(address: str) -> None:
        while not stop.is_set():
            answer = requests.get(f"{address}api/state", timeout=10)
            if answer.status_code != 200:
                failed.append(answer.text)
            time.sleep(0.05)

    def compare() -> None:
        reader = DuckDbSink(config.sink.duckdb_path, config.sink.table)
        health = Health(config, reader)
        while not stop.is_set():
            health._verified_s = 0.0
            found: dict[str, Any] = {"job": {"watermark_ms": 2**45}, "verified": None}
            health._verify(found)
            reader.totals(0, 2**45, 3_600_000)
            if "problem" in (found["verified"] or {}):
                failed.append(found["verified"]["problem"])
            time.sleep(0.1)  # Here readers and writer share a process, and DuckDB leaves the writer no gap.

    seconds: list[float] = []
    with server.serving(config, None) as address:
        threads = [threading.Thread(target=poll, args=(address,)) for _ in range(10)]
        threads.append(threading.Thread(target=compare))
        for each in threads:
            each.start()
        try:
            for first in range(0, 1_000, 5):
                batch = tuple(one_window(number) for number in range(first, first + 5))
                started_s = time.monotonic()
                sink.write(Batch(batch, f"{first:032x}"), threading.Event())
                seconds.append(time.monotonic() - started_s)
        finally:
            stop.set()
            for each in threads:
                each.join()
    assert not failed
    assert max(seconds) < 5.0
    assert len(sink.read(0, 1_000 * 60_000)) == 1_000
    sink.close()


def one_window(number: int) -> WindowResult:
    row = Row("event_count", "search_mobile", "", number, None, None, None)
    return WindowResult(3, number * 60_000, (number + 1) * 60_000, 1, number, "s", [row])
