//! Reads an observation from the common spelling of a JSON event in one pass, and gives up on anything unusual.
//!
//! [`super::observe`] tries this first; the general decoder in [`super::json`] judges whatever this one leaves alone. So
//! this file says nothing about what is wrong with a value. Its law (`tests/observing.rs`, fuzzed as well): what it
//! accepts, the general decoder accepts with the same observation.
//!
//! Common means: any order of fields and any white space, no escape in a counted string, numbers without exponent.
//! Strings are searched eight bytes at a time, as in Lemire and Langdale, "Parsing Gigabytes of JSON per Second" (2019),
//! section 3, in one machine word.

use super::rules;
use crate::event::{self, Source};
use crate::observation::{Line, Observation};

/// Levels of nesting in values of unknown fields.
const MAX_DEPTH: u32 = 32;

/// Digits of a whole number that always fits into an i64.
const MAX_DIGITS: usize = 18;

/// Decimals in which prices are held until the event's currency is known; no currency of ISO 4217 has more.
const PRICE_DIGITS: u32 = 4;
const PRICE_UNIT: i64 = 10_i64.pow(PRICE_DIGITS);

/// Fills an observation from the text of an event. `None` means that the general decoder has to judge, and that the
/// observation is not to be used.
pub(super) fn scan<'a>(text: &'a str, found: &mut Observation<'a>) -> Option<()> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    found.event_type = "";
    found.visitor_id = "";
    found.currency = event::DEFAULT_CURRENCY;
    found.order_id = None;
    found.lines.clear();
    let (mut source, mut event_time_ms) = (None, None);
    reader.object(|reader, key| match key {
        b"event_id" => reader.nullable(|reader| identity(reader.string()?, 64)).map(drop),
        b"event_type" => set(&mut found.event_type, event_type(reader.string()?)?),
        b"source" => set(&mut source, Some(Source::from_name(reader.string()?)?)),
        b"event_time" => set(&mut event_time_ms, Some(event_time(reader)?)),
        b"visitor_id" => set(&mut found.visitor_id, identity(reader.string()?, 128)?),
        b"schema_version" => reader.nullable(|reader| within(reader.integer()?, 1, i64::from(u32::MAX))).map(drop),
        b"session_id" | b"user_id" => reader.nullable(|reader| identity(reader.string()?, usize::MAX)).map(drop),
        b"page_url" | b"referrer" | b"search_term" | b"campaign" => reader.nullable(Reader::any_string).map(drop),
        b"device" => reader.nullable(device).map(drop),
        b"items" => items(reader, &mut found.lines),
        b"currency" => set(&mut found.currency, reader.nullable(currency)?.unwrap_or(event::DEFAULT_CURRENCY)),
        b"order_id" => set(&mut found.order_id, reader.nullable(|reader| identity(reader.string()?, usize::MAX))?),
        _ => reader.skip(0),
    })?;
    reader.end()?;
    if found.event_type.is_empty() || found.visitor_id.is_empty() {
        return None;
    }
    if found.lines.is_empty() && found.event_type == event::PURCHASE {
        return None;
    }
    found.source = source?;
    found.event_time_ms = event_time_ms?;
    in_minor_units(&mut found.lines, event::minor_digits(found.currency))
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

/// A string that identifies something. A leading blank, or more bytes than characters are allowed, is for the general
/// decoder.
#[inline]
fn identity(text: &str, max_bytes: usize) -> Option<&str> {
    let first = *text.as_bytes().first()?;
    (first > b' ' && text.len() <= max_bytes).then_some(text)
}

#[inline]
fn event_type(name: &str) -> Option<&str> {
    event::is_event_type(name).then_some(name)
}

#[inline]
fn currency<'a>(reader: &mut Reader<'a>) -> Option<&'a str> {
    reader.string().filter(|code| event::is_currency(code))
}

#[inline]
fn event_time(reader: &mut Reader<'_>) -> Option<i64> {
    let time_ms = if reader.peek()? == b'"' { rules::date_time_ms(reader.string()?)? } else { reader.integer()? };
    ((0..event::MAX_TIME_MS).contains(&time_ms) && !event::SECONDS.contains(&time_ms)).then_some(time_ms)
}

fn device(reader: &mut Reader<'_>) -> Option<()> {
    reader.object(|reader, key| match key {
        b"os" | b"app_version" | b"browser" | b"screen" | b"locale" | b"country" => {
            reader.nullable(Reader::any_string).map(drop)
        }
        _ => reader.skip(0),
    })
}

fn items<'a>(reader: &mut Reader<'a>, lines: &mut Vec<Line<'a>>) -> Option<()> {
    lines.clear();
    reader.nullable(|reader| reader.array(|reader| set_item(reader, lines))).map(drop)
}

