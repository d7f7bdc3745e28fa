"""Proposes a map for events of an unknown layout: by the names and the values of their fields."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from rtea import maps
from rtea.maps import EventMap, report

MOST_STEPS = 60
"""Deepest place that is looked at."""

IS_A_PRESET = 0.5
"""A preset is proposed if it counts at least this share of a sample."""

NAMES = {
    "event_id": ["event_id", "message_id", "uuid", "id"],
    "event_type": ["event_type", "event_name", "event", "action", "type", "name"],
    "source": ["source", "platform", "channel", "device_type"],
    "event_time": ["event_time", "timestamp", "event_timestamp", "time", "ts", "created_at", "occurred_at", "date"],
    "visitor_id": ["visitor_id", "anonymous_id", "client_id", "user_pseudo_id", "device_id", "user_id", "customer_id"],
    "session_id": ["session_id", "user_session", "session", "visit_id"],
    "user_id": ["user_id", "customer_id", "account_id"],
    "page_url": ["page_url", "url", "page", "location", "href"],
    "referrer": ["referrer", "referer", "page_referrer"],
    "search_term": ["search_term", "query", "keyword", "q"],
    "campaign": ["campaign", "utm_campaign"],
    "currency": ["currency", "currency_code"],
    "order_id": ["order_id", "transaction_id", "order_number"],
    "device.country": ["country", "country_code", "geo_country"],
    "device.os": ["os", "operating_system", "os_name"],
}
ITEM_NAMES = {
    "product_id": ["product_id", "item_id", "sku", "id", "article"],
    "category": ["category", "item_category", "category_code", "type"],
    "price": ["price", "unit_price", "amount", "item_price"],
    "quantity": ["quantity", "qty", "count"],
}
TYPES = {
    "page_view": "page viewed|page view|pageview|page|screen view|screen",
    "search": "search|products searched|search submitted|view search results",
    "product_view": "product viewed|product view|view item|view|product detail|view product|detail",
    "add_to_cart": "add to cart|product added|product added to cart|cart|addtocart|cart add|added to cart",
    "remove_from_cart": "remove from cart|product removed|removefromcart|cart remove|product removed from cart",
    "begin_checkout": "begin checkout|checkout started|checkout|checkout step|start checkout",
    "add_payment_info": "add payment info|payment info entered|payment info submitted|payment",
    "purchase": "purchase|order completed|checkout completed|transaction|order|buy|order placed",
}


class Column(NamedTuple):
    """Values at one path, and in how many events they are."""

    values: list[Any]
    events: int


def propose(values: Iterable[bytes]) -> str:
    """The text of a map for a sample, with a comment on each line; or a comment that names the preset that fits."""
    sample = list(values)
    for preset in maps.presets():
        found = report.examine(sample, EventMap.load(preset))
        if found.events and found.counted + found.skipped >= IS_A_PRESET * found.events and found.counted:
            share = f"{found.counted + found.skipped} of {found.events} events fit"
            return f"# The preset {preset!r} reads this layout: {share}. Use `--map {preset}`.\n"
    events = [event for event in map(_object, sample) if event is not None]
    columns = _columns(events)
    lists = {path.split("/*/")[0] for path in columns if "/*/" in path}
    lines = ["# Proposed by `rtea schema guess`: check each line, then run `rtea schema check`."]
    flat = {path: column for path, column in columns.items() if "/*" not in path}
    for name, names in NAMES.items():
        if not name.startswith("device."):
            lines += _field(name, _best(flat, names, _fits(name)), flat, len(events))
    device = {name: path for name, names in NAMES.items() if (path := _best(flat, names, _fits(name)))}
    lines += ["", "[device]"] + [
        line
        for name, path in device.items()
        if name.startswith("device.")
        for line in _field(name.partition(".")[2], path, flat, len(events))
    ]
    return "\n".join(lines + _items(columns, lists)) + "\n"


def _object(value: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _columns(events: list[dict[str, Any]]) -> dict[str, Column]:
    values: dict[str, list[Any]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for event in events:
        found = list(_leaves(event, ""))
        for path, value in found:
            values[path].append(value)
        counts.update({path for path, _ in found})
    return {path: Column(values[path], counts[path]) for path in values}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if path.count("/") > MOST_STEPS:
        return
    if isinstance(value, dict):
        for name, part in value.items():
            if _can_be_named(name):
                yield from _leaves(part, f"{path}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, f"{path}/*")
    elif value not in (None, ""):
        yield path, value


def _can_be_named(name: str) -> bool:
    """A path cannot name `*`, or what looks like a selection; surrogates are no text."""
    return name != "*" and not name.endswith("]") and not any("\ud800" <= character <= "\udfff" for character in name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


def _best(columns: dict[str, Column], names: list[str], fits: Callable[[Any], bool]) -> str | None:
    """The path whose last name comes first in the list; of equal ones the one in the most events, then the shortest."""
    ranked = []
    for path, column in columns.items():
        parts = [_plain(part) for part in path.split("/")[1:]]
        plain = [parts[-1], "_".join(parts[-2:])]
        rank = min((names.index(name) for name in plain if name in names), default=None)
        if rank is not None and all(map(fits, column.values[:100])):
            ranked.append((rank, -column.events, len(path), path))
    return min(ranked)[-1] if ranked else None


def _fits(field: str) -> Callable[[Any], bool]:
    if field == "event_time":
        return lambda value: time_form(value) is not None
    if field == "currency":
        return lambda value: isinstance(value, str) and re.fullmatch("[A-Z]{3}", value) is not None
    return lambda value: isinstance(value, str | int) and not isinstance(value, bool)


def time_form(value: Any) -> str | None:
    """How a time is written, in the names of a map's `as`; None if it is no time.

    >>> time_form(1_790_000_000), time_form("2026-09-21 14:13:20 UTC"), time_form("blue")
    ('s', 'utc', None)
    """
    date_time = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?"
    if isinstance(value, str) and re.fullmatch(date_time + r"(Z|[+-]\d\d:\d\d)", value):
        return "own"
    if isinstance(value, str) and re.fullmatch(date_time + "( UTC)?", value):
        return "utc"
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    forms = [("s", 1e9, 1e11), ("ms", 1e11, 1e14), ("us", 1e14, 1e17), ("ns", 1e17, 1e20)]
    return next((form for form, least, most in forms if least <= number < most), None)


def _field(name: str, path: str | None, columns: dict[str, Column], events: int) -> list[str]:
    if path is None:
        missing = {"source": ['source = { constant = "website" }  # no field names the source: change it if need be']}
        needed = [f'# {name} = "/..."  # nothing found, but a map needs it: name its path']
        return missing.get(name, needed if name in {"event_type", "event_time", "visitor_id"} else [])
    column = columns[path]
    comment = f"  # in {column.events} of {events} events, for example {_shown(column.values[0])}"
    if name == "event_time":
        return [
            f"event_time = {{ from = {_quoted(path)}, as = {_quoted(time_form(column.values[0]) or 'own')} }}{comment}"
        ]
    if name == "event_type":
        return [f"event_type.from = {_quoted(path)}{comment}", 'event_type.unlisted = "snake_case"', *_types(column)]
    if name == "source":
        return [f"source.from = {_quoted(path)}{comment}", *_sources(column)]
    return [f"{name} = {_quoted(path)}{comment}"]


def _types(column: Column) -> list[str]:
    lines = []
    for value, count in Counter(map(str, column.values)).most_common(50):
        plain = _plain(value).replace("_", " ")
        ours = next((name for name, known in TYPES.items() if plain in known.split("|")), None)
        if ours and ours != value:
            lines.append(f"event_type.values.{_quoted(value)} = {_quoted(ours)}  # {count} events")
    return lines


def _sources(column: Column) -> list[str]:
    lines = []
    for value in sorted(set(map(str, column.values)))[:16]:
        is_app = re.search("app|ios|android|mob|phone", value.lower()) is not None
        if value not in {"mobile", "website"}:
            lines.append(f'source.values.{_quoted(value)} = "{"mobile" if is_app else "website"}"')
    return [*lines, 'source.unlisted = "default"', 'source.default = "website"']


def _items(columns: dict[str, Column], lists: set[str]) -> list[str]:
    """The list of objects with a product and a price, or the event itself if it has both."""
    for place in [*sorted(lists), ""]:
        prefix = f"{place}/*" if place else ""
        inside = {
            path.removeprefix(prefix): column
            for path, column in columns.items()
            if path.startswith(prefix + "/") and "/*" not in path.removeprefix(prefix)
        }
        paths = {name: _best(inside, names, lambda _: True) for name, names in ITEM_NAMES.items()}
        if not (paths["product_id"] and paths["price"]):
            continue
        lines = ["", "[items]", f"each = {_quoted(place)}"]
        for name, path in paths.items():
            if path:
                lines.append(f"{name} = {_quoted(path)}  # for example {_shown(inside[path].values[0])}")
        if not paths["category"]:
            lines.append('category = { constant = "(none)" }  # nothing found')
        return lines
    return []


def _quoted(text: str) -> str:
    """A string of TOML: as in JSON, but TOML knows no surrogates, and escapes one character more."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shown(value: Any) -> str:
    return json.dumps(value)[:60].replace("\x7f", " ")
