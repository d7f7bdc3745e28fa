//! Event maps: where the fields of our events are in events of another layout.
//!
//! A map is compiled once. For each event, `walk` finds the wanted values of a JSON text in one pass; `tree` does so
//! for every other spelling and for MessagePack. Then each `rule` makes a field, and the rules of our own events check
//! it: the same values are valid in every layout.

mod amount;
mod capture;
mod document;
mod moment;
mod observe;
mod path;
mod rule;
pub(super) mod tree;
mod trie;
mod walk;

use capture::{Capture, Wanted};
use rule::{Made, Rule};

pub use document::InvalidMap;
pub use rule::How;

use super::fields::{RawEvent, RawItem, DEVICE, EVENT, ITEM};
use super::raw::{Shape, Token};
use super::rules::{self, Sources};
use super::Format;
use crate::event::{self, Event};
use crate::observation::Observation;
use crate::reject::{Reason, Reject};
use crate::source::Source;

/// Where a field goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Event(usize),
    Device(usize),
}

/// A compiled event map.
///
/// ```
/// use rtea_core::codec::map::{EventMap, Scratch};
/// let map = EventMap::parse(r#"
///     event_type = "/name"
///     event_time = "/at"
///     visitor_id = "/who"
///     source = { constant = "website" }
/// "#).unwrap();
/// let value = br#"{"name": "search", "at": 1790000000000, "who": 7}"#;
/// let Ok(Some(event)) = map.decode(value, &mut Scratch::default()) else { panic!() };
/// assert_eq!((&*event.event_type, &*event.visitor_id), ("search", "7"));
/// ```
#[derive(Debug, Clone)]
pub struct EventMap {
    wanted: Wanted,
    sources: Vec<Source>,
    event_type: Rule,
    currency: Option<Rule>,
    others: Vec<(Place, &'static str, Rule)>,
    /// By the places of an item's fields.
    items: Vec<(usize, Rule)>,
    /// The same for each alternative list, if it is one object.
    single_items: Vec<Vec<(usize, Rule)>>,
    can_walk: bool,
    /// Whether the map has counted fields only.
    counts_all: bool,
}

/// Memory that one event after the other uses.
#[derive(Debug, Default)]
pub struct Scratch<'a>(Capture<'a>);

