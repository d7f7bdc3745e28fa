"""Promise: the mapping to GA4 loses nothing."""

import json

import pytest
from hypothesis import assume, given

from rtea import events, ga4
from rtea.errors import RteaError
from rtea.events import Event, Item
from tests.laws.test_codec import all_events


@given(event=all_events)
def test_reading_a_payload_inverts_writing_it(event: Event) -> None:
    assume(event.event_type != "view_item")
    assert ga4.read(events.encode(event, "ga4-json")) == event


def test_names_and_the_value_are_those_of_ga4() -> None:
    items = [Item("p1", "books", 12.5, 2), Item("p2", "toys", 0.99)]
    bought = Event("e", "purchase", "website", 1_760_000_000_123, "v", items=items, currency="EUR", order_id="o")
    payload = json.loads(events.encode(bought, "ga4-json"))
    (event,) = payload["events"]
    assert (payload["client_id"], payload["timestamp_micros"]) == ("v", 1_760_000_000_123_000)
    assert (event["name"], event["params"]["transaction_id"], event["params"]["value"]) == ("purchase", "o", 25.99)
    assert event["params"]["items"][0] == {"item_id": "p1", "item_category": "books", "price": 12.5, "quantity": 2}


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"client_id":"v","timestamp_micros":1,"events":[]}'])
def test_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(RteaError, match="not a payload of one event"):
        ga4.read(payload)
