//! The common spelling of MessagePack: arrays in schema order without elements of newer versions, and prices as 64-bit
//! floats or whole numbers.
//!
//! Markers: the MessagePack specification, "Formats".

use super::{event_type, identity, is_identity, set, time, within, Draft, PRICE_UNIT};
use crate::codec::rules;
use crate::event;
use crate::observation::{Device, Line, Observation};
use crate::source::Source;

/// Fields of an event, a device and an item, in schema order.
const EVENT_FIELDS: usize = 16;
const DEVICE_FIELDS: usize = 6;
const ITEM_FIELDS: usize = 4;

const NIL: u8 = 0xc0;
const FLOAT_64: u8 = 0xcb;

/// Fills an observation from the bytes of an event.
pub(in crate::codec) fn scan<'a>(value: &'a [u8], found: &mut Observation<'a>) -> Option<()> {
    let mut reader = Reader { bytes: value, at: 0 };
    let mut draft = Draft::new(found);
    for field in 0..reader.array(EVENT_FIELDS)? {
        match field {
            0 => reader.nullable(|reader| is_identity(reader.any_string()?, 64)).map(drop),
            1 => set(&mut draft.found.event_type, event_type(reader.string()?)?),
            2 => set(&mut draft.source, Some(Source::own(reader.string()?)?)),
            3 => set(&mut draft.event_time_ms, Some(event_time(&mut reader)?)),
            4 => set(&mut draft.found.visitor_id, identity(reader.string()?, 128)?),
            5 => reader.nullable(|reader| within(reader.integer()?, 1, i64::from(u32::MAX))).map(drop),
            6 => set(&mut draft.found.session_id, reader.nullable(|reader| identity(reader.string()?, usize::MAX))?),
            7 => reader.nullable(|reader| is_identity(reader.any_string()?, usize::MAX)).map(drop),
            8..=10 => reader.nullable(Reader::any_string).map(drop),
            11 => set(&mut draft.found.campaign, reader.nullable(Reader::string)?),
            12 => device(&mut reader, draft.found),
            13 => reader.nullable(|reader| items(reader, &mut draft.found.lines)).map(drop),
            14 => set(&mut draft.found.currency, reader.nullable(currency)?.unwrap_or(event::DEFAULT_CURRENCY)),
            _ => set(&mut draft.found.order_id, reader.nullable(|reader| identity(reader.string()?, usize::MAX))?),
        }?;
    }
    if reader.at != value.len() {
        return None;
    }
    draft.finish()
}

fn device<'a>(reader: &mut Reader<'a>, found: &mut Observation<'a>) -> Option<()> {
    let mut os = None;
    let device = reader.nullable(|reader| {
        for field in 0..reader.array(DEVICE_FIELDS)? {
            match field {
                0 => os = reader.nullable(Reader::string)?,
                5 => found.country = reader.nullable(Reader::string)?,
                _ => reader.nullable(Reader::any_string).map(drop)?,
            }
        }
        Some(())
    })?;
    set(&mut found.device, device.map_or(Device::Unknown, |()| Device::Os(os)))
}

fn items<'a>(reader: &mut Reader<'a>, lines: &mut Vec<Line<'a>>) -> Option<()> {
    for _ in 0..reader.array(usize::MAX)? {
        // The fields up to the price are required.
        let fields = reader.array(ITEM_FIELDS).filter(|fields| *fields >= ITEM_FIELDS - 1)?;
        let product_id = identity(reader.string()?, 128)?;
        let category = reader.string().filter(|category| (1..=64).contains(&category.len()))?;
        let price_minor = reader.price()?;
        let quantity = |reader: &mut Reader<'_>| within(reader.integer()?, 1, event::MAX_QUANTITY);
        let quantity = if fields == ITEM_FIELDS { reader.nullable(quantity)?.unwrap_or(1) } else { 1 };
        lines.push(Line { product_id, category, price_minor, quantity });
    }
    Some(())
}

#[inline]
fn currency<'a>(reader: &mut Reader<'a>) -> Option<&'a str> {
    reader.string().filter(|code| event::is_currency(code))
}

#[inline]
fn event_time(reader: &mut Reader<'_>) -> Option<i64> {
    time(if matches!(reader.peek()?, 0xa0..=0xbf) {
        rules::date_time_ms(reader.string()?)?
    } else {
        reader.integer()?
    })
}

/// A value and the position of the next byte.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// What `read` gives, or `Some(None)` for a nil.
    #[inline]
    fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.peek()? == NIL {
            self.at += 1;
            return Some(None);
        }
        read(self).map(Some)
    }

    /// The length of an array of at most so many elements.
    #[inline]
    fn array(&mut self, most: usize) -> Option<usize> {
        let length = match self.byte()? {
            marker @ 0x90..=0x9f => usize::from(marker & 0x0f),
            0xdc => usize::from(u16::from_be_bytes(self.chunk()?)),
            _ => return None,
        };
        (length <= most).then_some(length)
    }

    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text()?).ok()
    }

    /// A string whose content is not used: nearly all are ASCII, which is the shorter check.
    #[inline]
    fn any_string(&mut self) -> Option<&'a [u8]> {
        let text = self.text()?;
        (text.is_ascii() || std::str::from_utf8(text).is_ok()).then_some(text)
    }

    /// The bytes of a string, which may be no text.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => usize::from(self.byte()?),
            0xda => usize::from(u16::from_be_bytes(self.chunk()?)),
            _ => return None,
        };
        self.take(length)
    }

    /// A whole number that is not negative.
    #[inline]
    fn integer(&mut self) -> Option<i64> {
        match self.byte()? {
            marker @ 0x00..=0x7f => Some(i64::from(marker)),
            0xcc => self.byte().map(i64::from),
            0xcd => Some(i64::from(u16::from_be_bytes(self.chunk()?))),
            0xce => Some(i64::from(u32::from_be_bytes(self.chunk()?))),
            0xcf | 0xd3 => i64::try_from(u64::from_be_bytes(self.chunk()?)).ok(),
            0xd1 => u16::try_from(i16::from_be_bytes(self.chunk()?)).ok().map(i64::from),
            0xd2 => u32::try_from(i32::from_be_bytes(self.chunk()?)).ok().map(i64::from),
            _ => None,
        }
    }

    /// A price in units of 10^-4. A float counts if it is one of the few nearest to such a number, as in the general rule.
    #[inline]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn price(&mut self) -> Option<i64> {
        if self.peek()? != FLOAT_64 {
            return Some(within(self.integer()?, 0, event::MAX_PRICE)? * PRICE_UNIT);
        }
        self.at += 1;
        let major = f64::from_be_bytes(self.chunk()?);
        if !(0.0..=event::MAX_PRICE as f64).contains(&major) {
            return None;
        }
        let unit = PRICE_UNIT as f64;
        let price = (major * unit).round();
        ((major - price / unit).abs() <= 2.0 * f64::EPSILON * major).then_some(price as i64)
    }
}
