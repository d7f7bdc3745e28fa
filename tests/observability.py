"""A real Prometheus with the configuration and the alerts that we ship, for tests."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from ruamel.yaml import YAML
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.conftest import free_ports

SHIPPED = Path(__file__).parents[1] / "deploy" / "observability"

NAME = re.compile(r"\b(?:rtea_(?:job|sink|dashboard|gen)|flink_(?:jobmanager|taskmanager))_\w+")


def find(program: str) -> str:
    """The path of `prometheus` or `promtool`; CI has both."""
    found = shutil.which(program)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing: .ci/run installs it")
        pytest.skip(f"{program} is missing: install Debian's package prometheus")
    return found


def named(text: str) -> set[str]:
    """The metrics that an expression or a page names."""
    return set(NAME.findall(text))


def scaled(rules: str, factor: int) -> str:
    """The rules with all times divided, for windows that are as much shorter."""

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[2]) * {"s": 1, "m": 60}[found[3]]
        return f"{found[1]}{max(1, seconds // factor)}s"

    return re.sub(r"(\[|for: |offset )(\d+)([sm])\b", shorter, rules)


class Prometheus:
    """A running Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address

    def _ask(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self._address}/api/v1/{path}", params=parameters, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def value(self, expression: str, missing: float | None = None) -> float:
        """The value of an expression with one series. Without a series: `missing`, or a failure."""
        found = self.query(expression)
        if not found and missing is not None:
            return missing
        assert len(found) == 1, f"{expression} has {len(found)} series"
        return float(found[0]["value"][1])

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {each["labels"]["alertname"] for each in self._ask("alerts")["alerts"] if each["state"] == "firing"}

    def has_fired(self, seconds: int) -> bool:
        """Whether any alert has fired in the last seconds."""
        return bool(self.query(f'count_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])'))

    def names(self) -> set[str]:
        """Names of all series, those of histograms with their suffixes."""
        return set(self._ask("label/__name__/values"))

    def healthy(self) -> set[str]:
        """The jobs of which all targets answer."""
        targets = self._ask("targets")["activeTargets"]
        down = {each["labels"]["job"] for each in targets if each["health"] != "up"}
        return {each["labels"]["job"] for each in targets} - down


@contextmanager
def running(folder: Path, targets: Mapping[str, Sequence[int]], factor: int = 1) -> Iterator[Prometheus]:
    """Run Prometheus for a block. `targets` are the ports of each scrape job; `factor` divides the times of alerts."""
    program = find("prometheus")
    yaml = YAML(typ="safe")
    settings = yaml.load(SHIPPED / "prometheus.yml")
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in settings["scrape_configs"]:
        ports = targets.get(job["job_name"], ())
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    folder.mkdir(parents=True)
    (folder / "alerts.yml").write_text(scaled((SHIPPED / "alerts.yml").read_text(), factor))
    with open(folder / "prometheus.yml", "w") as file:
        yaml.dump(settings, file)
    (port,) = free_ports(1)
    command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        _wait_until_ready(f"http://127.0.0.1:{port}")
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)


@retry(retry=retry_if_exception_type(requests.RequestException), stop=stop_after_delay(30), wait=wait_fixed(0.2))
def _wait_until_ready(address: str) -> None:
    requests.get(f"{address}/-/ready", timeout=5).raise_for_status()
