//! Who the visitors are: events, visitors and revenue by country, device class and campaign.

use std::collections::BTreeMap;

use serde_bytes::{ByteBuf, Bytes};

use crate::dimension::{Amount, Bounded, Policy, OTHER};
use crate::event::PURCHASE;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit, Value};
use crate::observation::Observation;
use crate::sketch::{Hashed, Sketch};

/// Most groups that a window keeps; the rest, by name, is added up. Each may hold a sketch of 32 KiB.
const MOST_GROUPS: u32 = 300;

/// What a window knows of one group of visitors.
#[derive(Debug, Clone, Default)]
struct Group {
    events: u64,
    visitors: Sketch,
    /// Minor units by currency.
    revenue: BTreeMap<String, i128>,
}

impl Amount for Group {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.visitors.merge(&other.visitors);
        for (currency, minor) in &other.revenue {
            *self.revenue.entry(currency.clone()).or_default() += minor;
        }
    }
}

/// All groups of a window, by kind and name.
#[derive(Debug, Clone)]
pub struct Audience(Bounded<Group>);

/// Events, sketch of the visitors, revenue by currency.
type Counts<'a> = (u64, &'a Bytes, Vec<(&'a str, i128)>);
type OwnedCounts<'a> = (u64, ByteBuf, Vec<(&'a str, i128)>);

/// Kind, name and counts of each group; kind and counts of the rest.
type Section<'a> = (Vec<(&'a str, &'a str, Counts<'a>)>, Vec<(&'a str, Counts<'a>)>);

fn counts(group: &Group) -> OwnedCounts<'_> {
    let revenue = group.revenue.iter().map(|(currency, minor)| (currency.as_str(), *minor)).collect();
    (group.events, ByteBuf::from(group.visitors.to_bytes()), revenue)
}

fn group((events, visitors, revenue): Counts<'_>) -> Result<Group, InvalidSection> {
    let revenue = revenue.into_iter().map(|(currency, minor)| (currency.to_owned(), minor)).collect();
    Ok(Group { events, visitors: Sketch::from_bytes(visitors)?, revenue })
}

fn rows_of<'a>(kind: &str, name: &str, group: &Group, currencies: &[&'a str]) -> Vec<Row<'a>> {
    let row = |metric, currency, value| Row { metric, dimension: format!("{kind}:{name}"), currency, value };
    let mut rows = Vec::new();
    if group.events > 0 {
        rows.push(row("audience_events", "", Value::Count(group.events)));
    }
    if !group.visitors.is_empty() {
        rows.push(row("audience_visitors", "", Value::distinct(&group.visitors)));
    }
    for currency in currencies {
        if let Some(minor) = group.revenue.get(*currency) {
            rows.push(row("audience_revenue", *currency, Value::Money(*minor)));
        }
    }
    rows
}

impl Metric for Audience {
    const SERIES: &'static [Series] = &[
        Series {
            name: "audience_events",
            dimension: "country:DE, device:desktop or campaign:spring, for example",
            unit: Unit::Count,
            description: "Number of events by country, device class and campaign.",
        },
        Series {
            name: "audience_visitors",
            dimension: "country:DE, device:desktop or campaign:spring, for example",
            unit: Unit::Distinct,
            description: "Distinct visitors by country, device class and campaign.",
        },
        Series {
            name: "audience_revenue",
            dimension: "country:DE, device:desktop or campaign:spring, for example",
            unit: Unit::Money,
            description: "Revenue by country, device class and campaign.",
        },
    ];

    fn new(_: &Policy) -> Self {
        Self(Bounded::new(MOST_GROUPS))
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, _: &Policy) {
        let class = event.device.class(event.source);
        let visitor = Hashed::of(event.visitor_id.as_bytes());
        let kinds = [("campaign", event.campaign), ("country", event.country), ("device", class)];
        for (kind, name) in kinds {
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            let group = self.0.slot(kind, name, || false);
            if part.has_order() {
                group.events += 1;
            }
            if part.has_event() {
                group.visitors.add_hashed(visitor);
            }
            if part.has_order() && event.event_type == PURCHASE {
                let minor: i128 = event.lines.iter().map(|line| i128::from(line.revenue_minor())).sum();
                match group.revenue.get_mut(event.currency) {
                    Some(sum) => *sum += minor,
                    None => drop(group.revenue.insert(event.currency.to_owned(), minor)),
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn rows(&self, _: &Policy) -> Vec<Row<'_>> {
        let held = self.0.entries().into_iter();
        let groups = held.flat_map(|entry| {
            let currencies: Vec<&str> = entry.amount.revenue.keys().map(String::as_str).collect();
            rows_of(entry.group, entry.name, entry.amount, &currencies)
        });
        let mut rows: Vec<Row<'_>> = groups.collect();
        let currencies: Vec<&str> =
            self.0.dropped().flat_map(|group| group.revenue.keys()).map(String::as_str).collect();
        for (kind, rest) in self.0.others() {
            let mut currencies = currencies.clone();
            currencies.sort_unstable();
            currencies.dedup();
            rows.extend(rows_of(kind, OTHER, &rest, &currencies));
        }
        rows
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let (entries, others) = (self.0.entries(), self.0.others());
        if entries.is_empty() && others.is_empty() {
            return;
        }
        let groups: Vec<_> = entries.iter().map(|entry| (entry.group, entry.name, counts(entry.amount))).collect();
        let rest: Vec<_> = others.iter().map(|(kind, rest)| (*kind, counts(rest))).collect();
        write(&(groups, rest), bytes);
    }

    fn from_bytes(bytes: &[u8], policy: &Policy) -> Result<Self, InvalidSection> {
        let mut found = Self::new(policy);
        let (groups, rest): Section<'_> = read(bytes)?;
        for (kind, name, counts) in groups {
            found.0.restore(kind, name, false, group(counts)?);
        }
        for (kind, counts) in rest {
            found.0.add_other(kind, &group(counts)?);
        }
        Ok(found)
    }

    fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.0.halves()?;
        Some((Self(first), Self(second)))
    }
}
