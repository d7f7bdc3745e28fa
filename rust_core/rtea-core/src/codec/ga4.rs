//! Events as payloads of Google Analytics 4's Measurement Protocol: written only, for other systems to read.
//!
//! The mapping loses nothing: `rtea.ga4` reads a payload back into the same event. Fields have GA4's name if GA4 has
//! one. Our other fields are parameters of the event under their own names.
//!
//! Source: Google, "Measurement Protocol (Google Analytics 4)", protocol and event references.

use super::json::{amount, integer, optional, string};
use super::map::tree::Tree;
use super::{Codec, NOT_READ};
use crate::event::{Device, Event, PURCHASE};
use crate::reject::Reject;

/// GA4's name of an event type: a `product_view` of our schema is a `view_item` there.
///
/// ```
/// use rtea_core::codec::ga4::event_name;
/// assert_eq!(event_name("product_view"), "view_item");
/// assert_eq!(event_name("add_to_cart"), "add_to_cart");
/// ```
#[must_use]
pub fn event_name(event_type: &str) -> &str {
    if event_type == "product_view" {
        "view_item"
    } else {
        event_type
    }
}

/// The format of the Measurement Protocol.
pub(super) struct Ga4Json;

impl Codec for Ga4Json {
    const NAME: &'static str = "ga4-json";

    fn claims(_: u8) -> bool {
        false
    }

    fn decode(_: &[u8]) -> Result<Event<'_>, Reject> {
        Err(NOT_READ)
    }

    fn whole(_: &[u8]) -> Result<Tree<'_>, Reject> {
        Err(NOT_READ)
    }

    fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
        encode(event, out);
    }
}

/// Appends one payload: a JSON object with one event.
fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"client_id\":");
    string(&event.visitor_id, out);
    optional(b",\"user_id\":", event.user_id.as_deref(), out);
    out.extend_from_slice(b",\"timestamp_micros\":");
    integer(event.event_time_ms.saturating_mul(1000), out);
    if let Some(device) = &event.device {
        write_device(device, out);
    }
    out.extend_from_slice(b",\"events\":[{\"name\":");
    string(event_name(&event.event_type), out);
    out.extend_from_slice(b",\"params\":{");
    if let Some(event_id) = &event.event_id {
        out.extend_from_slice(b"\"event_id\":");
        string(event_id, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"source\":");
    string(event.source.name(), out);
    out.extend_from_slice(b",\"schema_version\":");
    integer(i64::from(event.schema_version), out);
    optional(b",\"session_id\":", event.session_id.as_deref(), out);
    optional(b",\"page_location\":", event.page_url.as_deref(), out);
    optional(b",\"page_referrer\":", event.referrer.as_deref(), out);
    optional(b",\"search_term\":", event.search_term.as_deref(), out);
    optional(b",\"campaign\":", event.campaign.as_deref(), out);
    optional(b",\"app_version\":", event.device.as_ref().and_then(|device| device.app_version.as_deref()), out);
    optional(b",\"currency\":", event.currency.as_deref(), out);
    optional(b",\"transaction_id\":", event.order_id.as_deref(), out);
    write_items(event, out);
    out.extend_from_slice(b"}}]}");
}

fn write_device(device: &Device<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"device\":{");
    let start = out.len();
    optional(b",\"operating_system\":", device.os.as_deref(), out);
    optional(b",\"browser\":", device.browser.as_deref(), out);
    optional(b",\"screen_resolution\":", device.screen.as_deref(), out);
    optional(b",\"language\":", device.locale.as_deref(), out);
    if out.len() > start {
        out.remove(start);
    }
    out.push(b'}');
    if let Some(country) = &device.country {
        out.extend_from_slice(b",\"user_location\":{\"country_id\":");
        string(country, out);
        out.push(b'}');
    }
}

fn write_items(event: &Event<'_>, out: &mut Vec<u8>) {
    if event.event_type == PURCHASE {
        let total = event.items.iter().map(|item| item.price_minor.saturating_mul(item.quantity));
        out.extend_from_slice(b",\"value\":");
        amount(total.fold(0, i64::saturating_add), event.price_digits(), out);
    }
    if event.items.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"items\":[");
    for (index, item) in event.items.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{\"item_id\":" } else { b"{\"item_id\":" });
        string(&item.product_id, out);
        out.extend_from_slice(b",\"item_category\":");
        string(&item.category, out);
        out.extend_from_slice(b",\"price\":");
        amount(item.price_minor, event.price_digits(), out);
        out.extend_from_slice(b",\"quantity\":");
        integer(item.quantity, out);
        out.push(b'}');
    }
    out.push(b']');
}
