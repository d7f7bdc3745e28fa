//! Why an event was refused. A malformed event is data, not an error: it goes to the dead letter topic.
//!
//! [`crate::codec`] and [`crate::fold`] make rejects. [`crate::letter`] writes them as dead letters.

/// The reason code of a dead letter. The codes are part of the topic's contract: do not rename them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The record has no value (a Kafka tombstone).
    NullValue,
    /// The value has no bytes.
    Empty,
    /// The value is longer than `max_event_bytes`.
    TooLarge,
    /// A string, or the JSON text itself, is not UTF-8.
    InvalidUtf8,
    /// The bytes of a schema registry's serializer come before the event.
    ConfluentPrefix,
    /// Not one complete JSON text.
    InvalidJson,
    /// Not one complete MessagePack value.
    InvalidMsgpack,
    /// A required field is absent or null.
    MissingField,
    /// A field has another type than in the schema.
    WrongType,
    /// A field's value is outside the schema's range or pattern.
    InvalidValue,
    /// `event_time` was ahead of the clock by more than `max_skew_ms`.
    FutureTimestamp,
    /// The event came after the allowed lateness of its window.
    Late,
    /// The decoder panicked. This is a bug of ours, and the other records of the batch still count.
    InternalError,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 13] = [
        Self::NullValue,
        Self::Empty,
        Self::TooLarge,
        Self::InvalidUtf8,
        Self::ConfluentPrefix,
        Self::InvalidJson,
        Self::InvalidMsgpack,
        Self::MissingField,
        Self::WrongType,
        Self::InvalidValue,
        Self::FutureTimestamp,
        Self::Late,
        Self::InternalError,
    ];

    /// The code as dead letters spell it.
    ///
    /// ```
    /// assert_eq!(rtea_core::reject::Reason::MissingField.code(), "missing_field");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NullValue => "null_value",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::ConfluentPrefix => "confluent_prefix",
            Self::InvalidJson => "invalid_json",
            Self::InvalidMsgpack => "invalid_msgpack",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::InvalidValue => "invalid_value",
            Self::FutureTimestamp => "future_timestamp",
            Self::Late => "late",
            Self::InternalError => "internal_error",
        }
    }
}

/// One refused event: the reason, the field it concerns (`""` for the whole value) and what the
/// schema expects there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The reason code.
    pub reason: Reason,
    /// Dotted name of the field, for example `items.price`; `""` for the event as a whole.
    pub field: &'static str,
    /// What was expected, in words.
    pub expected: &'static str,
}

impl Reject {
    /// A reject of the event as a whole.
    #[must_use]
    pub fn whole(reason: Reason, expected: &'static str) -> Self {
        Self { reason, field: "", expected }
    }

    /// A reject that one field caused.
    #[must_use]
    pub fn of(reason: Reason, field: &'static str, expected: &'static str) -> Self {
        Self { reason, field, expected }
    }
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.field.is_empty() { "event" } else { self.field };
        write!(f, "{}: {}: expected {}", self.reason.code(), place, self.expected)
    }
}

impl std::error::Error for Reject {}