fn set_item<'a>(reader: &mut Reader<'a>, lines: &mut Vec<Line<'a>>) -> Option<()> {
    let (mut has_product, mut category, mut price, mut quantity) = (false, "", None, 1);
    reader.object(|reader, key| match key {
        b"product_id" => set(&mut has_product, identity(reader.string()?, 128).is_some()),
        b"category" => set(&mut category, reader.string().filter(|category| category.len() <= 64)?),
        b"price" => set(&mut price, Some(reader.price()?)),
        b"quantity" => {
            let found = reader.nullable(|reader| within(reader.integer()?, 1, event::MAX_QUANTITY))?;
            set(&mut quantity, found.unwrap_or(1))
        }
        _ => reader.skip(0),
    })?;
    if !has_product || category.is_empty() {
        return None;
    }
    lines.push(Line { category, price_minor: price?, quantity });
    Some(())
}

/// Turns prices in units of 10^-4 into minor units with that many digits.
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

/// A place in a text.
struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte that ends a plain string: `"`, `\` or a control character. Bits above the lowest one set
/// may be wrong, as borrows travel upwards.
#[inline]
fn stops(word: u64) -> u64 {
    let is_zero = |word: u64| word.wrapping_sub(EACH_BYTE) & !word;
    let quote = is_zero(word ^ (EACH_BYTE * b'"' as u64));
    let backslash = is_zero(word ^ (EACH_BYTE * b'\\' as u64));
    let control = word.wrapping_sub(EACH_BYTE * 0x20) & !word;
    (quote | backslash | control) & HIGH_BITS
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space; stays in front of it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Nothing but white space is left.
    #[inline]
    fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Reads an object, of which `field` reads each value.
    #[inline]
    fn object(&mut self, mut field: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            field(self, key.as_bytes())?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Reads an array, of which `element` reads each value.
    #[inline]
    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            element(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// What `read` gives, or `Some(None)` for a null.
    #[inline]
    fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.peek()? == b'n' {
            return self.word(b"null").map(|()| None);
        }
        read(self).map(Some)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// Goes on to the next byte that a plain string cannot hold, and returns it.
    #[inline]
    fn find_stop(&mut self) -> Option<u8> {
        while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            match stops(u64::from_le_bytes(*eight)) {
                0 => self.at += 8,
                found => {
                    self.at += found.trailing_zeros() as usize / 8;
                    return self.bytes.get(self.at).copied();
                }
            }
        }
        loop {
            let byte = *self.bytes.get(self.at)?;
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// A string without escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        if self.find_stop()? != b'"' {
            return None;
        }
        self.at += 1;
        self.text.get(start..self.at - 1)
    }

    /// A string whose content does not count: it may have escapes, but those of code points.
    #[inline]
    fn any_string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            match self.find_stop()? {
                b'"' => break,
                b'\\' => match self.bytes.get(self.at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                    _ => return None,
                },
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// The digits from here on as a number, and how many there are.
    #[inline]
    fn digits(&mut self) -> (i64, usize) {
        let (mut value, start) = (0_i64, self.at);
        while let Some(digit) = self.bytes.get(self.at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
            self.at += 1;
        }
        (value, self.at - start)
    }

    /// A whole number without sign, fraction and exponent.
    #[inline]
    fn integer(&mut self) -> Option<i64> {
        let value = self.whole_part()?;
        (!matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'))).then_some(value)
    }

    /// Digits as JSON allows them: at least one, and none after a leading zero.
    #[inline]
    fn whole_part(&mut self) -> Option<i64> {
        let is_zero = self.peek()? == b'0';
        let (value, count) = self.digits();
        (count == 1 || (1..=MAX_DIGITS).contains(&count) && !is_zero).then_some(value)
    }

    /// A price from 0 to the highest one in units of 10^-4, with at most that many decimals.
    #[inline]
    fn price(&mut self) -> Option<i64> {
        let major = within(self.whole_part()?, 0, event::MAX_PRICE)?;
        let mut price = major * PRICE_UNIT;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            let (fraction, count) = self.digits();
            if count == 0 {
                return None;
            }
            price += fraction * 10_i64.pow(PRICE_DIGITS.checked_sub(u32::try_from(count).ok()?)?);
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            return None;
        }
        within(price, 0, event::MAX_PRICE * PRICE_UNIT)
    }

    /// Any value, checked and forgotten.
    fn skip(&mut self, depth: u32) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'"' => self.any_string(),
            b'{' => self.object(|reader, _| reader.skip(depth + 1)),
            b'[' => self.array(|reader| reader.skip(depth + 1)),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// A number that any parser can hold: no exponent, few digits.
    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
            // No white space between sign and digits.
            self.bytes.get(self.at).filter(|byte| byte.is_ascii_digit())?;
        }
        self.whole_part()?;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            within(i64::try_from(self.digits().1).ok()?, 1, 18)?;
        }
        (!matches!(self.bytes.get(self.at), Some(b'e' | b'E'))).then_some(())
    }
}