/// Why there is no event: the map leaves it out, or it is refused.
enum Stop {
    Skipped,
    Refused(Reject),
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

/// How each field was made.
pub type Report = Vec<(&'static str, How)>;

impl EventMap {
    /// Reads and compiles a map in TOML.
    ///
    /// # Errors
    /// [`InvalidMap`] at the first place that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidMap> {
        let document = document::parse(text)?;
        let (mut event_type, mut currency) = (Rule::default(), None);
        let (mut others, mut items) = (Vec::new(), Vec::new());
        for (field, rule) in document.rules {
            match field.split_once('.') {
                None if field == "event_type" => event_type = rule,
                None if field == "currency" => currency = Some(rule),
                None => others.extend(place(&EVENT, &field).map(|index| (Place::Event(index), EVENT[index], rule))),
                Some(("device", field)) => {
                    others.extend(place(&DEVICE, field).map(|index| (Place::Device(index), DEVICE_NAMES[index], rule)));
                }
                Some((_, field)) => items.extend(place(&ITEM, field).map(|index| (index, rule))),
            }
        }
        let numbers: Vec<_> = items.iter().map(|(index, _)| *index).collect();
        let single_items = document.lists.into_iter().map(|rules| numbers.iter().copied().zip(rules).collect());
        let can_walk = walk::can_walk(&document.wanted);
        let counts_all = others.iter().all(|(place, ..)| observe::is_counted(*place));
        let (mut wanted, sources) = (document.wanted, document.sources);
        wanted.event.index();
        wanted.item.index();
        Ok(Self {
            wanted,
            sources,
            event_type,
            currency,
            others,
            items,
            single_items: single_items.collect(),
            can_walk,
            counts_all,
        })
    }

    /// Decodes and validates one value; `None` if the map leaves it out on purpose. Linear in its length.
    ///
    /// # Errors
    /// The [`Reject`] that names the first of our fields that is wrong.
    pub fn decode<'a>(&'a self, value: &'a [u8], scratch: &mut Scratch<'a>) -> Result<Option<Event<'a>>, Reject> {
        self.decode_as(value, None, scratch)
    }

    /// Decodes a value of one format, or of the format that its first byte shows.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_as<'a>(
        &'a self,
        value: &'a [u8],
        format: Option<Format>,
        scratch: &mut Scratch<'a>,
    ) -> Result<Option<Event<'a>>, Reject> {
        self.captured(value, format, &mut scratch.0)?;
        self.mapped(&mut scratch.0, None)
    }

    /// Fills an observation from an event in a common spelling, faster than [`Self::decode_as`]. Returns whether it
    /// succeeded. If it did not, decode the value, and do not use the observation.
    pub fn observe<'a>(
        &'a self,
        value: &'a [u8],
        format: Option<Format>,
        scratch: &mut Scratch<'a>,
        found: &mut Observation<'a>,
    ) -> bool {
        self.counts_all && self.walked(value, format, &mut scratch.0) && self.observed(&mut scratch.0, found).is_some()
    }

    /// Decodes a value as [`Self::decode`] does, and tells how each field was made; nothing of fields after the first one
    /// that is wrong.
    pub fn explain<'a>(&'a self, value: &'a [u8]) -> (Result<Option<Event<'a>>, Reject>, Report) {
        let (mut capture, mut report) = (Capture::default(), Vec::new());
        let mapped =
            self.captured(value, None, &mut capture).and_then(|()| self.mapped(&mut capture, Some(&mut report)));
        (mapped, report)
    }

    /// Where the map looks for one of our fields, for example `/price or /cost`.
    #[must_use]
    pub fn places(&self, field: &str) -> Option<String> {
        let event = [("event_type", Some(&self.event_type)), ("currency", self.currency.as_ref())];
        let event = event.into_iter().filter_map(|(name, rule)| Some((name, rule?)));
        let others = self.others.iter().map(|(_, name, rule)| (*name, rule));
        let items = self.items.iter().map(|(index, rule)| (ITEM_NAMES[*index], rule));
        let (_, rule) = event.chain(others).chain(items).find(|(name, _)| *name == field)?;
        (!rule.places.is_empty()).then(|| rule.places.join(" or "))
    }

    /// Decodes a value without `walk`: for the law that both agree.
    ///
    /// # Errors
    /// As [`Self::decode`].
    #[doc(hidden)]
    pub fn decode_whole<'a>(&'a self, value: &'a [u8]) -> Result<Option<Event<'a>>, Reject> {
        let mut capture = Capture::default();
        self.captured_whole(value, None, &mut capture)?;
        self.mapped(&mut capture, None)
    }

    fn captured<'a>(&self, value: &'a [u8], format: Option<Format>, capture: &mut Capture<'a>) -> Result<(), Reject> {
        if self.walked(value, format, capture) {
            return Ok(());
        }
        self.captured_whole(value, format, capture)
    }

    fn walked<'a>(&self, value: &'a [u8], format: Option<Format>, capture: &mut Capture<'a>) -> bool {
        self.can_walk
            && format.unwrap_or_else(|| Format::of(value)) == Format::Json
            && std::str::from_utf8(value).is_ok_and(|text| walk::capture(text, &self.wanted, capture).is_some())
    }

    fn captured_whole<'a>(
        &self,
        value: &'a [u8],
        format: Option<Format>,
        capture: &mut Capture<'a>,
    ) -> Result<(), Reject> {
        super::check_frame(value)?;
        let tree = format.unwrap_or_else(|| Format::of(value)).whole(value)?;
        tree::capture(tree, &self.wanted, capture);
        Ok(())
    }

    fn mapped<'a>(
        &'a self,
        capture: &mut Capture<'a>,
        report: Option<&mut Report>,
    ) -> Result<Option<Event<'a>>, Reject> {
        let named = |name: &str| self.source(name);
        match self.raw(capture, report) {
            Ok(raw) => rules::check(raw, Sources { named: &named, expected: "one of the map's sources" }).map(Some),
            Err(Stop::Skipped) => Ok(None),
            Err(Stop::Refused(reject)) => Err(reject),
        }
    }

    fn raw<'a>(&'a self, capture: &mut Capture<'a>, report: Option<&mut Report>) -> Result<RawEvent<'a>, Stop> {
        let mut raw = RawEvent::default();
        let mut making = Making { report, event_type: "", digits: 0 };
        // The type comes first: it says whether the event is left out.
        let event_type = making.make(&self.event_type, "event_type", capture.event())?;
        making.event_type = text(&event_type).unwrap_or_default();
        let currency = match &self.currency {
            Some(rule) => making.make(rule, "currency", capture.event())?,
            None => Token::Absent,
        };
        making.digits = event::minor_digits(text(&currency).unwrap_or(event::DEFAULT_CURRENCY));
        for (place, name, rule) in &self.others {
            let token = making.make(rule, name, capture.event())?;
            match place {
                Place::Event(index) => raw.scalars[*index] = token,
                Place::Device(index) if token != Token::Absent => {
                    raw.device_shape = Shape::Found;
                    raw.device.0[*index] = token;
                }
                Place::Device(_) => {}
            }
        }
        raw.items_are_objects = true;
        self.each_item(&mut making, capture, |item, is_object| {
            raw.items_shape = Shape::Found;
            raw.items_are_objects &= is_object;
            raw.items.push(item);
        })?;
        raw.scalars[TYPE] = event_type;
        raw.scalars[CURRENCY] = currency;
        Ok(raw)
    }

    /// Makes the items of the first list that has elements, or of the first object in place of a list; `take` gets each,
    /// and whether it is an object.
    fn each_item<'a>(
        &'a self,
        making: &mut Making<'_>,
        capture: &mut Capture<'a>,
        mut take: impl FnMut(RawItem<'a>, bool),
    ) -> Result<(), Stop> {
        let list = capture.first_list();
        let single = self.single_items.iter().position(|rules| has_product(rules, capture.event()));
        match (list, single) {
            (Some(list), single) if single.is_none_or(|single| list <= single) => {
                for (is_object, tokens) in capture.elements(&self.wanted, list) {
                    take(making.item(&self.items, tokens)?, is_object);
                }
            }
            (_, Some(single)) => take(making.item(&self.single_items[single], capture.event())?, true),
            (_, None) => {}
        }
        Ok(())
    }

    /// The source of that name, if it is one of the map's.
    fn source(&self, name: &str) -> Option<Source> {
        self.sources.iter().copied().find(|source| source.name() == name)
    }
}

