"""Naive readings of the samples of every event map: Python's json and Decimal, written from the layouts' documentation
and
not from the maps.
"""

import json
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from rtea import maps


class Item(NamedTuple):
    """One item: price in minor units."""

    product_id: str
    category: str
    price_minor: int
    quantity: int


class Read(NamedTuple):
    """What is counted of one event."""

    event_type: str
    source: str
    event_time: int
    visitor_id: str
    has_session: bool
    currency: str
    order_id: str | None
    items: tuple[Item, ...]


SKIPPED = "skipped"
DIGITS = {"JPY": 0}


def minor(price: str | float, currency: str) -> int:
    """Minor units of an amount in major units."""
    unit = 10 ** DIGITS.get(currency, 2)
    return int((Decimal(str(price)) * unit).quantize(Decimal(1), ROUND_HALF_UP))


def time_ms(text: str) -> int:
    """A time without offset is in UTC."""
    when = datetime.fromisoformat(text.removesuffix(" UTC").removesuffix("Z").replace(" ", "T"))
    return int(when.replace(tzinfo=timezone.utc).timestamp() * 1000 + 0.5)


def ga4_export(row: Any) -> Read | str:
    """A row of GA4's BigQuery export."""
    name = row["event_name"]
    if name in {"session_start", "scroll"}:
        return SKIPPED
    kind = {"view_item": "product_view", "view_search_results": "search"}.get(name, name)
    parameters = {each["key"]: next(iter(each["value"].values())) for each in row["event_params"]}
    currency = parameters.get("currency", "USD")
    items = tuple(
        Item(
            item["item_id"],
            "(none)" if item["item_category"] == "(not set)" else item["item_category"],
            minor(item.get("price", 0), currency),
            int(item["quantity"]),
        )
        for item in row["items"]
    )
    order = row.get("ecommerce", {}).get("transaction_id")
    source = "website" if row["platform"] == "WEB" else "mobile"
    when = int(row["event_timestamp"]) // 1000
    order = None if order == "(not set)" else order
    return Read(kind, source, when, row["user_pseudo_id"], True, currency, order, items)


SEGMENT = {
    "Product Viewed": "product_view",
    "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart",
    "Checkout Started": "begin_checkout",
    "Payment Info Entered": "add_payment_info",
    "Order Completed": "purchase",
    "Products Searched": "search",
    "Coupon Applied": "coupon_applied",
}


def segment(row: Any) -> Read | str:
    """A message of Segment's Spec."""
    if row["type"] == "identify":
        return SKIPPED
    kind = SEGMENT[row["event"]] if row["type"] == "track" else "page_view"
    properties = row["properties"]
    currency = properties.get("currency", "USD")
    products = properties.get("products", [properties] if "product_id" in properties else [])
    items = tuple(
        Item(
            product["product_id"],
            product.get("category", "(none)"),
            minor(product.get("price", 0), currency),
            product.get("quantity", 1),
        )
        for product in products
    )
    source = "mobile" if "device" in row["context"] else "website"
    order = properties.get("order_id")
    return Read(kind, source, time_ms(row["timestamp"]), row["anonymousId"], False, currency, order, items)


def snowplow(row: Any) -> Read | str:
    """An enriched event of Snowplow."""
    if row["event"] == "page_ping":
        return SKIPPED
    action = next((value["type"] for name, value in row.items() if name.startswith("unstruct_event")), row["event"])
    kind = {"checkout_step": "begin_checkout", "transaction": "purchase"}.get(action, action)
    contexts = {name: value for name, value in row.items() if name.startswith("contexts_")}
    products = next((value for name, value in contexts.items() if "product" in name), [])
    order = next((value[0]["transaction_id"] for name, value in contexts.items() if "transaction" in name), None)
    currency = products[0]["currency"] if products else "USD"
    items = tuple(
        Item(each["id"], each["category"] or "(none)", minor(each["price"], currency), each["quantity"] or 1)
        for each in products
    )
    source = "mobile" if row["platform"] == "mob" else "website"
    when = time_ms(row["derived_tstamp"])
    return Read(kind, source, when, row["domain_userid"], True, currency, order, items)


SHOPIFY = {
    "page_viewed": "page_view",
    "search_submitted": "search",
    "product_viewed": "product_view",
    "product_added_to_cart": "add_to_cart",
    "product_removed_from_cart": "remove_from_cart",
    "checkout_started": "begin_checkout",
    "payment_info_submitted": "add_payment_info",
    "checkout_completed": "purchase",
}


def shopify_pixel(row: Any) -> Read | str:
    """A standard event of a web pixel."""
    data = row["data"]
    if "checkout" in data:
        lines = [(line["variant"], line["quantity"]) for line in data["checkout"]["lineItems"]]
    elif "cartLine" in data:
        lines = [(data["cartLine"]["merchandise"], data["cartLine"]["quantity"])]
    else:
        lines = [(data["productVariant"], 1)] if "productVariant" in data else []
    currency = lines[0][0]["price"]["currencyCode"] if lines else "USD"
    items = tuple(
        Item(
            variant["product"]["id"],
            variant["product"]["type"] or "(none)",
            minor(variant["price"]["amount"], currency),
            quantity,
        )
        for variant, quantity in lines
    )
    order = (data.get("checkout", {}).get("order") or {}).get("id")
    kind = SHOPIFY.get(row["name"], row["name"])
    return Read(kind, "website", time_ms(row["timestamp"]), row["clientId"], False, currency, order, items)


def rees46(row: Any) -> Read | str:
    """A row of the data set."""
    kind = {"view": "product_view", "cart": "add_to_cart"}.get(row["event_type"], row["event_type"])
    item = Item(row["product_id"], row["category_code"] or "(none)", minor(row["price"], "USD"), 1)
    return Read(kind, "website", time_ms(row["event_time"]), row["user_id"], True, "USD", None, (item,))


def rtea(row: Any) -> Read | str:
    """One of our own events."""
    currency = row.get("currency", "USD")
    items = tuple(
        Item(item["product_id"], item["category"], minor(item["price"], currency), item["quantity"])
        for item in row.get("items", [])
    )
    order = row.get("order_id")
    kind, source = row["event_type"], row["source"]
    return Read(kind, source, row["event_time"], row["visitor_id"], True, currency, order, items)


READINGS: dict[str, Callable[[Any], Read | str]] = {
    "ga4-export": ga4_export,
    "rees46": rees46,
    "rtea": rtea,
    "segment": segment,
    "shopify-pixel": shopify_pixel,
    "snowplow": snowplow,
}
"""The naive reading of each preset's layout."""


def sample(preset: str) -> list[bytes]:
    """The values of a preset's sample."""
    return maps.sample(preset).read_bytes().splitlines()


def read(preset: str) -> list[Read | str]:
    """The naive reading of a preset's sample."""
    return [READINGS[preset](json.loads(value)) for value in sample(preset)]
