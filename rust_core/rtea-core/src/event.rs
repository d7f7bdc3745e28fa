//! The event, schema version 1: its fields and what makes it valid.
//!
//! [`crate::codec`] reads events from bytes and refuses what breaks this model; [`crate::fold`]
//! counts them; the generator builds them.

use std::borrow::Cow;

use crate::source::Source;

/// Version of the event schema that this release writes. It reads higher versions like this one, because a newer
/// version may only add optional fields.
pub const SCHEMA_VERSION: u32 = 1;

/// Event types that the schema names. Others are valid and counted under their own name.
pub const KNOWN_TYPES: [&str; 8] = [
    "page_view",
    "search",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "begin_checkout",
    "purchase",
    "add_payment_info",
];

/// The only event type that carries revenue.
pub const PURCHASE: &str = "purchase";

/// Currency of a purchase that names none.
pub const DEFAULT_CURRENCY: &str = "USD";

/// Highest price of one item, in major units.
pub const MAX_PRICE: i64 = 1_000_000_000;

/// Highest price of one item in minor units. Multiplied by [`MAX_QUANTITY`], it is below 2^63 in any currency.
pub const MAX_PRICE_MINOR: i64 = 9_000_000_000_000;

/// Highest quantity of one item.
pub const MAX_QUANTITY: i64 = 1_000_000;

/// Times are in `[0, MAX_TIME_MS)`, 1970 to 9998, so that every table can hold their windows. A time in microseconds is
/// too large, and its dead letter says what was expected.
pub const MAX_TIME_MS: i64 = 253_370_764_800_000;

/// Times in this span, January 1970 to March 1973, are refused: they are probably seconds of the years 1985 to 5138
/// that somebody took for milliseconds.
pub const SECONDS: std::ops::Range<i64> = 500_000_000..100_000_000_000;

/// The device on which the event happened. Every field is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device<'a> {
    /// Operating system.
    pub os: Option<Cow<'a, str>>,
    /// Version of the mobile app.
    pub app_version: Option<Cow<'a, str>>,
    /// Browser of the website's visitor.
    pub browser: Option<Cow<'a, str>>,
    /// Screen size, for example `1920x1080`.
    pub screen: Option<Cow<'a, str>>,
    /// Locale, for example `en-GB`.
    pub locale: Option<Cow<'a, str>>,
    /// Country, ISO 3166-1 alpha-2.
    pub country: Option<Cow<'a, str>>,
}

/// One line of a cart or an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// The product.
    pub product_id: Cow<'a, str>,
    /// The product's category, 1 to 64 characters.
    pub category: Cow<'a, str>,
    /// Price of one piece in minor units of the event's currency ([`minor_digits`]).
    pub price_minor: i64,
    /// Number of pieces, at least 1.
    pub quantity: i64,
}

/// One valid event. Where it can, it borrows from the bytes from which it was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Unique id, 1 to 64 characters. An event without an id is identified by the topic, partition and offset of its
    /// record.
    pub event_id: Option<Cow<'a, str>>,
    /// `[a-z][a-z0-9_]{0,63}`.
    pub event_type: Cow<'a, str>,
    /// Mobile app or website.
    pub source: Source,
    /// Event time, ms since the epoch, UTC.
    pub event_time_ms: i64,
    /// The visitor, 1 to 128 characters; hashed byte for byte.
    pub visitor_id: Cow<'a, str>,
    /// Version of the schema, at least 1.
    pub schema_version: u32,
    /// The session.
    pub session_id: Option<Cow<'a, str>>,
    /// The logged-in user.
    pub user_id: Option<Cow<'a, str>>,
    /// The page.
    pub page_url: Option<Cow<'a, str>>,
    /// Where the visitor came from.
    pub referrer: Option<Cow<'a, str>>,
    /// What was searched for.
    pub search_term: Option<Cow<'a, str>>,
    /// The marketing campaign.
    pub campaign: Option<Cow<'a, str>>,
    /// The device.
    pub device: Option<Device<'a>>,
    /// Items; at least one for a purchase.
    pub items: Vec<Item<'a>>,
    /// ISO 4217 code.
    pub currency: Option<Cow<'a, str>>,
    /// The order.
    pub order_id: Option<Cow<'a, str>>,
}

/// Whether a name matches `[a-z][a-z0-9_]{0,63}`.
///
/// ```
/// use rtea_core::event::is_event_type;
/// assert!(is_event_type("wishlist_add"));
/// assert!(!is_event_type("Wishlist"));
/// assert!(!is_event_type("_x"));
/// ```
#[must_use]
pub fn is_event_type(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}

/// Whether a code has the shape of ISO 4217: three capital letters.
#[must_use]
pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())
}

/// Decimals of a currency's amounts by ISO 4217: none for JPY, three for KWD, two for most and for an unknown code.
///
/// ```
/// use rtea_core::event::minor_digits;
/// assert_eq!(["JPY", "USD", "KWD", "XQZ"].map(minor_digits), [0, 2, 3, 2]);
/// ```
#[must_use]
pub fn minor_digits(currency: &str) -> u32 {
    // The crate compares with one code after the other, and nearly every event has one of these three.
    if matches!(currency, "USD" | "EUR" | "GBP") {
        return 2;
    }
    iso_currency::Currency::from_code(currency).and_then(iso_currency::Currency::exponent).map_or(2, u32::from)
}

impl Event<'_> {
    /// Decimals of the event's prices.
    #[must_use]
    pub fn price_digits(&self) -> u32 {
        minor_digits(self.currency.as_deref().unwrap_or(DEFAULT_CURRENCY))
    }
}
