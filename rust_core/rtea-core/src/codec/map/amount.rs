//! Amounts of money in foreign units.

use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};

use super::super::raw::Token;
use super::super::rules;
use crate::event;

/// The unit of a foreign amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// 19.99 of USD.
    Major,
    /// 1999 of USD.
    Minor,
    /// 19990000 of USD.
    Micro,
}

/// What happens to decimals that the currency does not have. Without a rounding, the event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    HalfUp,
    HalfEven,
    Down,
}

/// No price: the rules refuse it.
const REFUSED: Token<'static> = Token::Minor(-1);

impl Unit {
    pub(super) const NAMES: [(&'static str, Self); 3] =
        [("major", Self::Major), ("minor", Self::Minor), ("micro", Self::Micro)];

    /// The amount in minor units of a currency with so many decimals. `None` leaves it to the rules of our own events: a
    /// number in major units, and what is no amount.
    pub(super) fn minor<'a>(self, token: &Token<'a>, digits: u32, rounding: Option<Rounding>) -> Option<Token<'a>> {
        let unit = 10_i64.pow(digits);
        let amount = match token {
            Token::Number(major) if self == Self::Major && rules::minor_units(*major, unit).is_some() => return None,
            Token::Number(_) | Token::Integer(_) if self == Self::Major && rounding.is_none() => return None,
            Token::Text(text) => {
                Decimal::from_str(text.trim()).or_else(|_| Decimal::from_scientific(text.trim())).ok()?
            }
            Token::Integer(number) => Decimal::from(*number),
            Token::Number(number) => Decimal::from_str(&number.to_string()).ok()?,
            _ => return None,
        };
        if amount.is_sign_negative() && !amount.is_zero() {
            return Some(REFUSED);
        }
        let scale = match self {
            Self::Major => Decimal::from(unit),
            Self::Minor => Decimal::ONE,
            Self::Micro => Decimal::new(unit, 6),
        };
        let minor = amount.checked_mul(scale)?;
        let whole = match rounding {
            _ if minor.is_integer() => minor,
            Some(rounding) => minor.round_dp_with_strategy(0, rounding.strategy()),
            None => return Some(REFUSED),
        };
        let highest = event::MAX_PRICE.saturating_mul(unit);
        Some(i64::try_from(whole).ok().filter(|minor| *minor <= highest).map_or(REFUSED, Token::Minor))
    }
}

impl Rounding {
    pub(super) const NAMES: [(&'static str, Self); 3] =
        [("half_up", Self::HalfUp), ("half_even", Self::HalfEven), ("down", Self::Down)];

    fn strategy(self) -> RoundingStrategy {
        match self {
            Self::HalfUp => RoundingStrategy::MidpointAwayFromZero,
            Self::HalfEven => RoundingStrategy::MidpointNearestEven,
            Self::Down => RoundingStrategy::ToZero,
        }
    }
}