/// Makes one field after the other, and reports on each.
struct Making<'r> {
    report: Option<&'r mut Report>,
    /// Our type of the event, when it is known.
    event_type: &'r str,
    /// Decimals of its currency.
    digits: u32,
}

impl Making<'_> {
    #[inline]
    fn make<'a>(&mut self, rule: &'a Rule, name: &'static str, tokens: &mut [Token<'a>]) -> Result<Token<'a>, Stop> {
        match rule.make(tokens, self.event_type, self.digits) {
            Made::Value(token, how) => {
                if let Some(report) = &mut self.report {
                    report.push((name, how));
                }
                Ok(token)
            }
            Made::Skipped => Err(Stop::Skipped),
            Made::Refused => Err(Reject::of(Reason::InvalidValue, name, "a value that the map lists").into()),
        }
    }

    fn item<'a>(&mut self, rules: &'a [(usize, Rule)], tokens: &mut [Token<'a>]) -> Result<RawItem<'a>, Stop> {
        let mut item = RawItem::default();
        for (index, rule) in rules {
            item.0[*index] = self.make(rule, ITEM_NAMES[*index], tokens)?;
        }
        Ok(item)
    }
}

/// Names of fields in reports and dead letters.
const DEVICE_NAMES: [&str; DEVICE.len()] =
    ["device.os", "device.app_version", "device.browser", "device.screen", "device.locale", "device.country"];
const ITEM_NAMES: [&str; ITEM.len()] = ["items.product_id", "items.category", "items.price", "items.quantity"];

const TYPE: usize = 1;
const CURRENCY: usize = 14;

fn text<'t>(token: &'t Token<'_>) -> Option<&'t str> {
    match token {
        Token::Text(text) => Some(text),
        _ => None,
    }
}

/// An object in place of a list of items is one if it has a product.
fn has_product(rules: &[(usize, Rule)], tokens: &[Token<'_>]) -> bool {
    rules.iter().any(|(index, rule)| *index == 0 && rule.is_in(tokens))
}

fn place(names: &[&str], field: &str) -> Option<usize> {
    names.iter().position(|name| *name == field)
}
