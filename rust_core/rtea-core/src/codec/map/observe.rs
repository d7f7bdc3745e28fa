//! Observations of mapped events in a common spelling: without making the whole event.
//!
//! It returns `None` for everything else: what is refused, what is left out, and values that a rule had to rewrite. The
//! law (`tests/mapping.rs`): what it accepts, [`super::EventMap::decode`] accepts with the same observation.

use std::borrow::Cow;

use super::super::fields::RawItem;
use super::super::raw::Token;
use super::super::{rules, scan};
use super::capture::Capture;
use super::{text, EventMap, Making, Place};
use crate::event;
use crate::observation::{Device, Line, Observation};

/// Places of the counted fields in [`super::EVENT`] and [`super::DEVICE`].
const SOURCE: Place = Place::Event(2);
const EVENT_TIME: Place = Place::Event(3);
const VISITOR: Place = Place::Event(4);
const SESSION: Place = Place::Event(6);
const CAMPAIGN: Place = Place::Event(11);
const ORDER: Place = Place::Event(15);
const OS: Place = Place::Device(0);
const COUNTRY: Place = Place::Device(5);

/// Whether a field is counted. Fields that are not are checked with the whole event only.
pub(super) fn is_counted(place: Place) -> bool {
    [SOURCE, EVENT_TIME, VISITOR, SESSION, CAMPAIGN, ORDER, OS, COUNTRY].contains(&place)
}

impl EventMap {
    /// Fills an observation from what was found.
    pub(super) fn observed<'a>(&'a self, capture: &mut Capture<'a>, found: &mut Observation<'a>) -> Option<()> {
        let mut making = Making { report: None, event_type: "", digits: 0 };
        found.event_type = required(making.make(&self.event_type, "event_type", capture.event()).ok()?)?;
        if !event::is_event_type(found.event_type) {
            return None;
        }
        making.event_type = found.event_type;
        let currency = match &self.currency {
            Some(rule) => optional(making.make(rule, "currency", capture.event()).ok()?)?,
            None => None,
        };
        found.currency = currency.unwrap_or(event::DEFAULT_CURRENCY);
        if !event::is_currency(found.currency) {
            return None;
        }
        making.digits = event::minor_digits(found.currency);
        (found.session_id, found.campaign, found.order_id, found.country) = (None, None, None, None);
        let (mut os, mut has_device) = (None, false);
        for (place, name, rule) in &self.others {
            let token = making.make(rule, name, capture.event()).ok()?;
            match *place {
                SOURCE => found.source = self.source(text(&token)?)?,
                EVENT_TIME => found.event_time_ms = rules::event_time_ms(token).ok()?,
                VISITOR => found.visitor_id = scan::identity(required(token)?, 128)?,
                SESSION => found.session_id = identity(token)?,
                CAMPAIGN => found.campaign = optional(token)?,
                ORDER => found.order_id = identity(token)?,
                OS => {
                    has_device |= token != Token::Absent;
                    os = optional(token)?;
                }
                COUNTRY => {
                    has_device |= token != Token::Absent;
                    found.country = optional(token)?;
                }
                _ => return None,
            }
        }
        found.device = if has_device { Device::Os(os) } else { Device::Unknown };
        found.lines.clear();
        let (digits, mut are_valid) = (making.digits, true);
        let made = self.each_item(&mut making, capture, |item, is_object| match line(item, digits) {
            Some(line) if is_object => found.lines.push(line),
            _ => are_valid = false,
        });
        if made.is_err() || !are_valid {
            return None;
        }
        (found.event_type != event::PURCHASE || !found.lines.is_empty()).then_some(())
    }
}

fn line(RawItem([product_id, category, price, quantity]): RawItem<'_>, digits: u32) -> Option<Line<'_>> {
    Some(Line {
        product_id: scan::identity(required(product_id)?, 128)?,
        category: required(category).filter(|category| !category.is_empty() && category.len() <= 64)?,
        price_minor: rules::price_minor(&price, digits).ok()?,
        quantity: rules::quantity_of(&quantity).ok()?,
    })
}

/// A text of the event or the map, which lives long enough.
fn required<'a>(token: Token<'a>) -> Option<&'a str> {
    match token {
        Token::Text(Cow::Borrowed(text)) => Some(text),
        _ => None,
    }
}

fn optional<'a>(token: Token<'a>) -> Option<Option<&'a str>> {
    match token {
        Token::Absent => Some(None),
        other => required(other).map(Some),
    }
}

fn identity<'a>(token: Token<'a>) -> Option<Option<&'a str>> {
    match optional(token)? {
        None => Some(None),
        Some(text) => scan::identity(text, usize::MAX).map(Some),
    }
}
