//! Events by type and source.

use crate::dimension::{Amount as _, Bounded, Policy, OTHER};
use crate::event::KNOWN_TYPES;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit, Value};
use crate::observation::Observation;
use crate::source::{BySource, Source};

/// Counts of the schema's event types, and of as many others as the policy allows.
#[derive(Debug, Clone)]
pub struct EventCount {
    known: [BySource<u64>; KNOWN_TYPES.len()],
    others: Bounded<BySource<u64>>,
}

/// Name and count of each source, sorted by name.
type Counts<'a> = Vec<(&'a str, u64)>;

/// Event type, whether it is protected, and counts; then the counts of what did not fit.
type Section<'a> = (Vec<(&'a str, bool, Counts<'a>)>, Counts<'a>);

impl EventCount {
    /// Counts by event type, what did not fit last; types without events may appear with zeros.
    pub fn counts(&self) -> impl Iterator<Item = (&str, BySource<u64>)> {
        let others = self.others.entries().into_iter().map(|entry| (entry.name, entry.amount.clone()));
        let rest = self.others.others().into_iter().map(|(_, counts)| (OTHER, counts));
        KNOWN_TYPES.into_iter().zip(self.known.iter().cloned()).chain(others).chain(rest)
    }

    /// Counts of some event types. For sections of earlier releases.
    pub(crate) fn of(
        counts: impl IntoIterator<Item = (impl AsRef<str>, bool, BySource<u64>)>,
        rest: &BySource<u64>,
        policy: &Policy,
    ) -> Self {
        let mut found = Self::new(policy);
        for (name, is_protected, counts) in counts {
            let name = name.as_ref();
            match KNOWN_TYPES.iter().position(|known| *known == name) {
                Some(index) => found.known[index] = counts,
                None => found.others.add("", name, &counts, || is_protected),
            }
        }
        if is_any(rest) {
            found.others.add_other("", rest);
        }
        found
    }
}

impl Metric for EventCount {
    const SERIES: &'static [Series] = &[Series {
        name: "event_count",
        dimension: "event type and source, for example page_view_mobile",
        unit: Unit::Count,
        description: "Number of events by type and source.",
    }];

    fn new(policy: &Policy) -> Self {
        Self { known: Default::default(), others: Bounded::new(policy.limit) }
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, policy: &Policy) {
        if !part.has_order() {
            return;
        }
        if let Some(index) = KNOWN_TYPES.iter().position(|known| *known == event.event_type) {
            *self.known[index].get_mut(event.source) += 1;
            return;
        }
        let mut count = BySource::default();
        *count.get_mut(event.source) = 1;
        self.others.add("", event.event_type, &count, || policy.event_types.contains(event.event_type));
    }

    fn merge(&mut self, other: &Self) {
        self.known.iter_mut().zip(&other.known).for_each(|(mine, counts)| mine.add(counts));
        self.others.merge(&other.others);
    }

    fn rows(&self, _: &Policy) -> Vec<Row<'_>> {
        self.counts()
            .flat_map(|(name, counts)| {
                let of_source = |(source, count)| Row {
                    metric: "event_count",
                    dimension: format!("{name}_{source}"),
                    currency: "",
                    value: Value::Count(count),
                };
                named(&counts).into_iter().map(of_source).collect::<Vec<_>>()
            })
            .collect()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let known = KNOWN_TYPES.into_iter().zip(&self.known).map(|(name, counts)| (name, true, named(counts)));
        let others =
            self.others.entries().into_iter().map(|entry| (entry.name, entry.is_protected, named(entry.amount)));
        let mut counts: Vec<_> = known.chain(others).filter(|(.., counts)| !counts.is_empty()).collect();
        counts.sort_unstable();
        let rest = self.others.others().first().map_or_else(Vec::new, |(_, counts)| named(counts));
        if counts.is_empty() && rest.is_empty() {
            return;
        }
        let section: Section<'_> = (counts, rest);
        write(&section, bytes);
    }

    fn from_bytes(bytes: &[u8], policy: &Policy) -> Result<Self, InvalidSection> {
        let (counts, rest): Section<'_> = read(bytes)?;
        let counts: Result<Vec<_>, InvalidSection> = counts
            .into_iter()
            .map(|(name, is_protected, counts)| Ok((name, is_protected, by_source(counts)?)))
            .collect();
        Ok(Self::of(counts?, &by_source(rest)?, policy))
    }

    fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.others.halves()?;
        let known = self.known.clone();
        Some((Self { known, others: first }, Self { known: Default::default(), others: second }))
    }
}

fn is_any(counts: &BySource<u64>) -> bool {
    counts.iter().any(|(_, count)| *count > 0)
}

fn named(counts: &BySource<u64>) -> Counts<'static> {
    let seen = counts.iter().filter(|(_, count)| **count > 0);
    let mut named: Counts<'_> = seen.map(|(source, count)| (source.name(), *count)).collect();
    named.sort_unstable();
    named
}

fn by_source(counts: Counts<'_>) -> Result<BySource<u64>, InvalidSection> {
    let mut found = BySource::default();
    for (name, count) in counts {
        *found.get_mut(Source::named(name)?) = count;
    }
    Ok(found)
}
