"""Takes the pictures of the page: three widths in both themes, of an hour of a simulated shop.

    python -m tests.stack.screenshots docs/pictures

It starts a stack of its own, and needs Chromium in /usr/bin/chromium.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from rtea.config import Config
from rtea.metrics import registry
from rtea.stack import local
from tests.conftest import stack_config, with_own_topics
from tests.drills import load
from tests.flink import pipeline
from tests.stack.test_dashboard import CHROMIUM, QUIET, dashboard

MINUTES = 64
SPEED = 30
"""Event time runs so many times as fast as the clock: it ends now."""

SIZES = {360: 740, 1_024: 700, 1_920: 1_080}


def main(folder: Path) -> None:
    """Fill a table with an hour, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as root:
        stack = stack_config(Path(root) / "stack")
        with local.running(stack):
            config = with_own_topics(stack, Path(root))
            every = {"metrics": tuple(registry())}
            config = config.model_copy(update={"job": config.job.model_copy(update=every)})
            with pipeline.submitted(config), pipeline.sinking(config):
                _send(config, Path(root) / "manifest.jsonl")
                _take_all(config, Path(root) / "manifest.jsonl", folder)


def _take_all(config: Config, manifest: Path, folder: Path) -> None:
    with dashboard(config, "--manifest", str(manifest)) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        time.sleep(20)  # The page compares the table with the manifest every 15 s.
        for theme in ("light", "dark"):
            for width, height in SIZES.items():
                _take(browser, address, theme, width, height, folder)
        browser.close()


def _send(config: Config, path: Path) -> None:
    start_ms = time.time_ns() // 1_000_000 - MINUTES * 60_000 + MINUTES * 60_000 // SPEED
    command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), "--no-progress", "--procs", "1"]
    shape = ["--rate", "100", "--duration", str(MINUTES * 60), "--speed", str(SPEED), "--start", str(start_ms)]
    subprocess.run([*command, *shape], env=load.environment(config), check=True)


def _take(browser: Browser, address: str, theme: str, width: int, height: int, folder: Path) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light", locale="en-GB"
    )
    page.goto(address)
    page.wait_for_selector(".tile")
    page.wait_for_timeout(1_000)  # The charts move into place.
    page.screenshot(path=folder / f"dashboard-{theme}-{width}.png")
    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
