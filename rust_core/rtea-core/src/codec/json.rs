//! Events as JSON objects: sonic-rs reads them, and our own code writes them in schema order.

use serde::de::{Deserialize, DeserializeSeed};
use sonic_rs::Deserializer;

use super::fields::RawEvent;
use super::map::tree::Tree;
use super::raw::Fill;
use super::{rules, scan, Codec};
use crate::event::{Device, Event, Item};
use crate::observation::Observation;
use crate::reject::{Reason, Reject};

/// The format of JSON.
pub(super) struct Json;

impl Codec for Json {
    const NAME: &'static str = "json";

    /// It is the first of the list: what no other format claims is read as JSON.
    fn claims(_: u8) -> bool {
        false
    }

    fn decode(value: &[u8]) -> Result<Event<'_>, Reject> {
        decode(value)
    }

    #[inline]
    fn scan<'a>(value: &'a [u8], found: &mut Observation<'a>) -> Option<()> {
        scan::json::scan(std::str::from_utf8(value).ok()?, found)
    }

    fn whole(value: &[u8]) -> Result<Tree<'_>, Reject> {
        whole(value)
    }

    fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
        encode(event, out);
    }
}

/// Decodes and validates one JSON object. If a key is repeated, the last value counts, as in Python's `json`. Nesting
/// deeper than 128 levels is `invalid_json`.
///
/// # Errors
/// The [`Reject`] that names the first thing wrong with it.
fn decode(value: &[u8]) -> Result<Event<'_>, Reject> {
    let text = text(value)?;
    let mut reader = Deserializer::from_str(text);
    let mut raw = RawEvent::default();
    let shape = Fill::<_, false>(&mut raw).deserialize(&mut reader);
    match shape.and_then(|shape| reader.end().map(|()| shape)) {
        Ok(shape) => rules::validate(shape, raw).and_then(|event| {
            let has_zero = event.items.iter().any(|item| item.price_minor == 0);
            if has_zero && has_vanishing_price(text) {
                Err(rules::INVALID_PRICE)
            } else {
                Ok(event)
            }
        }),
        Err(_) => Err(INVALID),
    }
}

const INVALID: Reject = Reject { reason: Reason::InvalidJson, field: "", expected: "one complete JSON object" };

fn text(value: &[u8]) -> Result<&str, Reject> {
    let text = std::str::from_utf8(value).map_err(|_| Reject::whole(Reason::InvalidUtf8, "UTF-8 text"))?;
    if is_too_deep(value) {
        return Err(Reject::whole(Reason::InvalidJson, "nesting of at most 128 levels"));
    }
    Ok(text)
}

/// Reads a whole JSON text, for an event map.
fn whole(value: &[u8]) -> Result<Tree<'_>, Reject> {
    let mut reader = Deserializer::from_str(text(value)?);
    let tree = Tree::deserialize(&mut reader);
    tree.and_then(|tree| reader.end().map(|()| tree)).map_err(|_| INVALID)
}

/// Whether a price is zero only because the written number is too small for a float, like 1e-400.
fn has_vanishing_price(text: &str) -> bool {
    let Some(items) = field(text, "items") else { return false };
    sonic_rs::to_array_iter(&items).filter_map(Result::ok).filter_map(|item| field(item.as_raw_str(), "price")).any(
        |price| {
            let digits = price.split(['e', 'E']).next().unwrap_or_default();
            price.parse() == Ok(0.0) && digits.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
        },
    )
}

/// The text of an object's field. If the name is repeated, the text of the last one.
fn field(object: &str, key: &str) -> Option<String> {
    let named = sonic_rs::to_object_iter(object).filter_map(Result::ok).filter(|(name, _)| name == key);
    named.last().map(|(_, value)| value.as_raw_str().to_owned())
}

const MAX_DEPTH: usize = 128;

