//! Decodes events from bytes, and encodes them. There is one file for each format; a new format needs one file and one
//! arm here.
//!
//! Values come from Kafka records (through [`crate::pack`]) or from Python's `rtea.events`. Events go to
//! [`crate::fold`]. All formats that can be read share the lenient reader in `raw` and the checks in `rules`, so the
//! same events are valid in each of them.

mod fields;
pub mod ga4;
pub mod json;
pub mod map;
pub mod msgpack;
mod raw;
mod rules;
mod scan;

use crate::event::Event;
use crate::observation::Observation;
use crate::reject::{Reason, Reject};

/// The formats of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object (RFC 8259).
    Json,
    /// A MessagePack array in schema order.
    Msgpack,
    /// A payload of Google Analytics 4's Measurement Protocol; written only.
    Ga4Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Json, Self::Msgpack, Self::Ga4Json];

    /// The formats that [`decode`] reads.
    pub const READABLE: [Self; 2] = [Self::Json, Self::Msgpack];

    /// The name in options and settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
            Self::Ga4Json => "ga4-json",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format of a value. The first byte shows it: no JSON text starts with the marker of a MessagePack array or
    /// map.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        match value.first() {
            Some(0x80..=0x9f | 0xdc..=0xdf) => Self::Msgpack,
            _ => Self::Json,
        }
    }
}

/// Length of a schema registry's prefix: a zero byte, then the schema's id in four bytes.
const CONFLUENT_PREFIX_BYTES: usize = 5;

const CONFLUENT: Reject = Reject {
    reason: Reason::ConfluentPrefix,
    field: "",
    expected: "an event without the five bytes of a schema registry before it: use a serializer without a registry",
};

/// Decodes and validates one event of either format. Linear in the value's length.
///
/// # Errors
/// The [`Reject`] that names the first thing wrong with it.
///
/// ```
/// let event = rtea_core::codec::decode(
///     br#"{"event_id":"e1","event_type":"page_view","source":"mobile","event_time":7,"visitor_id":"v"}"#,
/// ).unwrap();
/// assert_eq!(event.event_time_ms, 7);
/// ```
pub fn decode(value: &[u8]) -> Result<Event<'_>, Reject> {
    check_frame(value)?;
    match Format::of(value) {
        Format::Msgpack => msgpack::decode(value),
        Format::Json | Format::Ga4Json => json::decode(value),
    }
}

/// Refuses a value that cannot be an event of any format.
fn check_frame(value: &[u8]) -> Result<(), Reject> {
    match value {
        [] => Err(Reject::whole(Reason::Empty, "a JSON object or a MessagePack array")),
        [0, rest @ ..] if rest.len() >= CONFLUENT_PREFIX_BYTES => Err(CONFLUENT),
        _ => Ok(()),
    }
}

/// Fills an observation from an event in a common spelling, several times as fast as [`decode`]. Returns whether it
/// succeeded. If it did not, call [`decode`] instead and do not use the observation.
///
/// ```
/// use rtea_core::{codec, observation::Observation};
/// let event = br#"{"event_type":"search","source":"mobile","event_time":7,"visitor_id":"v"}"#;
/// let mut found = Observation::blank();
/// assert!(codec::scan(event, &mut found));
/// assert_eq!(found, Observation::of(&codec::decode(event).unwrap()));
/// ```
pub fn scan<'a>(value: &'a [u8], found: &mut Observation<'a>) -> bool {
    scan::scan(value, found).is_some()
}

/// Appends one event to `out` in the given format.
pub fn encode(event: &Event<'_>, format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Json => json::encode(event, out),
        Format::Msgpack => msgpack::encode(event, out),
        Format::Ga4Json => ga4::encode(event, out),
    }
}
