//! The rules of event schema version 1: they turn raw fields into a valid [`Event`] or a [`Reject`].
//!
//! [`RawEvent`] numbers its fields in the order of the MessagePack array. A later version may append fields, but must
//! not move one.

use std::borrow::Cow;

use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use super::raw::{Fields, Fill, FillRows, Scalar, Shape, Token, Values};
use crate::event::{self, Device, Event, Item};
use crate::reject::{Reason, Reject};
use crate::source::Source;

/// The event's fields as found.
#[derive(Default)]
pub(super) struct RawEvent<'a> {
    event_id: Token<'a>,
    event_type: Token<'a>,
    source: Token<'a>,
    event_time: Token<'a>,
    visitor_id: Token<'a>,
    schema_version: Token<'a>,
    session_id: Token<'a>,
    user_id: Token<'a>,
    page_url: Token<'a>,
    referrer: Token<'a>,
    search_term: Token<'a>,
    campaign: Token<'a>,
    currency: Token<'a>,
    order_id: Token<'a>,
    device: RawDevice<'a>,
    device_shape: Shape,
    items: Vec<RawItem<'a>>,
    items_shape: Shape,
    items_are_objects: bool,
}

impl<'de> Fields<'de> for RawEvent<'de> {
    const LEN: usize = 16;

    fn index(key: &[u8]) -> Option<usize> {
        Some(match key {
            b"event_id" => 0,
            b"event_type" => 1,
            b"source" => 2,
            b"event_time" => 3,
            b"visitor_id" => 4,
            b"schema_version" => 5,
            b"session_id" => 6,
            b"user_id" => 7,
            b"page_url" => 8,
            b"referrer" => 9,
            b"search_term" => 10,
            b"campaign" => 11,
            b"device" => 12,
            b"items" => 13,
            b"currency" => 14,
            b"order_id" => 15,
            _ => return None,
        })
    }

    fn read<V: Values<'de>, const ARRAYS: bool>(&mut self, index: usize, values: &mut V) -> Result<(), V::Error> {
        let token = match index {
            0 => &mut self.event_id,
            1 => &mut self.event_type,
            2 => &mut self.source,
            3 => &mut self.event_time,
            4 => &mut self.visitor_id,
            5 => &mut self.schema_version,
            6 => &mut self.session_id,
            7 => &mut self.user_id,
            8 => &mut self.page_url,
            9 => &mut self.referrer,
            10 => &mut self.search_term,
            11 => &mut self.campaign,
            14 => &mut self.currency,
            12 => {
                self.device = RawDevice::default();
                self.device_shape = values.next(Fill::<_, ARRAYS>(&mut self.device))?;
                return Ok(());
            }
            13 => {
                let (rows, all_objects) = (&mut self.items, &mut self.items_are_objects);
                self.items_shape = values.next(FillRows::<_, ARRAYS> { rows, all_objects })?;
                return Ok(());
            }
            _ => &mut self.order_id,
        };
        values.next(Scalar(token))
    }
}

/// The device's fields as found, in [`Device`]'s order.
#[derive(Default)]
struct RawDevice<'a>([Token<'a>; 6]);

impl<'de> Fields<'de> for RawDevice<'de> {
    const LEN: usize = 6;

    fn index(key: &[u8]) -> Option<usize> {
        Some(match key {
            b"os" => 0,
            b"app_version" => 1,
            b"browser" => 2,
            b"screen" => 3,
            b"locale" => 4,
            b"country" => 5,
            _ => return None,
        })
    }

    fn read<V: Values<'de>, const ARRAYS: bool>(&mut self, index: usize, values: &mut V) -> Result<(), V::Error> {
        values.next(Scalar(&mut self.0[index]))
    }
}

/// One item's fields as found, in [`Item`]'s order.
#[derive(Default)]
struct RawItem<'a>([Token<'a>; 4]);

