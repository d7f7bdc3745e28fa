//! The common spelling of JSON: any order of fields, any white space, no escape in a counted string, no exponent.
//!
//! The search for the end of a string looks at several bytes at a time, an idea of Lemire and Langdale, "Parsing Gigabytes
//! of JSON per Second" (2019), section 3.

use std::ops::Range;

use wide::u8x16;

use super::{event_type, identity, is_identity, set, time, within, Draft, PRICE_DIGITS, PRICE_UNIT};
use crate::codec::rules;
use crate::event;
use crate::observation::{Device, Line, Observation};
use crate::source::Source;

/// Levels of nesting in values of unknown fields.
const MAX_DEPTH: u32 = 32;

/// Digits of a whole number that always fits into an i64.
const MAX_DIGITS: usize = 18;

/// Fills an observation from the text of an event.
pub(super) fn scan<'a>(text: &'a str, found: &mut Observation<'a>) -> Option<()> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    let mut draft = Draft::new(found);
    reader.object(|reader, key| match key {
        b"event_id" => reader.nullable(|reader| is_identity(reader.bytes()?, 64)).map(drop),
        b"event_type" => set(&mut draft.found.event_type, event_type(reader.string()?)?),
        b"source" => set(&mut draft.source, Some(Source::own(reader.string()?)?)),
        b"event_time" => set(&mut draft.event_time_ms, Some(event_time(reader)?)),
        b"visitor_id" => set(&mut draft.found.visitor_id, identity(reader.string()?, 128)?),
        b"schema_version" => reader.nullable(|reader| within(reader.integer()?, 1, i64::from(u32::MAX))).map(drop),
        b"session_id" => {
            set(&mut draft.found.session_id, reader.nullable(|reader| identity(reader.string()?, usize::MAX))?)
        }
        b"user_id" => reader.nullable(|reader| is_identity(reader.bytes()?, usize::MAX)).map(drop),
        b"page_url" | b"referrer" | b"search_term" => reader.nullable(Reader::any_string).map(drop),
        b"campaign" => set(&mut draft.found.campaign, reader.nullable(Reader::string)?),
        b"device" => device(reader, draft.found),
        b"items" => items(reader, &mut draft.found.lines),
        b"currency" => set(&mut draft.found.currency, reader.nullable(currency)?.unwrap_or(event::DEFAULT_CURRENCY)),
        b"order_id" => {
            set(&mut draft.found.order_id, reader.nullable(|reader| identity(reader.string()?, usize::MAX))?)
        }
        _ => reader.skip(0),
    })?;
    reader.end()?;
    draft.finish()
}

#[inline]
fn currency<'a>(reader: &mut Reader<'a>) -> Option<&'a str> {
    reader.string().filter(|code| event::is_currency(code))
}

#[inline]
fn event_time(reader: &mut Reader<'_>) -> Option<i64> {
    time(if reader.peek()? == b'"' { rules::date_time_ms(reader.string()?)? } else { reader.integer()? })
}

fn device<'a>(reader: &mut Reader<'a>, found: &mut Observation<'a>) -> Option<()> {
    let mut os = None;
    found.country = None;
    let device = reader.nullable(|reader| {
        reader.object(|reader, key| match key {
            b"os" => set(&mut os, reader.nullable(Reader::string)?),
            b"country" => set(&mut found.country, reader.nullable(Reader::string)?),
            b"app_version" | b"browser" | b"screen" | b"locale" => reader.nullable(Reader::any_string).map(drop),
            _ => reader.skip(0),
        })
    })?;
    set(&mut found.device, device.map_or(Device::Unknown, |()| Device::Os(os)))
}

fn items<'a>(reader: &mut Reader<'a>, lines: &mut Vec<Line<'a>>) -> Option<()> {
    lines.clear();
    reader.nullable(|reader| reader.array(|reader| set_item(reader, lines))).map(drop)
}

fn set_item<'a>(reader: &mut Reader<'a>, lines: &mut Vec<Line<'a>>) -> Option<()> {
    let (mut product_id, mut category, mut price, mut quantity) = ("", "", None, 1);
    reader.object(|reader, key| match key {
        b"product_id" => set(&mut product_id, identity(reader.string()?, 128)?),
        b"category" => set(&mut category, reader.string().filter(|category| category.len() <= 64)?),
        b"price" => set(&mut price, Some(reader.price()?)),
        b"quantity" => {
            let found = reader.nullable(|reader| within(reader.integer()?, 1, event::MAX_QUANTITY))?;
            set(&mut quantity, found.unwrap_or(1))
        }
        _ => reader.skip(0),
    })?;
    if product_id.is_empty() || category.is_empty() {
        return None;
    }
    lines.push(Line { product_id, category, price_minor: price?, quantity });
    Some(())
}

/// A text and the position of the next byte.
struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// How many bytes are looked at together.
const LANES: usize = 16;

/// A bit for each byte that ends a plain string: `"`, `\` or a control character.
#[inline]
fn stops(bytes: [u8; LANES]) -> u32 {
    let found = u8x16::new(bytes);
    let control = found.min(u8x16::splat(0x1f)).simd_eq(found);
    (found.simd_eq(u8x16::splat(b'"')) | found.simd_eq(u8x16::splat(b'\\')) | control).to_bitmask()
}

impl<'a> Reader<'a> {
    /// Skips white space and returns the next byte without reading it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        if byte > b' ' {
            return Some(byte);
        }
        self.skip_space()
    }

    #[cold]
    fn skip_space(&mut self) -> Option<u8> {
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

    /// Checks that only white space is left.
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
            let key = self.bytes()?;
            self.expect(b':')?;
            field(self, key)?;
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
        while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            match stops(*chunk) {
                0 => self.at += LANES,
                found => {
                    self.at += found.trailing_zeros() as usize;
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
        let place = self.plain()?;
        self.text.get(place)
    }

    /// The bytes of a string without escapes.
    #[inline]
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let place = self.plain()?;
        self.bytes.get(place)
    }

    /// Where the content of a string without escapes is.
    #[inline]
    fn plain(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at;
        if self.find_stop()? != b'"' {
            return None;
        }
        self.at += 1;
        Some(start..self.at - 1)
    }

    /// A string whose content is not used. It may have simple escapes, but not `\u`.
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

    /// Checks any value and skips it.
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

    /// A number that every parser can represent: no exponent, few digits.
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
