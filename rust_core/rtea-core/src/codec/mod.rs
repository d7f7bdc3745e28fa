//! Decodes events from bytes, and encodes them. There is one file for each format; a new format needs one file and one
//! line here.
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

use map::tree::Tree;

use crate::event::Event;
use crate::observation::Observation;
use crate::reject::{Reason, Reject};

/// A format of events. A new one is one file that implements this, and one line in the list below.
///
/// Avro with a schema registry is the next: `claims` would take the zero byte of a registry's prefix.
trait Codec {
    /// The name in options and settings.
    const NAME: &'static str;

    /// Whether a value that begins with this byte is of this format, and of no other.
    fn claims(first: u8) -> bool;

    /// Decodes and validates one event.
    fn decode(value: &[u8]) -> Result<Event<'_>, Reject>;

    /// Fills an observation from an event in a common spelling, without checking others.
    fn scan<'a>(_value: &'a [u8], _found: &mut Observation<'a>) -> Option<()> {
        None
    }

    /// Reads a whole value, for an event map.
    fn whole(value: &[u8]) -> Result<Tree<'_>, Reject>;

    /// Appends one event.
    fn encode(event: &Event<'_>, out: &mut Vec<u8>);
}

/// A format that is written only.
const NOT_READ: Reject = Reject { reason: Reason::WrongType, field: "", expected: "an event in a format that is read" };

macro_rules! formats {
    (
        read: $($(#[$read_doc:meta])* $read:ident = $reader:ty),* ;
        written: $($(#[$written_doc:meta])* $written:ident = $writer:ty),* $(;)?
    ) => {
        /// The formats of events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Format {
            $($(#[$read_doc])* $read,)*
            $($(#[$written_doc])* $written,)*
        }

        impl Format {
            /// Every format.
            pub const ALL: [Self; [$(stringify!($read),)* $(stringify!($written),)*].len()] =
                [$(Self::$read,)* $(Self::$written,)*];

            /// The formats that [`decode`] reads.
            pub const READABLE: [Self; [$(stringify!($read)),*].len()] = [$(Self::$read),*];

            /// The name in options and settings.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$read => <$reader>::NAME,)*
                    $(Self::$written => <$writer>::NAME,)*
                }
            }

            /// The format of a value, by its first byte; the first of the list if none claims it.
            #[inline]
            #[must_use]
            pub fn of(value: &[u8]) -> Self {
                let first = value.first().copied().unwrap_or_default();
                $(
                    if <$reader>::claims(first) {
                        return Self::$read;
                    }
                )*
                Self::ALL[0]
            }

            #[inline]
            fn scan<'a>(self, value: &'a [u8], found: &mut Observation<'a>) -> Option<()> {
                match self {
                    $(Self::$read => <$reader>::scan(value, found),)*
                    $(Self::$written => <$writer>::scan(value, found),)*
                }
            }

            fn decode(self, value: &[u8]) -> Result<Event<'_>, Reject> {
                match self {
                    $(Self::$read => <$reader>::decode(value),)*
                    $(Self::$written => <$writer>::decode(value),)*
                }
            }

            fn whole(self, value: &[u8]) -> Result<Tree<'_>, Reject> {
                match self {
                    $(Self::$read => <$reader>::whole(value),)*
                    $(Self::$written => <$writer>::whole(value),)*
                }
            }
        }

        /// Appends one event to `out` in the given format.
        pub fn encode(event: &Event<'_>, format: Format, out: &mut Vec<u8>) {
            match format {
                $(Format::$read => <$reader>::encode(event, out),)*
                $(Format::$written => <$writer>::encode(event, out),)*
            }
        }
    };
}

formats! {
    read:
        /// A JSON object (RFC 8259).
        Json = json::Json,
        /// A MessagePack array in schema order.
        Msgpack = msgpack::Msgpack;
    written:
        /// A payload of Google Analytics 4's Measurement Protocol.
        Ga4Json = ga4::Ga4Json;
}

impl Format {
    /// The format of that name.
    ///
    /// ```
    /// use rtea_core::codec::Format;
    /// assert_eq!(Format::from_name("msgpack"), Some(Format::Msgpack));
    /// assert_eq!(Format::from_name("xml"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// Length of a schema registry's prefix: a zero byte, then the schema's id in four bytes.
const CONFLUENT_PREFIX_BYTES: usize = 5;

const CONFLUENT: Reject = Reject {
    reason: Reason::ConfluentPrefix,
    field: "",
    expected: "an event without the five bytes of a schema registry before it: use a serializer without a registry",
};

/// Decodes and validates one event of any format that can be read. Linear in the value's length.
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
    decode_as(value, None)
}

/// Decodes an event of one format, or of the format that its first byte shows.
///
/// # Errors
/// As [`decode`].
pub fn decode_as(value: &[u8], format: Option<Format>) -> Result<Event<'_>, Reject> {
    check_frame(value)?;
    format.unwrap_or_else(|| Format::of(value)).decode(value)
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
    scan_as(value, None, found)
}

/// Scans an event of one format, or of the format that its first byte shows.
#[inline]
pub fn scan_as<'a>(value: &'a [u8], format: Option<Format>, found: &mut Observation<'a>) -> bool {
    format.unwrap_or_else(|| Format::of(value)).scan(value, found).is_some()
}
