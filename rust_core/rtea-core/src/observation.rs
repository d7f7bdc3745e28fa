//! What aggregates see of an event: the few fields that are counted, borrowed from its bytes.
//!
//! Made by [`crate::codec::scan`], or from a whole [`Event`]; read by [`crate::aggregate`].

use crate::event::{Event, DEFAULT_CURRENCY};
use crate::source::Source;

/// One line of a cart or an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The product; `""` in an order of an earlier release's state.
    pub product_id: &'a str,
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

/// What an event says about its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device<'a> {
    /// Nothing.
    Unknown,
    /// Its operating system, perhaps.
    Os(Option<&'a str>),
    /// Its class.
    Class(&'a str),
}

impl<'a> Device<'a> {
    /// The class: `app`, or by the operating system of a browser `phone` or `desktop`; `None` if it is unknown.
    ///
    /// ```
    /// use rtea_core::{observation::Device, source::Source};
    /// assert_eq!(Device::Os(Some("Android 14")).class(Source::WEBSITE), Some("phone"));
    /// assert_eq!(Device::Os(None).class(Source::MOBILE), Some("app"));
    /// assert_eq!(Device::Os(None).class(Source::WEBSITE), None);
    /// ```
    #[must_use]
    pub fn class(self, source: Source) -> Option<&'a str> {
        const PHONES: [&str; 3] = ["android", "ios", "iphone"];
        const DESKTOPS: [&str; 6] = ["windows", "macos", "mac os", "linux", "chrome os", "chromeos"];
        let os = match self {
            Self::Unknown => return None,
            Self::Class(class) => return Some(class),
            Self::Os(_) if source == Source::MOBILE => return Some("app"),
            Self::Os(os) => os?.as_bytes(),
        };
        let is_one_of = |names: &[&str]| {
            names.iter().any(|name| os.get(..name.len()).is_some_and(|os| os.eq_ignore_ascii_case(name.as_bytes())))
        };
        match () {
            () if is_one_of(&PHONES) => Some("phone"),
            () if is_one_of(&DESKTOPS) => Some("desktop"),
            () => None,
        }
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
    /// The session.
    pub session_id: Option<&'a str>,
    /// The marketing campaign.
    pub campaign: Option<&'a str>,
    /// The visitor's country.
    pub country: Option<&'a str>,
    /// The visitor's device.
    pub device: Device<'a>,
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
            source: Source::MOBILE,
            event_type: "",
            visitor_id: "",
            session_id: None,
            campaign: None,
            country: None,
            device: Device::Unknown,
            currency: DEFAULT_CURRENCY,
            order_id: None,
            lines: Vec::new(),
        }
    }

    /// What identifies the session: its id, or the visitor where there is none.
    #[inline]
    #[must_use]
    pub fn session(&self) -> &'a str {
        self.session_id.unwrap_or(self.visitor_id)
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
            product_id: &item.product_id,
            category: &item.category,
            price_minor: item.price_minor,
            quantity: item.quantity,
        };
        let device = event.device.as_ref();
        Self {
            event_time_ms: event.event_time_ms,
            source: event.source,
            event_type: &event.event_type,
            visitor_id: &event.visitor_id,
            session_id: event.session_id.as_deref(),
            campaign: event.campaign.as_deref(),
            country: device.and_then(|device| device.country.as_deref()),
            device: device.map_or(Device::Unknown, |device| Device::Os(device.os.as_deref())),
            currency: event.currency.as_deref().unwrap_or(DEFAULT_CURRENCY),
            order_id: event.order_id.as_deref(),
            lines: event.items.iter().map(line).collect(),
        }
    }
}
