"""Promises: every preset reads its layout as a naive reader does; a broken map is one line with its place; a map
changes
what is counted, so it begins a new generation.
"""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from rtea import config, events, maps
from rtea.errors import ConfigError, InvalidEventError, InvalidMapError
from rtea.job import generation
from rtea.maps import EventMap
from tests import layouts

LEAST = 'event_type = "/t"\nevent_time = "/at"\nvisitor_id = "/v"\nsource = { constant = "mobile" }\n'
VALUE = {"t": "search", "at": 1_790_000_000_000, "v": "me"}


def decoded(text: str, **changes: object) -> events.Event:
    event = EventMap(LEAST + text).decode(json.dumps(VALUE | changes).encode())
    assert event is not None
    return event


@pytest.mark.parametrize("preset", maps.presets())
def test_a_preset_reads_its_sample_as_a_naive_reader_does(preset: str) -> None:
    event_map = EventMap.load(preset)
    found = [naive(event_map.decode(value)) for value in layouts.sample(preset)]
    assert found == layouts.read(preset)
    assert len({each.event_type for each in found if isinstance(each, layouts.Read)}) >= 4


def naive(event: events.Event | None) -> layouts.Read | str:
    if event is None:
        return layouts.SKIPPED
    currency = event.currency or "USD"
    items = tuple(
        layouts.Item(item.product_id, item.category, layouts.minor(item.price, currency), item.quantity)
        for item in event.items or ()
    )
    has_session = event.session_id is not None
    head = (event.event_type, event.source, event.event_time, event.visitor_id)
    return layouts.Read(*head, has_session, currency, event.order_id, items)


def test_the_map_of_our_own_layout_reads_what_the_decoder_reads() -> None:
    event_map = EventMap.load("rtea")
    for value in layouts.sample("rtea"):
        assert event_map.decode(value) == events.decode(value)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("event_tipe = '/x'", 1, "'event_tipe'"),
        (LEAST + "[items]\neach = '/i'\nproduct_id = '/p'", 5, "items.price"),
        (LEAST + "campaign = 7", 5, "found integer: expected a table"),
        (LEAST + "campaign = 'x'", 5, "empty or starts with /"),
        (LEAST + "campaign = '/x~2'", 5, "~0 (a tilde) or ~1 (a slash)"),
        (LEAST + "campaign = '/x[y]'", 5, "[key=NAME]"),
        (LEAST + "campaign = { form = '/x' }", 5, "campaign.form"),
        (LEAST + "campaign = { values = { a = 'b' } }", 5, "`from` or `constant`"),
        (LEAST + "campaign = { from = '/c', unlisted = 'guess' }", 5, "keep, snake_case"),
        (LEAST + "sources = ['Kiosk']", 5, "[a-z]"),
        (LEAST + f"sources = {[f's{n}' for n in range(17)]}", 5, "17 names"),
        (LEAST + "[device]\nram = '/x'", 6, "device.ram"),
        (LEAST + "campaign = { constant = 'c', from = '/s' }", 5, "`constant` alone"),
        (LEAST + "session_id = { derive = ['/a'], default = 'z' }", 5, "`derive` alone"),
        (LEAST + "campaign = []", 5, "`from` or `constant`"),
        (LEAST + "currency = { constant = 'eur' }", 5, "a valid currency"),
        (LEAST + "campaign = '" + "/a" * 200 + "'", 5, "more than 128 steps"),
        (LEAST + "[items]\neach = '/o/*/items'\nproduct_id = '/p'\nprice = '/m'", 6, "a list at a fixed place"),
        (LEAST + "[items]\neach = []\nproduct_id = '/p'\nprice = '/m'", 6, "at least one path"),
        (LEAST.replace("'mobile'", "'nope'").replace('"mobile"', '"nope"'), 1, "one of the sources mobile, website"),
        ("event_type = '/t'", 1, "[event_time]"),
        ("event_type = ", 1, ""),
    ],
)
def test_a_broken_map_is_one_line_with_its_place(text: str, line: int, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(InvalidMapError) as refused:
        EventMap.load(str(file))
    assert str(refused.value).startswith(f"{file} line {line}: ")
    assert problem.replace("'", '"') in str(refused.value).replace("'", '"')
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["no-such-preset", "no/such/file", "missing.toml"])
def test_a_map_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        maps.read(name)


@pytest.mark.parametrize(
    ("written", "unit", "rounding", "currency", "expected"),
    [
        (19.99, "major", None, "USD", "19.99"),
        ("19.99", "major", None, "USD", "19.99"),
        ("19.995", "major", "half_up", "USD", "20.00"),
        ("19.985", "major", "half_even", "USD", "19.98"),
        (19.999, "major", "down", "USD", "19.99"),
        (1999, "minor", None, "USD", "19.99"),
        (1999, "minor", None, "JPY", "1999"),
        (1999, "minor", None, "KWD", "1.999"),
        ("19990000", "micro", None, "EUR", "19.99"),
        ("1e1", "major", None, "EUR", "10"),
        (0.1 + 0.2, "major", None, "EUR", "0.30"),
    ],
)
def test_amounts_are_read_in_their_unit(
    written: object, unit: str, rounding: str | None, currency: str, expected: str
) -> None:
    more = f'rounding = "{rounding}"' if rounding else ""
    text = (
        f'currency = "/c"\n[items]\neach = "/i"\nproduct_id = "/p"\ncategory = {{ constant = "x" }}\n'
        f'[items.price]\nfrom = "/m"\nunit = "{unit}"\n{more}'
    )
    event = decoded(text, c=currency, i=[{"p": "a", "m": written}])
    assert event.items is not None
    assert Decimal(str(event.items[0].price)) == Decimal(expected)


