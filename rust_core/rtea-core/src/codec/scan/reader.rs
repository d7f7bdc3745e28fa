//! Reads the common spelling of JSON: any white space, no escape in a wanted string, no exponent.
//!
//! The search for the end of a string looks at several bytes at a time, an idea of Lemire and Langdale, "Parsing Gigabytes
//! of JSON per Second" (2019), section 3.

use std::borrow::Cow;
use std::ops::Range;

use wide::u8x16;

use super::{within, PRICE_DIGITS, PRICE_UNIT};
use crate::codec::raw::Token;
use crate::event;

/// Levels of nesting in values that are skipped.
const MAX_DEPTH: u32 = 32;

/// Digits of a whole number that always fits into an i64.
const MAX_DIGITS: usize = 18;

/// A text and the position of the next byte.
pub(in crate::codec) struct Reader<'a> {
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
    /// Begins at the start of a text.
    #[inline]
    pub(in crate::codec) fn of(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0 }
    }

    /// The position of the next byte, for [`Self::go_to`].
    #[inline]
    pub(in crate::codec) fn place(&self) -> usize {
        self.at
    }

    /// Goes back, or to the end of something that was read before.
    #[inline]
    pub(in crate::codec) fn go_to(&mut self, place: usize) {
        self.at = place;
    }

    /// Skips white space and returns the next byte without reading it.
    #[inline(always)]
    pub(in crate::codec) fn peek(&mut self) -> Option<u8> {
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

    #[inline(always)]
    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Checks that only white space is left.
    #[inline]
    pub(in crate::codec) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// A scalar, or null.
    #[inline]
    pub(in crate::codec) fn scalar(&mut self) -> Option<Token<'a>> {
        match self.peek()? {
            b'"' => self.string().map(|text| Token::Text(Cow::Borrowed(text))),
            b'n' => self.word(b"null").map(|()| Token::Absent),
            b't' => self.word(b"true").map(|()| Token::Other),
            b'f' => self.word(b"false").map(|()| Token::Other),
            _ => {
                let start = self.at;
                self.number()?;
                let text = self.text.get(start..self.at)?;
                if text.contains('.') {
                    return text.parse().ok().map(Token::Number);
                }
                text.parse().ok().filter(|_| text != "-0").map(Token::Integer)
            }
        }
    }

    /// Reads an object, of which `field` reads each value.
    #[inline]
    pub(in crate::codec) fn object(&mut self, mut field: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
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

    /// Begins an object or an array.
    #[inline]
    pub(in crate::codec) fn begin(&mut self, opener: u8) -> Option<()> {
        self.expect(opener)
    }

    /// Whether another member or element follows; reads the comma before it, or the end.
    #[inline]
    pub(in crate::codec) fn goes_on(&mut self, closer: u8, is_first: bool) -> Option<bool> {
        let byte = self.peek()?;
        if byte == closer {
            self.at += 1;
            return Some(false);
        }
        if is_first {
            return Some(true);
        }
        self.expect(b',').map(|()| true)
    }

    /// The name of a member, up to its value.
    #[inline]
    pub(in crate::codec) fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.bytes()?;
        self.expect(b':').map(|()| key)
    }

    /// Reads an array, of which `element` reads each value.
    #[inline]
    pub(in crate::codec) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
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
    pub(in crate::codec) fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.peek()? == b'n' {
            return self.word(b"null").map(|()| None);
        }
        read(self).map(Some)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// Goes on to the next byte that a plain string cannot hold, and returns it.
    #[inline(always)]
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
    #[inline(always)]
    pub(in crate::codec) fn string(&mut self) -> Option<&'a str> {
        let place = self.plain()?;
        self.text.get(place)
    }

    /// The bytes of a string without escapes.
    #[inline(always)]
    pub(in crate::codec) fn bytes(&mut self) -> Option<&'a [u8]> {
        let place = self.plain()?;
        self.bytes.get(place)
    }

    /// Where the content of a string without escapes is.
    #[inline(always)]
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
    pub(in crate::codec) fn any_string(&mut self) -> Option<()> {
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
    pub(in crate::codec) fn integer(&mut self) -> Option<i64> {
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
    pub(in crate::codec) fn price(&mut self) -> Option<i64> {
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
    pub(in crate::codec) fn skip(&mut self, depth: u32) -> Option<()> {
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
