//! Observations of our own events in JSON, with their fields in any order.

use super::reader::Reader;
use super::{event_type, identity, is_identity, set, time, within, Draft};
use crate::codec::rules;
use crate::event;
use crate::observation::{Device, Line, Observation};
use crate::source::Source;

/// Fills an observation from the text of an event.
pub(in crate::codec) fn scan<'a>(text: &'a str, found: &mut Observation<'a>) -> Option<()> {
    let mut reader = Reader::of(text);
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
