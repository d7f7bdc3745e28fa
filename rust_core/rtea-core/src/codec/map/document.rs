//! Reads an event map from TOML. docs/event_maps.md describes it for users.

use std::fmt;
use std::ops::Range;

use rustc_hash::FxHashSet;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

use super::super::fields::{DEVICE, EVENT, ITEM};
use super::amount::{Rounding, Unit};
use super::capture::Wanted;
use super::moment::Clock;
use super::path::{self, Step};
use super::rule::{Kind, Rule, Unlisted};
use super::trie::Node;
use crate::source::Source;

/// Most sources of a map.
const MOST_SOURCES: usize = 16;

const FIELDS: &str =
    "a field of the event: event_id, event_type, source, event_time, visitor_id, session_id, user_id, \
                      page_url, referrer, search_term, campaign, currency, order_id, device, items; or sources";

/// A map that cannot be used: the line in its file, from 1, and what was found and expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidMap {
    /// The line, from 1.
    pub line: usize,
    /// What was found, and what was expected.
    pub problem: String,
}

impl fmt::Display for InvalidMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for InvalidMap {}

/// What a file says.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    pub(super) wanted: Wanted,
    pub(super) sources: Vec<Source>,
    /// Rules by the full names of fields, for example `items.price`.
    pub(super) rules: Vec<(String, Rule)>,
    /// The alternative lists of items; each may also be one object, whose values are at these places, in the order of
    /// [`ITEM`].
    pub(super) lists: Vec<Vec<Rule>>,
}

type Table<'i> = DeTable<'i>;
type Value<'v, 'i> = &'v Spanned<DeValue<'i>>;

/// Reads a map.
///
/// # Errors
/// [`InvalidMap`] at the first place that is wrong.
pub(super) fn parse(text: &str) -> Result<Document, InvalidMap> {
    let reading = Reading { text };
    let table = DeTable::parse(text).map_err(|error| InvalidMap {
        line: reading.line(&error.span().unwrap_or(0..0)),
        problem: error.message().to_owned(),
    })?;
    let mut document = Document { sources: Source::OWN.to_vec(), ..Document::default() };
    let (mut items, mut device) = (None, None);
    for (name, value) in table.get_ref() {
        match name.get_ref().as_ref() {
            "sources" => document.sources = reading.sources(value)?,
            "items" => items = Some(value),
            "device" => device = Some(value),
            field if EVENT.contains(&field) && field != "schema_version" => {
                let rule = reading.rule(field, value, &mut document.wanted.event, &mut document.wanted.event_slots)?;
                document.rules.push((field.to_owned(), rule));
            }
            other => return Err(reading.invalid(&name.span(), &format!("{other:?}"), FIELDS)),
        }
    }
    if let Some(device) = device {
        for (name, value) in reading.table(device)? {
            let field = name.get_ref();
            if !DEVICE.contains(&field.as_ref()) {
                return Err(reading.invalid(&name.span(), &format!("device.{field}"), &DEVICE.join(", ")));
            }
            let full = format!("device.{field}");
            let rule = reading.rule(&full, value, &mut document.wanted.event, &mut document.wanted.event_slots)?;
            document.rules.push((full, rule));
        }
    }
    if let Some(items) = items {
        reading.items(items, &mut document)?;
    }
    let known: Vec<_> = document.sources.iter().map(|source| source.name()).collect();
    for (_, rule) in document.rules.iter().filter(|(field, _)| field == "source") {
        if let Some(other) = rule.values.values().chain(&rule.default).find(|name| !known.contains(&name.as_str())) {
            let problem = format!("[source] gives {other:?}: expected one of the sources {}", known.join(", "));
            return Err(InvalidMap { line: 1, problem });
        }
    }
    for needed in ["event_type", "event_time", "visitor_id", "source"] {
        if !document.rules.iter().any(|(field, _)| field == needed) {
            let problem = format!("there is no table [{needed}]: expected one with `from` or `constant`");
            return Err(InvalidMap { line: 1, problem });
        }
    }
    Ok(document)
}

struct Reading<'t> {
    text: &'t str,
}

