//! Reads observations from events in a common spelling, in one pass.
//!
//! A scanner returns `None` for any other spelling and for anything invalid. Then the general decoder reads the value
//! again and says what is wrong with it. Do not use the observation after a `None`.
//!
//! The scanners obey one law (`tests/observing.rs`, also fuzzed): if a scanner accepts a value, the general decoder
//! accepts it with the same observation.

pub(super) mod json;
pub(super) mod msgpack;
pub(super) mod reader;

use crate::event;
use crate::observation::{Device, Line, Observation};
use crate::source::Source;

/// Decimals in which prices are held until the event's currency is known; no currency of ISO 4217 has more.
const PRICE_DIGITS: u32 = 4;
const PRICE_UNIT: i64 = 10_i64.pow(PRICE_DIGITS);

/// An observation that is being filled. Prices are in units of 10^-4 until it is finished.
struct Draft<'a, 's> {
    found: &'s mut Observation<'a>,
    source: Option<Source>,
    event_time_ms: Option<i64>,
}

impl<'a, 's> Draft<'a, 's> {
    #[inline]
    fn new(found: &'s mut Observation<'a>) -> Self {
        found.event_type = "";
        found.visitor_id = "";
        found.session_id = None;
        found.campaign = None;
        found.country = None;
        found.device = Device::Unknown;
        found.currency = event::DEFAULT_CURRENCY;
        found.order_id = None;
        found.lines.clear();
        Self { found, source: None, event_time_ms: None }
    }

    /// Checks what is required, and turns prices into minor units.
    #[inline]
    fn finish(self) -> Option<()> {
        let Self { found, source, event_time_ms } = self;
        if found.event_type.is_empty() || found.visitor_id.is_empty() {
            return None;
        }
        if found.lines.is_empty() && found.event_type == event::PURCHASE {
            return None;
        }
        found.source = source?;
        found.event_time_ms = event_time_ms?;
        if found.lines.is_empty() {
            return Some(());
        }
        in_minor_units(&mut found.lines, event::minor_digits(found.currency))
    }
}

fn in_minor_units(lines: &mut [Line<'_>], digits: u32) -> Option<()> {
    let divisor = 10_i64.pow(PRICE_DIGITS.checked_sub(digits)?);
    for line in lines {
        if line.price_minor % divisor != 0 {
            return None;
        }
        line.price_minor /= divisor;
        within(line.price_minor, 0, event::MAX_PRICE_MINOR)?;
    }
    Some(())
}

#[inline]
fn set<T>(place: &mut T, value: T) -> Option<()> {
    *place = value;
    Some(())
}

#[inline]
fn within(number: i64, least: i64, most: i64) -> Option<i64> {
    (least..=most).contains(&number).then_some(number)
}

/// A string that identifies something. The general decoder handles a leading blank, and more bytes than the maximum
/// number of characters.
#[inline]
pub(super) fn identity(text: &str, max_bytes: usize) -> Option<&str> {
    is_identity(text.as_bytes(), max_bytes).map(|()| text)
}

#[inline]
fn is_identity(text: &[u8], max_bytes: usize) -> Option<()> {
    let first = *text.first()?;
    (first > b' ' && text.len() <= max_bytes).then_some(())
}

#[inline]
fn event_type(name: &str) -> Option<&str> {
    event::is_event_type(name).then_some(name)
}

#[inline]
fn time(time_ms: i64) -> Option<i64> {
    ((0..event::MAX_TIME_MS).contains(&time_ms) && !event::SECONDS.contains(&time_ms)).then_some(time_ms)
}
