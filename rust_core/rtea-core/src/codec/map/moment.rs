//! Times of foreign events.

use std::str::FromStr;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::Decimal;

use super::super::raw::Token;
use super::super::rules::date_time_ms;

/// How a foreign time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Clock {
    /// As in our own events: milliseconds since the epoch, or RFC 3339.
    #[default]
    Own,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    /// Date and time, without an offset in UTC: `2026-10-09 08:53:27.920`, perhaps with ` UTC` after it.
    Utc,
}

impl Clock {
    pub(super) const NAMES: [(&'static str, Self); 6] = [
        ("own", Self::Own),
        ("s", Self::Seconds),
        ("ms", Self::Milliseconds),
        ("us", Self::Microseconds),
        ("ns", Self::Nanoseconds),
        ("utc", Self::Utc),
    ];

    /// The time in ms since the epoch; `None` leaves it to the rules of our own events.
    #[inline]
    pub(super) fn ms<'a>(self, token: &Token<'a>) -> Option<Token<'a>> {
        let (up, down) = match self {
            Self::Own => return None,
            Self::Utc => return utc(token),
            Self::Seconds => (1_000, 1),
            Self::Milliseconds => (1, 1),
            Self::Microseconds => (1, 1_000),
            Self::Nanoseconds => (1, 1_000_000),
        };
        if let Token::Integer(time) = token {
            return Some(time.checked_mul(up).map_or(Token::Other, |time| Token::Integer(time.div_euclid(down))));
        }
        let time = match token {
            Token::Text(text) => Decimal::from_str(text.trim()).ok()?,
            Token::Number(number) => Decimal::from_str(&number.to_string()).ok()?,
            _ => return None,
        };
        let ms = time.checked_mul(Decimal::from(up))?.checked_div(Decimal::from(down))?.floor();
        Some(ms.to_i64().map_or(Token::Other, Token::Integer))
    }
}

fn utc<'a>(token: &Token<'a>) -> Option<Token<'a>> {
    let Token::Text(text) = token else { return None };
    let text = text.trim();
    let bare = text.strip_suffix(" UTC").unwrap_or(text);
    let time = date_time_ms(bare).or_else(|| date_time_ms(&format!("{bare}Z")))?;
    Some(Token::Integer(time))
}
