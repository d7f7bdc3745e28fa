"""Promise: the alerts that we ship fire when they should and only then, and rules, panels and docs name the same
metrics.
"""

import json
import subprocess
from pathlib import Path

import pytest

from tests import observability
from tests.observability import SHIPPED, named

ROOT = SHIPPED.parents[1]


def check(*arguments: str) -> None:
    ran = subprocess.run([observability.find("promtool"), *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    check("check", "config", str(SHIPPED / "prometheus.yml"))
    check("check", "rules", str(SHIPPED / "alerts.yml"))


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    check("test", "rules", str(ROOT / "tests" / "vectors" / "alerts.yml"))


def test_a_rule_that_never_fires_is_noticed(tmp_path: Path) -> None:
    rules = (SHIPPED / "alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(rules.replace("> 0.01 *", "> 10 *"))
    cases = (ROOT / "tests" / "vectors" / "alerts.yml").read_text()
    (tmp_path / "cases.yml").write_text(cases.replace("../../deploy/observability/", ""))
    with pytest.raises(AssertionError, match="RteaDeadLetters"):
        check("test", "rules", str(tmp_path / "cases.yml"))


def panels() -> list[str]:
    """The expressions of the Grafana dashboard."""
    found = json.loads((SHIPPED / "grafana.json").read_text())
    return [target["expr"] for panel in found["panels"] for target in panel["targets"]]


def test_docs_explain_every_metric_of_rules_and_panels() -> None:
    wanted = named((SHIPPED / "alerts.yml").read_text()) | named(" ".join(panels()))
    explained = named((ROOT / "docs" / "observability.md").read_text())
    assert len(wanted) > 20
    assert {name.removesuffix("_bucket") for name in wanted} <= explained


def test_panels_have_places_and_numbers_of_their_own() -> None:
    found = json.loads((SHIPPED / "grafana.json").read_text())["panels"]
    places = [tuple(panel["gridPos"].values()) for panel in found]
    assert len({panel["id"] for panel in found}) == len(set(places)) == len(found)


@pytest.mark.parametrize("expression", panels())
def test_prometheus_can_read_every_panel(expression: str, tmp_path: Path) -> None:
    rule = {"groups": [{"name": "panel", "rules": [{"record": "panel", "expr": expression}]}]}
    (tmp_path / "rule.yml").write_text(json.dumps(rule))
    check("check", "rules", str(tmp_path / "rule.yml"))