impl<'de> Fields<'de> for RawItem<'de> {
    const LEN: usize = 4;

    fn index(key: &[u8]) -> Option<usize> {
        Some(match key {
            b"product_id" => 0,
            b"category" => 1,
            b"price" => 2,
            b"quantity" => 3,
            _ => return None,
        })
    }

    fn read<V: Values<'de>, const ARRAYS: bool>(&mut self, index: usize, values: &mut V) -> Result<(), V::Error> {
        values.next(Scalar(&mut self.0[index]))
    }
}

const ID_128: &str = "a string of 1 to 128 characters, not all blank";

/// Checks a top-level value.
pub(super) fn validate(shape: Shape, raw: RawEvent<'_>) -> Result<Event<'_>, Reject> {
    if shape != Shape::Found {
        return Err(Reject::whole(Reason::WrongType, "an object (JSON) or an array in schema order (MessagePack)"));
    };
    let event_id = event_id(raw.event_id)?;
    let event_type = event_type(raw.event_type)?;
    let source = source(raw.source)?;
    let event_time_ms = event_time_ms(raw.event_time)?;
    let visitor_id = required_identity(raw.visitor_id, "visitor_id", 128, ID_128)?;
    let schema_version = schema_version(&raw.schema_version)?;
    let currency = currency(raw.currency)?;
    let items = items(raw.items_shape, raw.items_are_objects, raw.items, currency.as_deref())?;
    if items.is_empty() && event_type == event::PURCHASE {
        return Err(Reject::of(Reason::MissingField, "items", "at least one item in a purchase"));
    }
    Ok(Event {
        event_id,
        event_type,
        source,
        event_time_ms,
        visitor_id,
        schema_version,
        session_id: optional_identity(raw.session_id, "session_id")?,
        user_id: optional_identity(raw.user_id, "user_id")?,
        page_url: optional_text(raw.page_url, "page_url")?,
        referrer: optional_text(raw.referrer, "referrer")?,
        search_term: optional_text(raw.search_term, "search_term")?,
        campaign: optional_text(raw.campaign, "campaign")?,
        device: device(raw.device_shape, raw.device)?,
        items,
        currency,
        order_id: optional_identity(raw.order_id, "order_id")?,
    })
}

fn text<'a>(token: Token<'a>, field: &'static str, expected: &'static str) -> Result<Option<Cow<'a, str>>, Reject> {
    match token {
        Token::Text(text) => Ok(Some(text)),
        Token::Absent => Ok(None),
        Token::BadText => Err(Reject::of(Reason::InvalidUtf8, field, "a UTF-8 string")),
        _ => Err(Reject::of(Reason::WrongType, field, expected)),
    }
}

fn optional_text<'a>(token: Token<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Reject> {
    text(token, field, "a string")
}

/// Refuses a blank id: it would make many visitors, sessions or orders count as one.
fn not_blank(id: &str, field: &'static str, expected: &'static str) -> Result<(), Reject> {
    if id.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        return Err(Reject::of(Reason::InvalidValue, field, expected));
    }
    Ok(())
}

fn optional_identity<'a>(token: Token<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Reject> {
    let found = optional_text(token, field)?;
    found.as_deref().map_or(Ok(()), |id| not_blank(id, field, "a string that is not blank, or null"))?;
    Ok(found)
}

fn event_id(token: Token<'_>) -> Result<Option<Cow<'_, str>>, Reject> {
    if token == Token::Absent {
        return Ok(None);
    }
    required_identity(token, "event_id", 64, "a string of 1 to 64 characters, not all blank").map(Some)
}

fn required_identity<'a>(
    token: Token<'a>,
    field: &'static str,
    max_chars: usize,
    expected: &'static str,
) -> Result<Cow<'a, str>, Reject> {
    let found = required_text(token, field, max_chars, expected)?;
    not_blank(&found, field, expected)?;
    Ok(found)
}

