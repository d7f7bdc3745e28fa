//! How a field of ours is made of a foreign value.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};

use super::super::raw::Token;
use super::amount::{Rounding, Unit};
use super::capture::is_something;
use super::moment::Clock;
use super::trie::Slot;
use crate::event::is_event_type;

/// How a field is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// Where it may be; the first that is there counts. Null and blank texts are not there.
    pub(super) slots: Vec<Slot>,
    /// The places as the map spells them, for dead letters.
    pub(super) places: Vec<String>,
    /// Texts that mean that it is not there.
    pub(super) absent: FxHashSet<String>,
    /// Makes an id of these values instead, if all are there.
    pub(super) derived: Vec<Slot>,
    /// What it is if it is nowhere.
    pub(super) default: Option<String>,
    /// Our types of events for which the default does not count.
    pub(super) required_by: FxHashSet<String>,
    /// Our names of foreign values.
    pub(super) values: FxHashMap<String, String>,
    /// What happens to other values.
    pub(super) unlisted: Unlisted,
    /// Values of events that are left out on purpose.
    pub(super) skipped: FxHashSet<String>,
    pub(super) kind: Kind,
}

/// What happens to a value that the rule does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Unlisted {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes a name in lower case with underscores: `Coupon Applied` is `coupon_applied`.
    SnakeCase,
    /// It is replaced by the default.
    Default,
    /// The event is refused.
    Refuse,
    /// The event is left out.
    Skip,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    #[default]
    Text,
    Time(Clock),
    Whole,
    Money(Unit, Option<Rounding>),
}

/// What a rule gives.
#[derive(Debug, PartialEq)]
pub(super) enum Made<'a> {
    /// The value, and how it was made.
    Value(Token<'a>, How),
    /// The event is left out.
    Skipped,
    /// The event is refused, since the map does not list this value.
    Refused,
}

/// How a value was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Taken as it is.
    Found,
    /// Changed: renamed, read from a text, or brought into another unit.
    Coerced,
    /// Not in the event: the map's default or constant.
    Default,
    /// Not in the event.
    Lacked,
}

impl How {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Coerced => "coerced",
            Self::Default => "default",
            Self::Lacked => "lacked",
        }
    }
}

impl Rule {
    /// Makes the field of the values that were found, for an event of our type `event_type` and a currency with so many
    /// decimals.
    #[inline]
    pub(super) fn make<'a>(&'a self, tokens: &mut [Token<'a>], event_type: &str, digits: u32) -> Made<'a> {
        if !self.derived.is_empty() {
            return self.derive(tokens);
        }
        let (token, how) = match self.slots.iter().find(|slot| self.has(&tokens[**slot])) {
            Some(slot) => (std::mem::take(&mut tokens[*slot]), How::Found),
            None => match &self.default {
                Some(default) if !self.required_by.contains(event_type) => {
                    (Token::Text(Cow::Borrowed(default.as_str())), How::Default)
                }
                _ => return Made::Value(Token::Absent, How::Lacked),
            },
        };
        let read = match self.kind {
            Kind::Text if how == How::Default => None,
            Kind::Text => return self.text(token, event_type),
            Kind::Time(clock) => clock.ms(&token),
            Kind::Whole => whole(&token),
            Kind::Money(unit, rounding) => unit.minor(&token, digits, rounding),
        };
        match read {
            Some(read) if how == How::Found => Made::Value(read, How::Coerced),
            Some(read) => Made::Value(read, how),
            None => Made::Value(token, how),
        }
    }

    /// Whether a value for it was found.
    pub(super) fn is_in(&self, tokens: &[Token<'_>]) -> bool {
        self.slots.iter().any(|slot| self.has(&tokens[*slot]))
    }

    /// Whether there is a value.
    #[inline]
    fn has(&self, token: &Token<'_>) -> bool {
        let is_absent = |text: &str| !self.absent.is_empty() && self.absent.contains(text);
        is_something(token) && !matches!(token, Token::Text(text) if is_absent(text))
    }

    /// An id of 32 hexadecimal digits, the same for equal values.
    fn derive<'a>(&self, tokens: &[Token<'a>]) -> Made<'a> {
        let mut hash = Sha256::new();
        for slot in &self.derived {
            match &tokens[*slot] {
                Token::Text(text) if self.has(&tokens[*slot]) => hash.update(text.as_bytes()),
                Token::Integer(number) => hash.update(number.to_string()),
                Token::Number(number) => hash.update((number + 0.0).to_string()),
                _ => return Made::Value(Token::Absent, How::Lacked),
            }
            hash.update([0]);
        }
        let digits = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Made::Value(Token::Text(Cow::Owned(digits)), How::Coerced)
    }

    fn text<'a>(&'a self, token: Token<'a>, event_type: &str) -> Made<'a> {
        let (text, how) = match token {
            Token::Text(text) => (text, How::Found),
            Token::Integer(number) => (Cow::Owned(number.to_string()), How::Coerced),
            // Adding zero makes -0 equal to 0.
            Token::Number(number) if number.is_finite() => (Cow::Owned((number + 0.0).to_string()), How::Coerced),
            other => return Made::Value(other, How::Found),
        };
        if !self.skipped.is_empty() && self.skipped.contains(&*text) {
            return Made::Skipped;
        }
        if !self.values.is_empty() {
            if let Some(ours) = self.values.get(&*text) {
                return Made::Value(Token::Text(Cow::Borrowed(ours)), How::Coerced);
            }
        }
        match self.unlisted {
            Unlisted::Keep => Made::Value(Token::Text(text), how),
            Unlisted::SnakeCase if is_event_type(&text) => Made::Value(Token::Text(text), how),
            Unlisted::SnakeCase => Made::Value(Token::Text(Cow::Owned(snake_case(&text))), How::Coerced),
            Unlisted::Default if self.required_by.contains(event_type) => Made::Refused,
            Unlisted::Default => Made::Value(
                self.default.as_deref().map_or(Token::Absent, |text| Token::Text(text.into())),
                How::Default,
            ),
            Unlisted::Refuse => Made::Refused,
            Unlisted::Skip => Made::Skipped,
        }
    }
}

/// A whole number that is written as text.
fn whole<'a>(token: &Token<'a>) -> Option<Token<'a>> {
    match token {
        Token::Text(text) => text.trim().parse().ok().map(Token::Integer),
        _ => None,
    }
}

/// A name in lower case: words are separated by underscores.
fn snake_case(name: &str) -> String {
    let mut found = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for character in name.trim().chars() {
        if !character.is_ascii_alphanumeric() {
            if !found.is_empty() && !found.ends_with('_') {
                found.push('_');
            }
            was_lower = false;
            continue;
        }
        if character.is_ascii_uppercase() && was_lower {
            found.push('_');
        }
        was_lower = !character.is_ascii_uppercase();
        found.push(character.to_ascii_lowercase());
    }
    found.truncate(found.trim_end_matches('_').len());
    found
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_become_snake_case() {
        for (name, expected) in [
            ("Product Viewed", "product_viewed"),
            ("CheckoutStep", "checkout_step"),
            (" a -- b ", "a_b"),
            ("ABTest", "abtest"),
            ("page_view", "page_view"),
            ("été", "t"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
    }
}
