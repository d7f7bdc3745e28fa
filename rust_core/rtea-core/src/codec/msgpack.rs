//! Events as MessagePack arrays in schema order, read and written with rmp.
//!
//! The reader also accepts maps with the schema's names, arrays that end early, and arrays with more elements from a
//! newer version.

use rmp::encode as write;
use rmp_serde::decode::{Deserializer, Error, ReadRefReader};
use serde::de::{Deserialize, DeserializeSeed};

use super::fields::RawEvent;
use super::map::tree::Tree;
use super::raw::Fill;
use super::{rules, scan, Codec};
use crate::event::{Device, Event, Item};
use crate::observation::Observation;
use crate::reject::{Reason, Reject};

/// The format of MessagePack.
pub(super) struct Msgpack;

impl Codec for Msgpack {
    const NAME: &'static str = "msgpack";

    /// The markers of arrays and maps: no JSON text starts with one.
    fn claims(first: u8) -> bool {
        matches!(first, 0x80..=0x9f | 0xdc..=0xdf)
    }

    fn decode(value: &[u8]) -> Result<Event<'_>, Reject> {
        decode(value)
    }

    #[inline]
    fn scan<'a>(value: &'a [u8], found: &mut Observation<'a>) -> Option<()> {
        scan::msgpack::scan(value, found)
    }

    fn whole(value: &[u8]) -> Result<Tree<'_>, Reject> {
        whole(value)
    }

    fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
        encode(event, out);
    }
}

/// Decodes and validates one MessagePack value.
///
/// # Errors
/// The [`Reject`] that names the first thing wrong with it.
fn decode(value: &[u8]) -> Result<Event<'_>, Reject> {
    let mut reader = Deserializer::from_read_ref(value);
    let mut raw = RawEvent::default();
    let shape = Fill::<_, true>(&mut raw).deserialize(&mut reader).map_err(|_| INVALID)?;
    end(&mut reader)?;
    rules::validate(shape, raw)
}

const INVALID: Reject =
    Reject { reason: Reason::InvalidMsgpack, field: "", expected: "one complete MessagePack value" };

/// Checks that nothing follows. Tries to read only the first byte of another value: even an incomplete second value is
/// refused.
fn end<'de>(reader: &mut Deserializer<ReadRefReader<'de, [u8]>>) -> Result<(), Reject> {
    match <()>::deserialize(reader) {
        Err(Error::InvalidMarkerRead(_)) => Ok(()),
        _ => Err(INVALID),
    }
}

/// Reads a whole MessagePack value, for an event map.
fn whole(value: &[u8]) -> Result<Tree<'_>, Reject> {
    let mut reader = Deserializer::from_read_ref(value);
    let tree = Tree::deserialize(&mut reader).map_err(|_| INVALID)?;
    end(&mut reader).map(|()| tree)
}

/// Appends one event as an array of 16 elements; absent fields are nil.
fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
    array(16, out);
    optional(event.event_id.as_deref(), out);
    text(&event.event_type, out);
    text(event.source.name(), out);
    integer(event.event_time_ms, out);
    text(&event.visitor_id, out);
    integer(i64::from(event.schema_version), out);
    optional(event.session_id.as_deref(), out);
    optional(event.user_id.as_deref(), out);
    optional(event.page_url.as_deref(), out);
    optional(event.referrer.as_deref(), out);
    optional(event.search_term.as_deref(), out);
    optional(event.campaign.as_deref(), out);
    match &event.device {
        Some(found) => device(found, out),
        None => nil(out),
    }
    if event.items.is_empty() {
        nil(out);
    } else {
        array(event.items.len(), out);
        let unit = 10_f64.powi(event.price_digits().cast_signed());
        event.items.iter().for_each(|found| item(found, unit, out));
    }
    optional(event.currency.as_deref(), out);
    optional(event.order_id.as_deref(), out);
}

fn device(device: &Device<'_>, out: &mut Vec<u8>) {
    array(6, out);
    optional(device.os.as_deref(), out);
    optional(device.app_version.as_deref(), out);
    optional(device.browser.as_deref(), out);
    optional(device.screen.as_deref(), out);
    optional(device.locale.as_deref(), out);
    optional(device.country.as_deref(), out);
}

fn item(item: &Item<'_>, unit: f64, out: &mut Vec<u8>) {
    array(4, out);
    text(&item.product_id, out);
    text(&item.category, out);
    #[allow(clippy::cast_precision_loss)]
    let price = item.price_minor as f64 / unit;
    let Ok(()) = write::write_f64(out, price) else { unreachable!("a vector takes every write") };
    integer(item.quantity, out);
}

// Writing to a vector cannot fail; these wrappers say so once.

fn array(len: usize, out: &mut Vec<u8>) {
    let Ok(_) = write::write_array_len(out, u32::try_from(len).unwrap_or(u32::MAX)) else { unreachable!() };
}

fn text(value: &str, out: &mut Vec<u8>) {
    let Ok(()) = write::write_str(out, value) else { unreachable!() };
}

fn optional(value: Option<&str>, out: &mut Vec<u8>) {
    match value {
        Some(value) => text(value, out),
        None => nil(out),
    }
}

fn integer(value: i64, out: &mut Vec<u8>) {
    let Ok(_) = write::write_sint(out, value) else { unreachable!() };
}

fn nil(out: &mut Vec<u8>) {
    let Ok(()) = write::write_nil(out) else { unreachable!() };
}
