//! The rules of event schema version 1: they turn raw fields into a valid [`Event`] or a [`Reject`].

use std::borrow::Cow;

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

use super::fields::{RawDevice, RawEvent, RawItem};
use super::raw::{Shape, Token};
use crate::event::{self, Device, Event, Item};
use crate::reject::{Reason, Reject};
use crate::source::Source;

const ID_128: &str = "a string of 1 to 128 characters, not all blank";

/// Which names of sources are valid, and what is expected of them.
#[derive(Clone, Copy)]
pub(super) struct Sources<'s> {
    pub(super) named: &'s dyn Fn(&str) -> Option<Source>,
    pub(super) expected: &'static str,
}

/// The sources of our own events.
const OWN: Sources<'static> = Sources { named: &|name| Source::own(name), expected: "\"mobile\" or \"website\"" };

/// Checks a top-level value.
pub(super) fn validate(shape: Shape, raw: RawEvent<'_>) -> Result<Event<'_>, Reject> {
    if shape != Shape::Found {
        return Err(Reject::whole(Reason::WrongType, "an object (JSON) or an array in schema order (MessagePack)"));
    };
    check(raw, OWN)
}

/// Checks the fields of an event.
pub(super) fn check<'a>(raw: RawEvent<'a>, sources: Sources<'_>) -> Result<Event<'a>, Reject> {
    let RawEvent { scalars, device: raw_device, device_shape, items: raw_items, items_shape, items_are_objects } = raw;
    let [event_id, event_type, source, event_time, visitor_id, schema_version, session_id, user_id, page_url, referrer, search_term, campaign, _, _, currency, order_id] =
        scalars;
    let event_id = self::event_id(event_id)?;
    let event_type = self::event_type(event_type)?;
    let source = self::source(source, sources)?;
    let event_time_ms = event_time_ms(event_time)?;
    let visitor_id = required_identity(visitor_id, "visitor_id", 128, ID_128)?;
    let schema_version = self::schema_version(&schema_version)?;
    let currency = self::currency(currency)?;
    let items = items(items_shape, items_are_objects, raw_items, currency.as_deref())?;
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
        session_id: optional_identity(session_id, "session_id")?,
        user_id: optional_identity(user_id, "user_id")?,
        page_url: optional_text(page_url, "page_url")?,
        referrer: optional_text(referrer, "referrer")?,
        search_term: optional_text(search_term, "search_term")?,
        campaign: optional_text(campaign, "campaign")?,
        device: device(device_shape, raw_device)?,
        items,
        currency,
        order_id: optional_identity(order_id, "order_id")?,
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

fn source(token: Token<'_>, sources: Sources<'_>) -> Result<Source, Reject> {
    let found = required_text(token, "source", usize::MAX, sources.expected)?;
    (sources.named)(&found).ok_or(Reject::of(Reason::InvalidValue, "source", sources.expected))
}

pub(super) fn event_time_ms(token: Token<'_>) -> Result<i64, Reject> {
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
    if let Some(time_ms) = common_date_time_ms(text.as_bytes()) {
        return Some(time_ms);
    }
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// The spelling of most producers, `2026-10-09T08:53:27.920Z`, perhaps without a fraction. The law, below:
/// what it accepts, the general parser accepts with the same time.
fn common_date_time_ms(text: &[u8]) -> Option<i64> {
    let (time, ms) = match text.len() {
        20 => (text, 0),
        24 if text[19] == b'.' => (text, digits(&text[20..23])?),
        _ => return None,
    };
    if [time[4], time[7], time[10], time[13], time[16], text[text.len() - 1]] != *b"--T::Z" {
        return None;
    }
    let month = Month::try_from(u8::try_from(digits(&time[5..7])?).ok()?).ok()?;
    let day = u8::try_from(digits(&time[8..10])?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(digits(&time[..4])?).ok()?, month, day).ok()?;
    let (hour, minute, second) = (digits(&time[11..13])?, digits(&time[14..16])?, digits(&time[17..19])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = i64::from(date.to_julian_day() - UNIX_EPOCH_JULIAN_DAY);
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + ms)
}

const UNIX_EPOCH_JULIAN_DAY: i32 = 2_440_588;

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
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
pub(super) fn price_minor(token: &Token<'_>, digits: u32) -> Result<i64, Reject> {
    let invalid = INVALID_PRICE;
    let limited = |minor| if minor <= event::MAX_PRICE_MINOR { Ok(minor) } else { Err(invalid) };
    let unit = 10_i64.pow(digits);
    match token {
        Token::Minor(minor) if *minor >= 0 => limited(*minor),
        Token::Integer(major) if (0..=event::MAX_PRICE).contains(major) => limited(major * unit),
        Token::Number(major) => minor_units(*major, unit).map_or(Err(invalid), limited),
        Token::Integer(_) | Token::Minor(_) => Err(invalid),
        Token::Absent => Err(Reject::of(Reason::MissingField, "items.price", PRICE)),
        _ => Err(Reject::of(Reason::WrongType, "items.price", PRICE)),
    }
}

/// Minor units of a price, if it is a few floats away from a whole number of them.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(super) fn minor_units(major: f64, unit: i64) -> Option<i64> {
    if !(0.0..=event::MAX_PRICE as f64).contains(&major) {
        return None;
    }
    let minor = (major * unit as f64).round();
    let is_near = (major - minor / unit as f64).abs() <= 2.0 * f64::EPSILON * major;
    is_near.then_some(minor as i64)
}

pub(super) fn quantity_of(token: &Token<'_>) -> Result<i64, Reject> {
    const EXPECTED: &str = "an integer from 1 to 10^6";
    if *token == Token::Absent {
        return Ok(1);
    }
    let found = whole(token, "items.quantity", EXPECTED)?;
    let invalid = Reject::of(Reason::InvalidValue, "items.quantity", EXPECTED);
    Some(found).filter(|quantity| (1..=event::MAX_QUANTITY).contains(quantity)).ok_or(invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_the_general_parser(text: &str) -> Option<i64> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
    }

    proptest! {
        #[test]
        fn the_common_spelling_of_a_time_is_read_as_the_general_parser_reads_it(
            (year, month, day) in (0..10_000_u32, 0..14_u32, 0..33_u32),
            (hour, minute, second, ms) in (0..26_u32, 0..62_u32, 0..62_u32, 0..1_000_u32),
            (place, byte) in (0..24_usize, any::<u8>()),
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z");
            let without_fraction = format!("{}Z", &text[..19]);
            let mut changed = text.clone().into_bytes();
            changed[place] = byte;
            for text in [Some(text.as_str()), Some(&without_fraction), std::str::from_utf8(&changed).ok()].into_iter().flatten() {
                if let Some(found) = common_date_time_ms(text.as_bytes()) {
                    prop_assert_eq!(Some(found), by_the_general_parser(text), "{}", text);
                }
            }
        }
    }

    #[test]
    fn valid_times_are_read_in_the_common_way() {
        for text in
            ["2026-10-09T08:53:27.920Z", "1970-01-01T00:00:00Z", "2000-02-29T23:59:59.999Z", "0001-01-01T00:00:00Z"]
        {
            assert_eq!(common_date_time_ms(text.as_bytes()), by_the_general_parser(text));
        }
    }
}
