//! Fault injection: which events are corrupted, and how. It is off by default and then costs nothing.
//!
//! The seed and the number of an event determine whether the event is corrupted, so a repeated run has the same faults.
//! [`crate::feed`] applies them, [`crate::truth`] counts them.

use rtea_core::codec::{self, Format};
use rtea_core::event::Event;

use crate::random::Random;

/// What is wrong with an event. The discriminant is the index in [`Fault::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Sent twice with the same id; both count, unless the job counts orders once.
    Duplicate,
    /// Sent later than the events around it, but within the allowed lateness: it counts.
    Disorder,
    /// Sent after the allowed lateness of its window: it does not count.
    Late,
    /// The event time is far ahead, as if the device's clock were wrong: `future_timestamp`.
    Future,
    /// The value is cut off: `invalid_json` or `invalid_msgpack`.
    CutOff,
    /// The visitor's id is a number: `wrong_type`.
    WrongType,
    /// The visitor's id is not UTF-8: `invalid_utf8`.
    BadUtf8,
    /// There is no visitor's id: `missing_field`.
    MissingField,
    /// Longer than the job accepts: `too_large`.
    Huge,
    /// No bytes: `empty`.
    Empty,
    /// No value, a tombstone: `null_value`.
    Null,
}

impl Fault {
    /// Every fault, by discriminant.
    pub const ALL: [Self; 11] = [
        Self::Duplicate,
        Self::Disorder,
        Self::Late,
        Self::Future,
        Self::CutOff,
        Self::WrongType,
        Self::BadUtf8,
        Self::MissingField,
        Self::Huge,
        Self::Empty,
        Self::Null,
    ];

    const MALFORMED: [Self; 7] =
        [Self::CutOff, Self::WrongType, Self::BadUtf8, Self::MissingField, Self::Huge, Self::Empty, Self::Null];

    /// The name in manifests and record headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Disorder => "disorder",
            Self::Late => "late",
            Self::Future => "future",
            Self::CutOff => "cut_off",
            Self::WrongType => "wrong_type",
            Self::BadUtf8 => "bad_utf8",
            Self::MissingField => "missing_field",
            Self::Huge => "huge",
            Self::Empty => "empty",
            Self::Null => "null",
        }
    }

    /// Whether an event with this fault still counts in the rows of its window.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Duplicate | Self::Disorder)
    }
}

/// The share of events with each fault, and the size of each fault. Shares are 0 to 1. Without `hot_key`, their sum is
/// at most 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Share of [`Fault::Duplicate`].
    pub duplicate: f64,
    /// Share of [`Fault::Disorder`].
    pub disorder: f64,
    /// Share of [`Fault::Late`].
    pub late: f64,
    /// Share of [`Fault::Future`].
    pub future: f64,
    /// Share of malformed events. All their kinds are equally common.
    pub malformed: f64,
    /// Share of the records that have the hot key.
    pub hot_key: f64,
    /// Longest delay of [`Fault::Disorder`], at least 1. Delays are evenly spread up to it.
    pub disorder_ms: i64,
    /// How long after the end of its window [`Fault::Late`] is sent.
    pub late_ms: i64,
    /// How far the event time of [`Fault::Future`] is ahead.
    pub future_ms: i64,
    /// [`Fault::Huge`] is longer than this.
    pub huge_bytes: usize,
    /// Whether the job counts an order once. Then the second copy of a purchase only raises the revision.
    pub orders_once: bool,
}

/// What happens to one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// How long an event with [`Fault::Disorder`] is held back.
    pub delay_ms: i64,
    /// Whether its record has the hot key.
    pub has_hot_key: bool,
    /// Whether the second copy of a purchase only raises the revision.
    pub orders_once: bool,
}

impl Injection {
    /// An event without a fault.
    pub const NONE: Self = Self { fault: None, delay_ms: 0, has_hot_key: false, orders_once: false };
}

impl Faults {
    /// How long after its end a window may still get events or faults.
    #[must_use]
    pub fn hold_ms(&self) -> i64 {
        let disorder = if self.disorder > 0.0 { self.disorder_ms } else { 0 };
        let late = if self.late > 0.0 { self.late_ms } else { 0 };
        disorder.max(late) + 1
    }

    /// Decides what happens to an event of a stream.
    #[must_use]
    pub fn on_event(&self, seed: u64, number: u64) -> Injection {
        let mut random = Random::of(seed ^ 0x6661_756c_7473, number);
        let has_hot_key = random.unit() < self.hot_key;
        let mut place = random.unit();
        let mut falls = |share: f64| {
            let found = (0.0..share).contains(&place);
            place -= share;
            found
        };
        let fault = if falls(self.duplicate) {
            Some(Fault::Duplicate)
        } else if falls(self.disorder) {
            Some(Fault::Disorder)
        } else if falls(self.late) {
            Some(Fault::Late)
        } else if falls(self.future) {
            Some(Fault::Future)
        } else if falls(self.malformed) {
            Some(Fault::MALFORMED[random.below(7) as usize])
        } else {
            None
        };
        let most = u32::try_from(self.disorder_ms).unwrap_or(u32::MAX).max(1);
        Injection { fault, delay_ms: 1 + i64::from(random.below(most)), has_hot_key, orders_once: self.orders_once }
    }

    /// Appends the value of an event with a fault. Returns `false` if the record has no value.
    pub fn write(&self, fault: Fault, mut event: Event<'_>, format: Format, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match fault {
            Fault::Duplicate | Fault::Disorder | Fault::Late => codec::encode(&event, format, out),
            Fault::Future => {
                event.event_time_ms += self.future_ms;
                codec::encode(&event, format, out);
            }
            Fault::CutOff => {
                codec::encode(&event, format, out);
                out.truncate(start + (out.len() - start) / 2);
            }
            Fault::Huge => {
                event.page_url = Some("x".repeat(self.huge_bytes).into());
                codec::encode(&event, format, out);
            }
            Fault::WrongType => write_short(&event, format, Some(&Odd::Number), out),
            Fault::BadUtf8 => write_short(&event, format, Some(&Odd::NotUtf8), out),
            Fault::MissingField => write_short(&event, format, None, out),
            Fault::Empty => {}
            Fault::Null => return false,
        }
        true
    }
}

enum Odd {
    Number,
    NotUtf8,
}

/// Writes only the required fields, with an invalid visitor id or none.
fn write_short(event: &Event<'_>, format: Format, visitor: Option<&Odd>, out: &mut Vec<u8>) {
    let time = event.event_time_ms;
    let event_id = event.event_id.as_deref().unwrap_or_default();
    if format == Format::Msgpack {
        out.push(if visitor.is_some() { 0x95 } else { 0x94 });
        for text in [event_id, &*event.event_type, event.source.name()] {
            // Each is shorter than 256 bytes.
            out.extend([0xd9, u8::try_from(text.len()).unwrap_or(0)]);
            out.extend(text.as_bytes());
        }
        out.push(0xd3);
        out.extend(time.to_be_bytes());
        match visitor {
            Some(Odd::Number) => out.push(7),
            Some(Odd::NotUtf8) => out.extend([0xa2, b'v', 0xff]),
            None => {}
        }
        return;
    }
    let head = format!(
        r#"{{"event_id":"{event_id}","event_type":"{}","source":"{}","event_time":{time}"#,
        event.event_type,
        event.source.name()
    );
    out.extend(head.as_bytes());
    match visitor {
        Some(Odd::Number) => out.extend(br#","visitor_id":7"#),
        Some(Odd::NotUtf8) => out.extend(b",\"visitor_id\":\"v\xff\""),
        None => {}
    }
    out.push(b'}');
}
