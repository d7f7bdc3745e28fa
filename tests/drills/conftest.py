"""Fixtures of the drills: a pipeline of each drill's own, and the rows of a run without faults."""

from pathlib import Path

import pytest

from rtea.config import Config
from tests.conftest import with_own_topics
from tests.drills import load
from tests.flink import pipeline

HERE = Path(__file__).parent

SECONDS = 60
"""Length of the load in event time: twelve windows."""


@pytest.fixture(scope="session")
def undisturbed(stack: Config, tmp_path_factory: pytest.TempPathFactory) -> load.Rows:
    """The rows of the load when nothing goes wrong, which equal its manifest."""
    root = tmp_path_factory.mktemp("undisturbed")
    config = load.drill_config(with_own_topics(stack, root))
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, root / "m.jsonl", *load.arguments(SECONDS, speed="0"))
        pipeline.assert_rows_match(config, sent, least_windows=10)
        # Counts of what was refused come on their own, up to a second after their window's rows.
        load.wait_until(
            lambda: load.refused(config, sent) == load.malformed(config, sent), 60, "all refusals are counted"
        )
        return load.rows(config, sent)


@pytest.fixture
def drilled(stack: Config, tmp_path: Path) -> Config:
    """A pipeline of the drill's own."""
    return load.drill_config(with_own_topics(stack, tmp_path))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as a drill."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("drill")
