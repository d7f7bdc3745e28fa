"""The event, schema version 1, as msgspec Structs, and its two formats.

The generator, or any other producer, writes events to Kafka as JSON objects or as MessagePack arrays in schema
order. The third format, `ga4-json`, is for other systems: the job does not read it, only `rtea.ga4` does. Rust
checks the rules (`rtea-core`, `codec/rules.rs`), so Python and the job accept the same events.
"""

from pathlib import Path
from typing import Literal

import msgspec

from rtea import _core

Format = Literal["json", "msgpack", "ga4-json"]

SCHEMA_FILE = Path(__file__).with_name("schema") / "event-1.json"
"""The JSON Schema, version 1. Tests check that the decoder, the Structs and the generator agree with it."""

REASONS: tuple[str, ...] = tuple(_core.REASONS)
"""Reason codes of refused events, in the order of the checks."""


class Device(msgspec.Struct, frozen=True, array_like=True):
    """The device that sent the event."""

    os: str | None = None
    app_version: str | None = None
    browser: str | None = None
    screen: str | None = None
    locale: str | None = None
    country: str | None = None


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One line of a cart or an order. `price` is for one piece, in major units, with as many decimals as the currency
    has.
    """

    product_id: str
    category: str
    price: float
    quantity: int = 1


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One event, with the fields in the schema's order. `event_time` is in ms since the epoch, UTC. An event without
    an id is identified by its record's topic, partition and offset.
    """

    event_id: str | None
    event_type: str
    source: str
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


def sniff(value: bytes) -> Literal["json", "msgpack"]:
    """The format that the first byte of a value shows, as the job sees it.

    >>> sniff(b' {"event_type": "search"}'), sniff(bytes([0x97]))
    ('json', 'msgpack')
    """
    return "json" if value.lstrip()[:1] == b"{" else "msgpack"


_decoder = msgspec.msgpack.Decoder(Event)


def decode(value: bytes) -> Event:
    """Decode and check one event of either format.

    Raises:
        InvalidEventError: the value is not a valid event.

    >>> decode(b'{"event_id":"1","event_type":"search","source":"mobile","event_time":7,'
    ...        b'"visitor_id":"v","search_term":"shoes"}').search_term
    'shoes'
    """
    return of_array(_core.transcode(value, "msgpack"))


def of_array(value: bytes) -> Event:
    """Read an event that Rust has checked and written as MessagePack."""
    return _decoder.decode(value)


def encode(event: Event, format: Format = "json") -> bytes:
    """Check one event, then encode it.

    Raises:
        InvalidEventError: the event breaks the schema.

    >>> encode(Event("1", "search", "mobile", 7, "v"))
    b'{"event_id":"1","event_type":"search","source":"mobile","event_time":7,"visitor_id":"v","schema_version":1}'
    """
    return _core.transcode(msgspec.msgpack.encode(event), format)