fn required_text<'a>(
    token: Token<'a>,
    field: &'static str,
    max_chars: usize,
    expected: &'static str,
) -> Result<Cow<'a, str>, Reject> {
    let found = text(token, field, expected)?.ok_or(Reject::of(Reason::MissingField, field, expected))?;
    // No string has more characters than bytes, so counting characters is rarely needed.
    if found.is_empty() || (found.len() > max_chars && found.chars().count() > max_chars) {
        return Err(Reject::of(Reason::InvalidValue, field, expected));
    }
    Ok(found)
}

fn event_type(token: Token<'_>) -> Result<Cow<'_, str>, Reject> {
    const EXPECTED: &str = "a name matching [a-z][a-z0-9_]{0,63}";
    let found = required_text(token, "event_type", usize::MAX, EXPECTED)?;
    if event::is_event_type(&found) {
        Ok(found)
    } else {
        Err(Reject::of(Reason::InvalidValue, "event_type", EXPECTED))
    }
}

fn source(token: Token<'_>) -> Result<Source, Reject> {
    const EXPECTED: &str = "\"mobile\" or \"website\"";
    let found = required_text(token, "source", usize::MAX, EXPECTED)?;
    Source::own(&found).ok_or(Reject::of(Reason::InvalidValue, "source", EXPECTED))
}

fn event_time_ms(token: Token<'_>) -> Result<i64, Reject> {
    const EXPECTED: &str = "an integer of ms since the epoch, or RFC 3339 like 2026-10-09T08:53:27.920Z";
    let found = match token {
        Token::Text(text) => date_time_ms(&text).ok_or(Reject::of(Reason::InvalidValue, "event_time", EXPECTED)),
        Token::Absent => Err(Reject::of(Reason::MissingField, "event_time", EXPECTED)),
        Token::BadText => Err(Reject::of(Reason::InvalidUtf8, "event_time", "a UTF-8 string")),
        token => whole(&token, "event_time", EXPECTED),
    }?;
    if event::SECONDS.contains(&found) {
        return Err(Reject::of(Reason::InvalidValue, "event_time", "ms since the epoch, but this looks like seconds"));
    }
    if (0..event::MAX_TIME_MS).contains(&found) {
        Ok(found)
    } else {
        Err(Reject::of(Reason::InvalidValue, "event_time", "ms since the epoch, from 1970 to 9998"))
    }
}

/// Reads a time of RFC 3339, in ms. The parser takes more separators between date and time than the RFC allows, so this
/// checks the separator first.
pub(super) fn date_time_ms(text: &str) -> Option<i64> {
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// A whole number in any notation: 2, 2.0 and 2e0 are equal.
fn whole(token: &Token<'_>, field: &'static str, expected: &'static str) -> Result<i64, Reject> {
    // 2^63, the first float beyond the range of i64.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match token {
        Token::Integer(number) => Ok(*number),
        Token::Number(number) if number.fract() != 0.0 => Err(Reject::of(Reason::WrongType, field, expected)),
        #[allow(clippy::cast_possible_truncation)]
        Token::Number(number) if (-BEYOND..BEYOND).contains(number) => Ok(*number as i64),
        Token::Number(_) => Err(Reject::of(Reason::InvalidValue, field, expected)),
        _ => Err(Reject::of(Reason::WrongType, field, expected)),
    }
}

fn schema_version(token: &Token<'_>) -> Result<u32, Reject> {
    const EXPECTED: &str = "an integer of at least 1";
    if *token == Token::Absent {
        return Ok(event::SCHEMA_VERSION);
    }
    let found = whole(token, "schema_version", EXPECTED)?;
    let invalid = Reject::of(Reason::InvalidValue, "schema_version", EXPECTED);
    u32::try_from(found).ok().filter(|version| *version >= 1).ok_or(invalid)
}

fn currency(token: Token<'_>) -> Result<Option<Cow<'_, str>>, Reject> {
    const EXPECTED: &str = "an ISO 4217 code of three capital letters";
    match text(token, "currency", EXPECTED)? {
        Some(code) if !event::is_currency(&code) => Err(Reject::of(Reason::InvalidValue, "currency", EXPECTED)),
        found => Ok(found),
    }
}

fn device<'a>(shape: Shape, found: RawDevice<'a>) -> Result<Option<Device<'a>>, Reject> {
    match shape {
        Shape::Absent => return Ok(None),
        Shape::Wrong => return Err(Reject::of(Reason::WrongType, "device", "an object")),
        Shape::Found => {}
    }
    let RawDevice([os, app_version, browser, screen, locale, country]) = found;
    Ok(Some(Device {
        os: optional_text(os, "device.os")?,
        app_version: optional_text(app_version, "device.app_version")?,
        browser: optional_text(browser, "device.browser")?,
        screen: optional_text(screen, "device.screen")?,
        locale: optional_text(locale, "device.locale")?,
        country: optional_text(country, "device.country")?,
    }))
}

