"""Promises: equal settings keep their generation; other settings and `--replace` raise it; no job replaces whole
windows by parts of them."""

import pytest

from rtea import config as configuration
from rtea.config import Config
from rtea.errors import ConfigError
from rtea.job import generation
from rtea.job.generation import Known
from rtea.sinks import result
from rtea.sinks.result import WindowResult

AHEAD = 2**50
"""A generation of a machine whose clock is far ahead."""


def settings(**flags: object) -> Config:
    return configuration.load(flags={f"job.{name}": value for name, value in flags.items()})


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[WindowResult]:
    """The newest results of the topic, as a test puts them there."""
    found: list[WindowResult] = []
    monkeypatch.setattr(generation, "_newest_results", lambda _: found)
    return found


def of(config: Config, number: int, length_ms: int = 60_000) -> WindowResult:
    return WindowResult(result.VERSION, 0, length_ms, number, 1, generation.digest(config), [])


def test_equal_settings_keep_the_generation_and_others_raise_it(topic: list[WindowResult]) -> None:
    topic += [of(settings(), 7), of(settings(), AHEAD)]
    assert generation.choose(settings(parallelism=3)) == AHEAD
    assert generation.choose(settings(max_dimensions=7)) == AHEAD + 1
    assert generation.choose(settings(), replace=True) == AHEAD + 1


def test_a_running_job_that_has_made_no_result_yet_is_known(topic: list[WindowResult]) -> None:
    running = [Known(AHEAD, generation.digest(settings()))]
    assert generation.choose(settings(), running) == AHEAD
    assert generation.choose(settings(max_dimensions=7), running) == AHEAD + 1


def test_windows_of_another_length_are_refused(topic: list[WindowResult]) -> None:
    topic.append(of(settings(), 7, length_ms=5_000))
    with pytest.raises(ConfigError, match=r"job\.window_ms is 60000, but topic .* holds windows of 5000 ms"):
        generation.choose(settings())


def test_a_start_from_the_latest_event_does_not_replace_windows_by_parts(topic: list[WindowResult]) -> None:
    late = settings(start_from="latest")
    generation.require_whole_windows(late, 8)
    topic.append(of(settings(), 7))
    generation.require_whole_windows(late, 7)
    generation.require_whole_windows(settings(), 8)
    with pytest.raises(ConfigError, match=r"job\.start_from=latest with other settings .* --savepoint"):
        generation.require_whole_windows(late, 8)
