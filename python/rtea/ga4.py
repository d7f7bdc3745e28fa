"""Reads the payloads of Google Analytics 4's Measurement Protocol that `rtea-gen --format ga4-json` writes.

The Rust extension writes them (`rtea-core`, `codec/ga4.rs`), for systems that expect GA4. The mapping loses nothing:

| ours | GA4 |
| --- | --- |
| `visitor_id`, `user_id`, `event_time` | `client_id`, `user_id`, `timestamp_micros` |
| `event_type` | the event's `name`; `product_view` is `view_item`, all others keep their name |
| `page_url`, `referrer`, `order_id` | parameters `page_location`, `page_referrer`, `transaction_id` |
| `event_id`, `source`, `schema_version`, `session_id` | parameters of that name |
| `search_term`, `campaign`, `currency` | parameters of that name |
| `items`: `product_id`, `category`, `price`, `quantity` | `items`: `item_id`, `item_category`, `price`, `quantity` |
| `device`: `os`, `browser` | `device`: `operating_system`, `browser` |
| `device`: `screen`, `locale` | `device`: `screen_resolution`, `language` |
| `device.app_version`, `device.country` | parameter `app_version`, `user_location.country_id` |

Purchases also have their total as the parameter `value`. An event whose own type is `view_item` looks like a product
view.
"""

from typing import Any

import msgspec

from rtea.errors import InputError
from rtea.events import Device, Event, Item


class GaDevice(msgspec.Struct, frozen=True):
    """The device."""

    operating_system: str | None = None
    browser: str | None = None
    screen_resolution: str | None = None
    language: str | None = None


class GaLocation(msgspec.Struct, frozen=True):
    """The place."""

    country_id: str | None = None


class GaItem(msgspec.Struct, frozen=True):
    """An item."""

    item_id: str
    item_category: str
    price: float
    quantity: int = 1


class GaParameters(msgspec.Struct, frozen=True):
    """The event's parameters."""

    source: str
    event_id: str | None = None
    schema_version: int = 1
    session_id: str | None = None
    page_location: str | None = None
    page_referrer: str | None = None
    search_term: str | None = None
    campaign: str | None = None
    app_version: str | None = None
    currency: str | None = None
    transaction_id: str | None = None
    items: list[GaItem] | None = None


class GaEvent(msgspec.Struct, frozen=True):
    """An event."""

    name: str
    params: GaParameters


class GaPayload(msgspec.Struct, frozen=True):
    """A payload of one event."""

    client_id: str
    timestamp_micros: int
    events: list[GaEvent]
    user_id: str | None = None
    device: GaDevice | None = None
    user_location: GaLocation | None = None


_decoder = msgspec.json.Decoder(GaPayload)


def read(payload: bytes) -> Event:
    """The event that was written as this payload.

    Raises:
        InputError: it is not such a payload.

    >>> from rtea import events
    >>> event = Event("1", "product_view", "mobile", 7, "v", items=[Item("p", "books", 9.99)])
    >>> read(events.encode(event, "ga4-json")) == event
    True
    """
    try:
        found = _decoder.decode(payload)
        (event,) = found.events
    except (msgspec.DecodeError, ValueError) as error:
        raise InputError(f"not a payload of one event as rtea-gen writes it: {error}") from error
    parameters = event.params
    items = [Item(item.item_id, item.item_category, item.price, item.quantity) for item in parameters.items or ()]
    named: dict[str, Any] = {
        "event_id": parameters.event_id,
        "event_type": "product_view" if event.name == "view_item" else event.name,
        "source": parameters.source,
        "event_time": found.timestamp_micros // 1000,
        "visitor_id": found.client_id,
        "schema_version": parameters.schema_version,
        "session_id": parameters.session_id,
        "user_id": found.user_id,
        "page_url": parameters.page_location,
        "referrer": parameters.page_referrer,
        "search_term": parameters.search_term,
        "campaign": parameters.campaign,
        "device": _device(found),
        "items": items or None,
        "currency": parameters.currency,
        "order_id": parameters.transaction_id,
    }
    return Event(**named)


def _device(found: GaPayload) -> Device | None:
    if found.device is None:
        return None
    return Device(
        found.device.operating_system,
        found.events[0].params.app_version,
        found.device.browser,
        found.device.screen_resolution,
        found.device.language,
        found.user_location.country_id if found.user_location else None,
    )
