"""The event, schema version 1, as msgspec Structs, and its two formats.

Events come from the generator or from any other producer and go to Kafka as JSON objects or as
MessagePack arrays in schema order; `ga4-json` is written only (`rtea.ga4` reads it back).
Rules are checked in Rust (`rtea-core`, `codec/rules.rs`), so
Python sees an event exactly as the job does.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

from rtea import _core

Format = Literal["json", "msgpack", "ga4-json"]

SCHEMA_FILE = Path(__file__).with_name("schema") / "event-1.json"
"""The JSON Schema, version 1: the rules written down once for other languages. Tests hold decoder, Structs
and generator to it."""

REASONS: tuple[str, ...] = tuple(_core.REASONS)
"""Reason codes of refused events, in the order of the checks."""


class Device(msgspec.Struct, frozen=True, array_like=True):
    """The device an event was made on."""

    os: str | None = None
    app_version: str | None = None
    browser: str | None = None
    screen: str | None = None
    locale: str | None = None
    country: str | None = None


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One line of a cart or an order; `price` is of one piece, in major units, with the decimals of its currency."""

    product_id: str
    category: str
    price: float
    quantity: int = 1


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One event. `event_time` is in ms since the epoch, UTC. Field order is the schema's. An event without an id is
    known by its record's topic, partition and offset.
    """

    event_id: str | None
    event_type: str
    source: Literal["mobile", "website"]
    event_time: int
    visitor_id: str
    schema_version: int = 1
    session_id: str | None = None
    user_id: str | None = None
    page_url: str | None = None
    referrer: str | None = None
    search_term: str | None = None
    campaign: str | None = None
    device: Device | None = None
    items: list[Item] | None = None
    currency: str | None = None
    order_id: str | None = None


_decoder = msgspec.msgpack.Decoder(Event)


def decode(value: bytes) -> Event:
    """Decode and check one event of either format.

    Raises:
        InvalidEventError: the value is no valid event.

    >>> decode(b'{"event_id":"1","event_type":"search","source":"mobile","event_time":7,'
    ...        b'"visitor_id":"v","search_term":"shoes"}').search_term
    'shoes'
    """
    return _decoder.decode(_core.transcode(value, "msgpack"))


def encode(event: Event, format: Format = "json") -> bytes:
    """Encode one event, checking it first.

    Raises:
        InvalidEventError: the event breaks the schema.

    >>> encode(Event("1", "search", "mobile", 7, "v"))
    b'{"event_id":"1","event_type":"search","source":"mobile","event_time":7,"visitor_id":"v","schema_version":1}'
    """
    return _core.transcode(msgspec.msgpack.encode(event), format)


def to_dict(event: Event) -> dict[str, Any]:
    """The event as the mapping its JSON form holds.

    >>> to_dict(Event("1", "search", "mobile", 7, "v"))["event_type"]
    'search'
    """
    return msgspec.json.decode(encode(event, "json"))  # type: ignore[no-any-return]
