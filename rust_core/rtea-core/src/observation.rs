//! What aggregates see of an event: the few fields that are counted, borrowed from its bytes.
//!
//! Made by [`crate::codec::scan`], or from a whole [`Event`]; read by [`crate::aggregate`].

use crate::event::{Event, Source, DEFAULT_CURRENCY};

/// One line of a cart or an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The product's category.
    pub category: &'a str,
    /// Price of one piece in minor units of the currency.
    pub price_minor: i64,
    /// Number of pieces.
    pub quantity: i64,
}

impl Line<'_> {
    /// Revenue in minor units. The schema bounds both factors: the product is below 2^63.
    #[must_use]
    pub fn revenue_minor(&self) -> i64 {
        self.price_minor * self.quantity
    }
}

/// The counted part of one valid event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation<'a> {
    /// Event time, ms since the epoch, UTC.
    pub event_time_ms: i64,
    /// Mobile app or website.
    pub source: Source,
    /// The type, `[a-z][a-z0-9_]{0,63}`.
    pub event_type: &'a str,
    /// The visitor; hashed byte for byte.
    pub visitor_id: &'a str,
    /// Currency of the lines: the event's own, or [`DEFAULT_CURRENCY`].
    pub currency: &'a str,
    /// The order.
    pub order_id: Option<&'a str>,
    /// The items.
    pub lines: Vec<Line<'a>>,
}

impl<'a> Observation<'a> {
    /// An observation with no content, for a scanner to fill.
    #[must_use]
    pub fn blank() -> Self {
        Self {
            event_time_ms: 0,
            source: Source::Mobile,
            event_type: "",
            visitor_id: "",
            currency: DEFAULT_CURRENCY,
            order_id: None,
            lines: Vec::new(),
        }
    }

    /// Copies the counted fields of an event into this observation.
    ///
    /// ```
    /// use rtea_core::{codec, observation::Observation};
    /// let value = br#"{"event_type":"search","source":"mobile","event_time":7,"visitor_id":"v"}"#;
    /// let event = codec::decode(value).unwrap();
    /// assert_eq!(Observation::of(&event).visitor_id, "v");
    /// ```
    #[must_use]
    pub fn of(event: &'a Event<'_>) -> Self {
        let line = |item: &'a crate::event::Item<'_>| Line {
            category: &item.category,
            price_minor: item.price_minor,
            quantity: item.quantity,
        };
        Self {
            event_time_ms: event.event_time_ms,
            source: event.source,
            event_type: &event.event_type,
            visitor_id: &event.visitor_id,
            currency: event.currency.as_deref().unwrap_or(DEFAULT_CURRENCY),
            order_id: event.order_id.as_deref(),
            lines: event.items.iter().map(line).collect(),
        }
    }
}