impl Reading<'_> {
    fn line(&self, place: &Range<usize>) -> usize {
        1 + self.text.bytes().take(place.start).filter(|byte| *byte == b'\n').count()
    }

    fn invalid(&self, place: &Range<usize>, found: &str, expected: &str) -> InvalidMap {
        InvalidMap { line: self.line(place), problem: format!("found {found}: expected {expected}") }
    }

    fn table<'v, 'i>(&self, value: Value<'v, 'i>) -> Result<&'v Table<'i>, InvalidMap> {
        let found = value.get_ref();
        found.as_table().ok_or_else(|| self.invalid(&value.span(), found.type_str(), "a table"))
    }

    fn string<'v>(&self, value: Value<'v, '_>) -> Result<&'v str, InvalidMap> {
        let found = value.get_ref();
        found.as_str().ok_or_else(|| self.invalid(&value.span(), found.type_str(), "a string"))
    }

    /// A string, or an array of strings, with their places.
    fn strings<'v>(&self, value: Value<'v, '_>) -> Result<Vec<(&'v str, Range<usize>)>, InvalidMap> {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().map(|each| Ok((self.string(each)?, each.span()))).collect(),
            _ => Ok(vec![(self.string(value)?, value.span())]),
        }
    }

    fn set(&self, value: Value<'_, '_>) -> Result<FxHashSet<String>, InvalidMap> {
        Ok(self.strings(value)?.into_iter().map(|(text, _)| text.to_owned()).collect())
    }

    fn one_of<T: Copy>(&self, value: Value<'_, '_>, names: &[(&str, T)]) -> Result<T, InvalidMap> {
        let found = self.string(value)?;
        names.iter().find(|(name, _)| *name == found).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            self.invalid(&value.span(), &format!("{found:?}"), &known.join(", "))
        })
    }

    fn sources(&self, value: Value<'_, '_>) -> Result<Vec<Source>, InvalidMap> {
        const EXPECTED: &str = "1 to 16 different names matching [a-z][a-z0-9_]{0,31}";
        let mut sources = Vec::new();
        for (name, place) in self.strings(value)? {
            let is_name = name.len() <= 32 && crate::event::is_event_type(name);
            let source = Source::named(name).ok().filter(|source| is_name && !sources.contains(source));
            sources.push(source.ok_or_else(|| self.invalid(&place, &format!("{name:?}"), EXPECTED))?);
        }
        if sources.is_empty() || sources.len() > MOST_SOURCES {
            return Err(self.invalid(&value.span(), &format!("{} names", sources.len()), EXPECTED));
        }
        Ok(sources)
    }

    fn items(&self, value: Value<'_, '_>, document: &mut Document) -> Result<(), InvalidMap> {
        let table = self.table(value)?;
        let Some((_, lists)) = table.iter().find(|(name, _)| name.get_ref() == "each") else {
            return Err(self.invalid(&value.span(), "items without `each`", "the path of the list of items"));
        };
        let mut fields = Vec::new();
        for (name, value) in table {
            let field = name.get_ref().as_ref();
            if field == "each" {
                continue;
            }
            if !ITEM.contains(&field) {
                return Err(self.invalid(
                    &name.span(),
                    &format!("items.{field}"),
                    &format!("each, {}", ITEM.join(", ")),
                ));
            }
            fields.push((format!("items.{field}"), value));
        }
        for needed in ["items.product_id", "items.price"] {
            if !fields.iter().any(|(field, _)| field == needed) {
                return Err(self.invalid(&value.span(), &format!("items without [{needed}]"), "a table of that name"));
            }
        }
        let Wanted { event, item, event_slots, item_slots } = &mut document.wanted;
        for (field, value) in &fields {
            document.rules.push((field.clone(), self.rule(field, value, item, item_slots)?));
        }
        let paths = self.strings(lists)?;
        if paths.is_empty() {
            return Err(self.invalid(&lists.span(), "no list", "at least one path"));
        }
        for (number, (list, place)) in paths.into_iter().enumerate() {
            let mut steps = self.path(list, &place)?;
            while steps.last() == Some(&Step::Each) {
                steps.pop();
            }
            if steps.iter().any(|step| !matches!(step, Step::Key(_))) {
                return Err(self.invalid(&place, &format!("{list:?}"), "a list at a fixed place"));
            }
            let node = event.at(&steps);
            if node.items.replace(number).is_some() {
                return Err(self.invalid(&place, &format!("{list:?} again"), "each list once"));
            }
            // One object in place of a list: its values are at fixed places of the event.
            let rules = fields.iter().map(|(field, value)| self.rule(field, value, node, event_slots));
            document.lists.push(rules.collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    fn path(&self, path: &str, place: &Range<usize>) -> Result<Vec<Step>, InvalidMap> {
        path::parse(path).map_err(|problem| InvalidMap { line: self.line(place), problem })
    }

    /// Reads a rule, and adds its paths below a place of the event.
    fn rule(&self, field: &str, value: Value<'_, '_>, root: &mut Node, slots: &mut usize) -> Result<Rule, InvalidMap> {
        let mut places = Vec::new();
        let mut look = |value| -> Result<Vec<usize>, InvalidMap> {
            let mut found = Vec::new();
            for (path, place) in self.strings(value)? {
                root.at(&self.path(path, &place)?).slots.push(*slots);
                places.push(path.to_owned());
                found.push(*slots);
                *slots += 1;
            }
            Ok(found)
        };
        // `field = "/path"` is short for a table with `from` only.
        if value.get_ref().is_str() || value.get_ref().is_array() {
            let slots = look(value)?;
            let rule = Rule { slots, places, kind: kind(field), ..Rule::default() };
            self.check(field, &rule, value)?;
            return Ok(rule);
        }
        let table = self.table(value)?;
        let mut rule = Rule { kind: kind(field), ..Rule::default() };
        for (name, value) in table {
            match (name.get_ref().as_ref(), &mut rule.kind) {
                ("from", _) => rule.slots = look(value)?,
                ("constant" | "default", _) => rule.default = Some(self.string(value)?.to_owned()),
                ("absent", _) => rule.absent = self.set(value)?,
                ("required_by", _) => rule.required_by = self.set(value)?,
                ("derive", _) if ["event_id", "session_id"].contains(&field) => rule.derived = look(value)?,
                ("skip", Kind::Text) if field == "event_type" => rule.skipped = self.set(value)?,
                ("values", Kind::Text) => {
                    for (foreign, ours) in self.table(value)? {
                        rule.values.insert(foreign.get_ref().to_string(), self.string(ours)?.to_owned());
                    }
                }
                ("unlisted", Kind::Text) => rule.unlisted = self.one_of(value, &UNLISTED)?,
                ("as", Kind::Time(clock)) => *clock = self.one_of(value, &Clock::NAMES)?,
                ("unit", Kind::Money(unit, _)) => *unit = self.one_of(value, &Unit::NAMES)?,
                ("rounding", Kind::Money(_, rounding)) => *rounding = Some(self.one_of(value, &Rounding::NAMES)?),
                (other, _) => return Err(self.invalid(&name.span(), &format!("{field}.{other}"), &keys(field))),
            }
        }
        self.check(field, &rule, value)?;
        Ok(Rule { places, ..rule })
    }

    fn check(&self, field: &str, rule: &Rule, value: Value<'_, '_>) -> Result<(), InvalidMap> {
        let table = value.get_ref().as_table();
        let says = |key: &str| table.is_some_and(|table| table.keys().any(|name| name.get_ref() == key));
        if says("constant") && ["from", "default", "required_by", "derive"].into_iter().any(says) {
            return Err(self.invalid(&value.span(), &format!("{field} with a constant and more"), "`constant` alone"));
        }
        if says("derive") && ["from", "default"].into_iter().any(says) {
            return Err(self.invalid(&value.span(), &format!("{field} with derive and more"), "`derive` alone"));
        }
        let ours = rule.values.values().chain(&rule.default);
        let is_valid: fn(&str) -> bool = match field {
            "event_type" => crate::event::is_event_type,
            "currency" => crate::event::is_currency,
            _ => |_| true,
        };
        if let Some(invalid) = ours.into_iter().find(|name| !is_valid(name)) {
            return Err(self.invalid(&value.span(), &format!("{invalid:?}"), &format!("a valid {field} of ours")));
        }
        let has_place = !rule.slots.is_empty() || !rule.derived.is_empty();
        if !has_place && rule.default.is_none() {
            return Err(self.invalid(&value.span(), &format!("{field} without a place"), "`from` or `constant`"));
        }
        if rule.unlisted == Unlisted::Default && rule.default.is_none() {
            return Err(self.invalid(&value.span(), "unlisted = \"default\" without one", "`default`"));
        }
        if rule.unlisted == Unlisted::Skip && field != "event_type" {
            return Err(self.invalid(&value.span(), "unlisted = \"skip\"", "it at event_type only"));
        }
        Ok(())
    }
}

const UNLISTED: [(&str, Unlisted); 5] = [
    ("keep", Unlisted::Keep),
    ("snake_case", Unlisted::SnakeCase),
    ("default", Unlisted::Default),
    ("refuse", Unlisted::Refuse),
    ("skip", Unlisted::Skip),
];

fn kind(field: &str) -> Kind {
    match field {
        "event_time" => Kind::Time(Clock::default()),
        "items.quantity" => Kind::Whole,
        "items.price" => Kind::Money(Unit::Major, None),
        _ => Kind::Text,
    }
}

/// What a rule of a field may say.
fn keys(field: &str) -> String {
    let more = match kind(field) {
        Kind::Time(_) => "as",
        Kind::Money(..) => "unit, rounding",
        Kind::Text if field == "event_type" => "values, unlisted, skip",
        Kind::Text if ["event_id", "session_id"].contains(&field) => "values, unlisted, derive",
        Kind::Text => "values, unlisted",
        Kind::Whole => return "from, absent, constant, default, required_by".to_owned(),
    };
    format!("from, absent, constant, default, required_by, {more}")
}
