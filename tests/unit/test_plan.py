"""Promise: events are due by an open-loop schedule: a stall does not change it."""

import math
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtea import config as configuration
from rtea.errors import ConfigError
from rtea_gen import plan as plans
from rtea_gen.plan import Plan, Schedule

ROOT = Path(__file__).parents[2]


def schedule(**flags: object) -> Schedule:
    config = configuration.load(flags={f"generator.{name}": value for name, value in flags.items()})
    return Schedule(Plan(config, start_ms=1_000_000, began_s=5_000.0, events=None))


@given(
    number=st.integers(0, 10**7),
    rate=st.integers(100, 10**6),
    speed=st.sampled_from([0.5, 1.0, 10.0]),
    daily=st.sampled_from([0.0, 0.7]),
)
def test_an_event_is_due_from_its_time_on(number: int, rate: int, speed: float, daily: float) -> None:
    due = schedule(rate=rate, speed=speed, daily=daily)
    moment_s = 0.002 / speed  # Times are whole milliseconds of event time.
    assert due.due_number(due.due_at_s(number) - moment_s) <= number < due.due_number(due.due_at_s(number) + moment_s)


def test_the_model_in_the_documentation_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "generator.md").read_text(), re.DOTALL)
    (tmp_path / "rtea.toml").write_text(block)
    generator = configuration.load(tmp_path / "rtea.toml").generator
    model, own = (
        plans.population_settings(generator).model(),
        plans.population_settings(configuration.Config().generator).model(),
    )
    changed = {"countries", "referrers", "campaigns", "categories", "transitions"}
    assert {name for name in model if model[name] != own[name]} == changed == generator.model_fields_set


def test_the_job_keeps_the_models_categories_and_currencies_before_others() -> None:
    config = configuration.Config()
    model = plans.population_settings(config.generator).model()
    assert [name for name, *_ in model["categories"]] == list(config.job.categories)
    assert {currency for _, _, currency, _ in model["countries"]} == set(config.job.currencies)


def test_nothing_is_due_before_the_start() -> None:
    assert schedule().due_number(4_999.0) == 0


def test_at_full_speed_everything_is_due() -> None:
    assert schedule(speed=0).due_number(0.0) == math.inf


def test_a_flash_sale_raises_the_rate_while_it_lasts() -> None:
    sale = schedule(rate=1000, sale_every_s=600, sale_length_s=60, sale_factor=5)
    rates = [sale.number_at(1_000_000 + (s + 10) * 1000) - sale.number_at(1_000_000 + s * 1000) for s in (0, 600, 660)]
    assert rates == [10_000, 50_000, 10_000]


def test_a_simulated_run_ends_in_the_past_and_a_live_one_starts_shortly() -> None:
    now_ms = time.time_ns() // 1_000_000
    config = configuration.load(flags={"generator.speed": 0, "generator.rate": 1000})
    past = plans.make(config, start_ms=None, events=None, duration_s=60)
    assert past.events == 60_000
    assert abs(past.start_ms - (now_ms - 60_000)) < 5_000
    fast = configuration.load(flags={"generator.speed": 2, "generator.rate": 1000})
    plan = plans.make(fast, start_ms=1, events=None, duration_s=60)
    assert Schedule(plan).due_number(plan.began_s + 1) == pytest.approx(2 * 1000, abs=3)
    live = plans.make(configuration.load(), start_ms=None, events=None, duration_s=1)
    assert now_ms < live.start_ms < now_ms + 60_000


def test_disorder_ms_matters_only_if_events_are_out_of_order() -> None:
    flags = {"job.allowed_lateness_ms": 0, "faults.malformed_share": 0.1}
    assert plans.faults(configuration.load(flags=flags)) is not None
    with pytest.raises(ConfigError, match=r"faults\.disorder_ms is 1000, beyond job\.allowed_lateness_ms 0"):
        plans.faults(configuration.load(flags=flags | {"faults.disorder_share": 0.1}))
