"""Promises: docs/metrics.md lists what the registry has; the settings accept exactly these metrics; an upgrade alone
does not begin a new generation.
"""

from pathlib import Path

import pytest

from rtea import config
from rtea.errors import ConfigError
from rtea.job import generation
from rtea.metrics import DEFAULT, registry

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_docs_list_every_series() -> None:
    table = DOCS.read_text().partition("<!-- rtea.metrics -->\n")[2].partition("<!-- end")[0].splitlines()[2:]
    rows = [f"| {name} | {' | '.join(described)} |" for name, series in registry().items() for described in series]
    assert table == rows


def test_the_docs_name_the_defaults() -> None:
    assert tuple(registry())[:3] == DEFAULT == config.load().job.metrics


@pytest.mark.parametrize("names", [["no_such_metric"], []])
def test_a_metric_that_does_not_exist_is_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"expected some of event_count, revenue"):
        config.load(flags={"job.metrics": names})


def test_the_digest_of_default_settings_is_that_of_earlier_releases() -> None:
    # As it was before the setting `job.metrics`.
    assert generation.digest(config.load()) == "48bdcdc2607fe552"


@pytest.mark.parametrize("flags", [{"job.metrics": ["orders"]}, {"job.top_products": 7}])
def test_other_rows_begin_a_new_generation(flags: dict[str, object]) -> None:
    assert generation.digest(config.load(flags=flags)) != generation.digest(config.load())