@pytest.mark.parametrize("written", ["19.999", 19.999, "-1", "1,299.00", "€ 5", "", True, "1e99", "5000000000"])
def test_an_amount_that_cannot_be_read_is_refused(written: object) -> None:
    text = '[items]\neach = "/i"\nproduct_id = "/p"\ncategory = { constant = "x" }\nprice = "/m"\n'
    with pytest.raises(InvalidEventError, match=r"items\.price"):
        decoded(text, i=[{"p": "a", "m": written}])


@pytest.mark.parametrize(
    ("form", "written", "expected_ms"),
    [
        ("s", 1_790_000_000, 1_790_000_000_000),
        ("s", "1790000000.1239", 1_790_000_000_123),
        ("s", 1_790_000_000.25, 1_790_000_000_250),
        ("ms", "1790000000000", 1_790_000_000_000),
        ("us", "1790000000000999", 1_790_000_000_000),
        ("ns", 1_790_000_000_000_999_999, 1_790_000_000_000),
        ("utc", "2026-09-21 14:13:20", 1_790_000_000_000),
        ("utc", "2026-09-21 14:13:20.5 UTC", 1_790_000_000_500),
        ("utc", "2026-09-21T16:13:20+02:00", 1_790_000_000_000),
        ("own", "2026-09-21T14:13:20Z", 1_790_000_000_000),
    ],
)
def test_times_are_read_in_their_form(form: str, written: object, expected_ms: int) -> None:
    text = LEAST.replace('event_time = "/at"', f'event_time = {{ from = "/at", as = "{form}" }}')
    event = EventMap(text).decode(json.dumps(VALUE | {"at": written}).encode())
    assert event is not None
    assert event.event_time == expected_ms


@pytest.mark.parametrize("written", ["yesterday", "2026-09-21", None, [], "1e5x"])
def test_a_time_that_cannot_be_read_is_refused(written: object) -> None:
    text = LEAST.replace('event_time = "/at"', 'event_time = { from = "/at", as = "utc" }')
    with pytest.raises(InvalidEventError, match="event_time"):
        EventMap(text).decode(json.dumps(VALUE | {"at": written}).encode())


def test_the_first_place_that_has_something_counts() -> None:
    text = 'campaign = ["/a", "/b~1c/~0d", "/list/*/x", "/list/1/y", "/named[k=n]/v"]'
    assert decoded(text, a="1").campaign == "1"
    assert decoded(text, a=None, **{"b/c": {"~d": "2"}}).campaign == "2"
    assert decoded(text, a=" ", list=[{"z": 0}, {"x": "3"}, {"x": "4"}]).campaign == "3"
    assert decoded(text, list=[{}, {"y": "5"}]).campaign == "5"
    assert decoded(text, named=[{"k": "m", "v": "6"}, {"v": "7", "k": "n"}]).campaign == "7"
    assert decoded(text).campaign is None


def test_a_rounding_makes_no_price_of_a_negative_amount() -> None:
    text = (
        '[items]\neach = "/i"\nproduct_id = "/p"\ncategory = { constant = "x" }\n'
        '[items.price]\nfrom = "/m"\nunit = "micro"\nrounding = "half_up"'
    )
    for amount in ("-5", -5, -0.004):
        with pytest.raises(InvalidEventError, match=r"items\.price"):
            decoded(text, i=[{"p": "a", "m": amount}])


def test_blank_texts_do_not_hide_later_elements() -> None:
    assert decoded('campaign = "/a/*/x"', a=[{"x": " "}, {"x": None}, {"x": "y"}]).campaign == "y"


def test_a_default_does_not_count_for_types_that_require_the_field() -> None:
    text = 'currency = { from = "/c", default = "EUR", required_by = "search" }'
    assert decoded(text, c="GBP").currency == "GBP"
    assert decoded(text).currency is None
    assert decoded(text, t="page_view").currency == "EUR"
    unlisted = (
        'campaign = { from = "/x", default = "d", unlisted = "default", values = { a = "b" }, required_by = "search" }'
    )
    assert decoded(unlisted, t="page_view", x="z").campaign == "d"
    with pytest.raises(InvalidEventError, match="campaign"):
        decoded(unlisted, x="z")


def test_sources_have_the_names_of_the_map() -> None:
    text = LEAST.replace('source = { constant = "mobile" }', 'sources = ["kiosk", "website"]\nsource = "/s"')
    event = EventMap(text).decode(json.dumps(VALUE | {"s": "kiosk"}).encode())
    assert event is not None
    assert event.source == "kiosk"
    with pytest.raises(InvalidEventError, match="one of the map's sources"):
        EventMap(text).decode(json.dumps(VALUE | {"s": "mobile"}).encode())


def test_a_map_begins_a_new_generation_and_our_own_layout_does_not(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    digests = set()
    for text in (LEAST, LEAST + 'campaign = "/c"'):
        file.write_text(text)
        digests.add(generation.digest(config.load(flags={"events.map": str(file)})))
    assert len(digests | {generation.digest(config.load())}) == 3
    assert generation.digest(config.load(flags={"events.map": "rtea"})) == generation.digest(config.load())
