"""Promise: the JSON Schema, the Rust decoder, the msgspec Structs and the generator agree on what an event is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rtea import _core, events
from rtea.errors import InvalidEventError
from rtea.events import Device, Event, Item
from tests.laws.test_codec import all_events

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(events.SCHEMA_FILE.read_text())
VALIDATOR = Draft202012Validator(SCHEMA)

NUMBERS: list[Any] = [0, 1, -1, 2.0, 1e3, 2**32, 2**53, 2**63, 1e300, 1.5, 19.99, 1e10]
TEXTS: list[Any] = [
    "",
    " ",
    " \t\r\n",
    " x ",
    "\u00a0",
    "x",
    "X",
    "mobile",
    "usd",
    "USD",
    "x" * 64,
    "x" * 65,
    "x" * 129,
    "é" * 64,
]
TIMES: list[Any] = [
    "2026-11-23T10:00:00Z",
    "2026-11-23 10:00:00.5+01:00",
    "2026-11-23x10:00:00Z",
    "2026-11-23T10:00:00",
    "2026-11-23T10:00:00+0100",
    1_760_000_000,
    1_760_000_000_000.0,
]
ODD_VALUES = [None, True, *NUMBERS, *TEXTS, *TIMES, [], [1], {}, {"os": 1}, {"os": None}, [{}]]


def is_valid(text: str) -> bool:
    return bool(VALIDATOR.is_valid(json.loads(text)))


def is_decoded(text: str) -> bool:
    try:
        events.decode(text.encode())
    except InvalidEventError:
        return False
    return True


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(json.loads(events.SCHEMA_FILE.read_text()))


@given(event=all_events)
def test_what_we_write_is_valid(event: Event) -> None:
    assert is_valid(events.encode(event).decode())


@given(
    event=all_events,
    field=st.sampled_from([*SCHEMA["properties"], "unknown"]),
    value=st.sampled_from(ODD_VALUES),
    absent=st.booleans(),
)
def test_schema_and_decoder_agree_on_every_field(event: Event, field: str, value: Any, absent: bool) -> None:
    mapping = json.loads(events.encode(event))
    mapping.pop(field, None)
    if not absent:
        mapping[field] = value
    text = json.dumps(mapping)
    assert is_valid(text) == is_decoded(text), text


@given(
    event=all_events,
    field=st.sampled_from([*SCHEMA["$defs"]["item"]["properties"], "unknown"]),
    value=st.sampled_from(ODD_VALUES),
    absent=st.booleans(),
)
def test_schema_and_decoder_agree_on_every_field_of_an_item(event: Event, field: str, value: Any, absent: bool) -> None:
    mapping = json.loads(events.encode(event))
    item = mapping["items"][0]
    item.pop(field, None)
    if not absent:
        item[field] = value
    text = json.dumps(mapping)
    assert is_valid(text) == is_decoded(text), text


@given(event=all_events, items=st.sampled_from([None, [], "absent"]))
def test_schema_and_decoder_agree_that_a_purchase_has_items(event: Event, items: Any) -> None:
    for event_type in ("purchase", "search"):
        mapping = json.loads(events.encode(event)) | {"event_type": event_type, "items": items}
        if items == "absent":
            del mapping["items"]
        text = json.dumps(mapping)
        assert is_valid(text) == is_decoded(text) == (event_type == "search"), text


def test_an_ordinary_validator_accepts_every_valid_price() -> None:
    price = Draft202012Validator(SCHEMA["$defs"]["item"]["properties"]["price"])
    assert all(price.is_valid(minor / 100) for minor in range(100_000))


def test_newer_versions_are_accepted_with_their_new_fields() -> None:
    newer = (
        '{"event_id":"e","event_type":"search","source":"mobile","event_time":1,"visitor_id":"v",'
        '"schema_version":7,"hologram":{"depth":[3]}}'
    )
    assert is_valid(newer)
    assert events.decode(newer.encode()).schema_version == 7


@pytest.mark.parametrize(
    ("struct", "definition"),
    [(Event, SCHEMA), (Device, SCHEMA["$defs"]["device"]), (Item, SCHEMA["$defs"]["item"])],
)
def test_the_structs_have_the_schema_s_fields_in_its_order(struct: type, definition: dict[str, Any]) -> None:
    names = struct.__struct_fields__  # type: ignore[attr-defined]
    optional = len(struct.__struct_defaults__)  # type: ignore[attr-defined]
    assert list(names) == list(definition["properties"])
    required = names[: len(names) - optional]
    # The id comes first, so that an array can hold it, and may be null.
    assert [name for name in required if name != "event_id"] == definition.get("required", [])


def test_every_event_of_the_generator_is_valid() -> None:
    stream = _core.EventStream(
        seed=3, start_ms=1_760_000_000_000, rate_hz=100, window_ms=60_000, lanes=50, visitors=500, products=500
    )
    _, values, _ = stream.batch(0, 1, 3_000, "json")
    assert all(is_valid(value.decode()) for value in values)
    assert {json.loads(value)["event_type"] for value in values} == set(SCHEMA["properties"]["event_type"]["examples"])


def test_the_sample_in_the_readme_is_valid() -> None:
    sample = (ROOT / "README.md").read_text().split("```json\n")[1].split("```")[0]
    assert is_valid(sample)