fn items<'a>(
    shape: Shape,
    all_objects: bool,
    rows: Vec<RawItem<'a>>,
    currency: Option<&str>,
) -> Result<Vec<Item<'a>>, Reject> {
    match shape {
        Shape::Absent => Ok(Vec::new()),
        Shape::Found if all_objects && !rows.is_empty() => {
            let digits = event::minor_digits(currency.unwrap_or(event::DEFAULT_CURRENCY));
            rows.into_iter().map(|row| item(row, digits)).collect()
        }
        Shape::Found if all_objects => Ok(Vec::new()),
        Shape::Found | Shape::Wrong => Err(Reject::of(Reason::WrongType, "items", "an array of objects")),
    }
}

fn item(RawItem([product_id, category, price, quantity]): RawItem<'_>, digits: u32) -> Result<Item<'_>, Reject> {
    Ok(Item {
        product_id: required_identity(product_id, "items.product_id", 128, ID_128)?,
        category: required_text(category, "items.category", 64, "a string of 1 to 64 characters")?,
        price_minor: price_minor(&price, digits)?,
        quantity: quantity_of(&quantity)?,
    })
}

const PRICE: &str = "a number from 0 to 10^9 with at most the decimals of its currency (2 of USD, 0 of JPY, 3 of KWD)";

pub(super) const INVALID_PRICE: Reject = Reject { reason: Reason::InvalidValue, field: "items.price", expected: PRICE };

/// A price in minor units. Most decimals have no exact binary form, so a float is accepted if it is at most a few
/// floats away from a whole number of minor units: 19.989999999999998 is 19.99.
fn price_minor(token: &Token<'_>, digits: u32) -> Result<i64, Reject> {
    let invalid = INVALID_PRICE;
    let limited = |minor| if minor <= event::MAX_PRICE_MINOR { Ok(minor) } else { Err(invalid) };
    let unit = 10_i64.pow(digits);
    match token {
        Token::Integer(major) if (0..=event::MAX_PRICE).contains(major) => limited(major * unit),
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        Token::Number(major) if (0.0..=event::MAX_PRICE as f64).contains(major) => {
            let unit = unit as f64;
            let minor = (major * unit).round();
            let is_near = (major - minor / unit).abs() <= 2.0 * f64::EPSILON * major;
            if is_near {
                limited(minor as i64)
            } else {
                Err(invalid)
            }
        }
        Token::Integer(_) | Token::Number(_) => Err(invalid),
        Token::Absent => Err(Reject::of(Reason::MissingField, "items.price", PRICE)),
        _ => Err(Reject::of(Reason::WrongType, "items.price", PRICE)),
    }
}

fn quantity_of(token: &Token<'_>) -> Result<i64, Reject> {
    const EXPECTED: &str = "an integer from 1 to 10^6";
    if *token == Token::Absent {
        return Ok(1);
    }
    let found = whole(token, "items.quantity", EXPECTED)?;
    let invalid = Reject::of(Reason::InvalidValue, "items.quantity", EXPECTED);
    Some(found).filter(|quantity| (1..=event::MAX_QUANTITY).contains(quantity)).ok_or(invalid)
}
