"""Promise: events pass between our codec and msgspec, in both formats, without loss."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtea import events
from rtea.errors import InvalidEventError
from rtea.events import Device, Event, Item

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)
maybe = st.none() | texts
items = st.builds(
    Item,
    product_id=texts,
    category=texts,
    price=st.integers(0, 10**7).map(lambda minor: minor / 100),
    quantity=st.integers(1, 1000),
)
all_events = st.builds(
    Event,
    event_id=maybe,
    event_type=st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    source=st.sampled_from(["mobile", "website"]),
    event_time=st.integers(0, 499_999_999) | st.integers(10**11, 2**47),
    visitor_id=texts,
    schema_version=st.integers(1, 9),
    session_id=maybe,
    user_id=maybe,
    page_url=maybe,
    referrer=maybe,
    search_term=maybe,
    campaign=maybe,
    device=st.none() | st.builds(Device, maybe, maybe, maybe, maybe, maybe, maybe),
    items=st.lists(items, min_size=1, max_size=3),
    currency=st.none() | st.sampled_from(["USD", "EUR", "KWD"]),
    order_id=maybe,
)


@given(event=all_events, format=st.sampled_from(["json", "msgpack"]))
def test_decoding_inverts_encoding(event: Event, format: events.Format) -> None:
    assert events.decode(events.encode(event, format)) == event


@given(event=all_events)
def test_msgspec_reads_what_we_write(event: Event) -> None:
    assert msgspec.msgpack.decode(events.encode(event, "msgpack"), type=Event) == event
    written = json.loads(events.encode(event, "json"))
    assert written == json.loads(events.encode(event))
    assert written["items"][0]["price"] == event.items[0].price if event.items else True


@given(event=all_events)
def test_we_read_what_msgspec_and_json_write(event: Event) -> None:
    assert events.decode(msgspec.msgpack.encode(event)) == event
    mapping = json.loads(events.encode(event))
    assert events.decode(json.dumps(mapping, indent=1, sort_keys=True).encode()) == event
    assert events.decode(msgspec.json.encode(dict(reversed(mapping.items())))) == event
    assert events.decode(msgspec.msgpack.encode(mapping)) == event


# No event fits in so few bytes.
@given(value=st.binary(max_size=20))
def test_every_refusal_has_a_known_reason(value: bytes) -> None:
    with pytest.raises(InvalidEventError) as caught:
        events.decode(value)
    assert caught.value.reason in events.REASONS


def test_a_refusal_names_reason_field_and_expectation() -> None:
    with pytest.raises(InvalidEventError) as caught:
        events.decode(b'{"event_id":"e","event_type":"x","source":"kiosk","event_time":1,"visitor_id":"v"}')
    assert (caught.value.reason, caught.value.field) == ("invalid_value", "source")
    assert str(caught.value) == 'invalid_value: source: expected "mobile" or "website"'
