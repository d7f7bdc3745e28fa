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

/// Names of the sources, sorted; event types, the schema's first, and whether each is protected; counts by these sources
/// of each type, and then of what did not fit.
type Section<'a> = (Vec<&'a str>, Vec<(&'a str, bool)>, Vec<u64>);

impl EventCount {
    /// Counts by event type, what did not fit last; types without events may appear with zeros.
    pub fn counts(&self) -> impl Iterator<Item = (&str, BySource<u64>)> {
        let others = self.others.entries().into_iter().map(|entry| (entry.name, entry.amount.clone()));
        let rest = self.others.others().into_iter().map(|(_, counts)| (OTHER, counts));
        KNOWN_TYPES.into_iter().zip(self.known.iter().cloned()).chain(others).chain(rest)
    }

    /// Sets the counts of an event type. Also for sections of earlier releases.
    pub(crate) fn put(&mut self, name: &str, is_protected: bool, counts: BySource<u64>) {
        match KNOWN_TYPES.iter().position(|known| *known == name) {
            Some(index) => self.known[index] = counts,
            None => self.others.add("", name, &counts, || is_protected),
        }
    }

    /// Sets the counts of what did not fit.
    pub(crate) fn put_rest(&mut self, counts: &BySource<u64>) {
        if is_any(counts) {
            self.others.add_other("", counts);
        }
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
                let row = |(source, count): (Source, u64)| Row {
                    metric: "event_count",
                    dimension: format!("{name}_{}", source.name()),
                    currency: "",
                    value: Value::Count(count),
                };
                seen(&counts).map(row).collect::<Vec<_>>()
            })
            .collect()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let known = KNOWN_TYPES.into_iter().zip(&self.known).map(|(name, counts)| (name, true, counts));
        let others = self.others.entries().into_iter().map(|entry| (entry.name, entry.is_protected, entry.amount));
        let counts: Vec<_> = known.chain(others).filter(|(.., counts)| is_any(counts)).collect();
        let rest = self.others.others().pop().map(|(_, counts)| counts).filter(is_any).unwrap_or_default();
        if counts.is_empty() && !is_any(&rest) {
            return;
        }
        let mut sources: Vec<Source> = Vec::new();
        for (source, _) in counts.iter().flat_map(|(.., counts)| seen(counts)).chain(seen(&rest)) {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources.sort_unstable_by_key(|source| source.name());
        let all = counts.iter().map(|(.., counts)| *counts).chain([&rest]);
        let section: Section<'_> = (
            sources.iter().map(|source| source.name()).collect(),
            counts.iter().map(|(name, is_protected, _)| (*name, *is_protected)).collect(),
            all.flat_map(|counts| sources.iter().map(|source| counts.of(*source))).collect(),
        );
        write(&section, bytes);
    }

    fn from_bytes(bytes: &[u8], policy: &Policy) -> Result<Self, InvalidSection> {
        let (sources, types, counts): Section<'_> = read(bytes)?;
        let sources = sources.into_iter().map(Source::named).collect::<Result<Vec<_>, _>>()?;
        if counts.len() != sources.len() * (types.len() + 1) {
            return Err(InvalidSection(format!("{} counts of {} event types", counts.len(), types.len())));
        }
        let by_source = |counts: &[u64]| {
            let mut found = BySource::default();
            sources.iter().zip(counts).for_each(|(source, count)| *found.get_mut(*source) = *count);
            found
        };
        let mut counts = counts.chunks(sources.len().max(1)).map(by_source);
        let types =
            types.into_iter().zip(&mut counts).map(|((name, is_protected), counts)| (name, is_protected, counts));
        let mut found = Self::new(policy);
        types.for_each(|(name, is_protected, counts)| found.put(name, is_protected, counts));
        found.put_rest(&counts.next().unwrap_or_default());
        Ok(found)
    }

    fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.others.halves()?;
        let known = self.known.clone();
        Some((Self { known, others: first }, Self { known: Default::default(), others: second }))
    }
}

fn seen(counts: &BySource<u64>) -> impl Iterator<Item = (Source, u64)> + '_ {
    counts.iter().filter(|(_, count)| **count > 0).map(|(source, count)| (source, *count))
}

fn is_any(counts: &BySource<u64>) -> bool {
    seen(counts).next().is_some()
}