/// Whether a text nests deeper than [`MAX_DEPTH`]. sonic-rs skips unknown values by recursion without a limit: ten
/// thousand brackets would overflow the stack and crash the process.
fn is_too_deep(text: &[u8]) -> bool {
    // `[` and `{` differ in one bit. A text with few of them cannot nest deeply, and nearly every event has few.
    let openers = text.iter().filter(|byte| (**byte | 0x20) == b'{').count();
    openers > MAX_DEPTH && depth(text) > MAX_DEPTH
}

fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Appends one JSON object, with its fields in schema order. Absent fields are left out. Prices have the decimals of
/// their currency.
fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    if let Some(event_id) = &event.event_id {
        out.extend_from_slice(b"\"event_id\":");
        string(event_id, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"event_type\":");
    string(&event.event_type, out);
    out.extend_from_slice(b",\"source\":");
    string(event.source.name(), out);
    out.extend_from_slice(b",\"event_time\":");
    integer(event.event_time_ms, out);
    out.extend_from_slice(b",\"visitor_id\":");
    string(&event.visitor_id, out);
    out.extend_from_slice(b",\"schema_version\":");
    integer(i64::from(event.schema_version), out);
    optional(b",\"session_id\":", event.session_id.as_deref(), out);
    optional(b",\"user_id\":", event.user_id.as_deref(), out);
    optional(b",\"page_url\":", event.page_url.as_deref(), out);
    optional(b",\"referrer\":", event.referrer.as_deref(), out);
    optional(b",\"search_term\":", event.search_term.as_deref(), out);
    optional(b",\"campaign\":", event.campaign.as_deref(), out);
    if let Some(device) = &event.device {
        device_object(device, out);
    }
    if !event.items.is_empty() {
        let digits = event.price_digits();
        out.extend_from_slice(b",\"items\":[");
        for (index, item) in event.items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item_object(item, digits, out);
        }
        out.push(b']');
    }
    optional(b",\"currency\":", event.currency.as_deref(), out);
    optional(b",\"order_id\":", event.order_id.as_deref(), out);
    out.push(b'}');
}

fn device_object(device: &Device<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"device\":{");
    let start = out.len();
    optional(b",\"os\":", device.os.as_deref(), out);
    optional(b",\"app_version\":", device.app_version.as_deref(), out);
    optional(b",\"browser\":", device.browser.as_deref(), out);
    optional(b",\"screen\":", device.screen.as_deref(), out);
    optional(b",\"locale\":", device.locale.as_deref(), out);
    optional(b",\"country\":", device.country.as_deref(), out);
    if out.len() > start {
        out.remove(start);
    }
    out.push(b'}');
}

fn item_object(item: &Item<'_>, digits: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"product_id\":");
    string(&item.product_id, out);
    out.extend_from_slice(b",\"category\":");
    string(&item.category, out);
    out.extend_from_slice(b",\"price\":");
    amount(item.price_minor, digits, out);
    out.extend_from_slice(b",\"quantity\":");
    integer(item.quantity, out);
    out.push(b'}');
}

/// Appends an amount of minor units as major units, with that many decimals.
pub(super) fn amount(minor: i64, digits: u32, out: &mut Vec<u8>) {
    let mut unit = 10_i64.pow(digits);
    integer(minor / unit, out);
    let mut rest = minor % unit;
    if digits > 0 {
        out.push(b'.');
    }
    while unit > 1 {
        unit /= 10;
        out.push(b'0' + u8::try_from(rest / unit).unwrap_or(0));
        rest %= unit;
    }
}

pub(super) fn integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(super) fn optional(key: &[u8], value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(key);
        string(value, out);
    }
}

/// Appends a JSON string. Only `"`, `\` and control characters need an escape (RFC 8259, 7).
pub(super) fn string(value: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = value.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    // Without an early exit, the compiler can check many bytes at once. Nearly no string needs an escape.
    if !bytes.iter().fold(false, |odd, byte| odd | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\')) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut done = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[done..index]);
        done = index + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}
