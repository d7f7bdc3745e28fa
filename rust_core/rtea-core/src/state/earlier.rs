//! The layouts of earlier releases, which had three metrics and no sections.

use serde::Deserialize;
use serde_bytes::Bytes;

use super::{orders, StateError};
use crate::aggregate::Partial;
use crate::dimension::{Policy, DEFAULT_LIMIT};
use crate::metrics::{Metrics, Revenue, SourceSketches, UniqueVisitors};
use crate::source::{BySource, Source};

/// Values of the mobile app and the website.
type PerSource<T> = [T; 2];

/// Version 1 keeps every dimension, protects none and has no orders.
#[derive(Deserialize)]
struct Version1<'a> {
    window_start_ms: i64,
    events: u64,
    #[serde(borrow)]
    counts: Vec<(&'a str, PerSource<u64>)>,
    #[serde(borrow)]
    revenue: Vec<(&'a str, &'a str, i128)>,
    #[serde(borrow)]
    visitors: PerSource<&'a Bytes>,
}

/// Versions 2 and 3 have the same layout. In version 2, `events` leaves out the events in `orders`. In version 3, it
/// is the number of all events.
#[derive(Deserialize)]
struct Version3<'a> {
    window_start_ms: i64,
    events: u64,
    /// Highest number of dimensions of a kind.
    limit: u32,
    /// Event type, whether it is protected, counts.
    #[serde(borrow)]
    counts: Vec<(&'a str, bool, PerSource<u64>)>,
    other_counts: PerSource<u64>,
    /// Currency, category, whether it is protected, minor units.
    #[serde(borrow)]
    revenue: Vec<(&'a str, &'a str, bool, i128)>,
    #[serde(borrow)]
    other_revenue: Vec<(&'a str, i128)>,
    #[serde(borrow)]
    visitors: PerSource<&'a Bytes>,
    #[serde(borrow)]
    orders: &'a Bytes,
    distinct_order_bytes: usize,
}

/// Reads the body of an earlier version.
pub(super) fn read(version: u8, body: &[u8]) -> Result<Partial, StateError> {
    match version {
        1 => super::read::<Version1<'_>>(body)?.into_partial(),
        2 => {
            let mut partial = super::read::<Version3<'_>>(body)?.into_partial()?;
            partial.events += partial.orders.count();
            Ok(partial)
        }
        3 => super::read::<Version3<'_>>(body)?.into_partial(),
        _ => Err(StateError::UnknownVersion(version)),
    }
}

impl Version1<'_> {
    fn into_partial(self) -> Result<Partial, StateError> {
        let newer = Version3 {
            window_start_ms: self.window_start_ms,
            events: self.events,
            limit: DEFAULT_LIMIT,
            counts: self.counts.into_iter().map(|(name, counts)| (name, false, counts)).collect(),
            other_counts: [0; 2],
            revenue: self.revenue.into_iter().map(|(currency, name, minor)| (currency, name, false, minor)).collect(),
            other_revenue: Vec::new(),
            visitors: self.visitors,
            orders: Bytes::new(&[]),
            distinct_order_bytes: 0,
        };
        newer.into_partial()
    }
}

impl Version3<'_> {
    fn into_partial(self) -> Result<Partial, StateError> {
        let metrics = Metrics::bits(["event_count", "revenue", "unique_visitors"]).unwrap_or_default();
        let policy = Policy { limit: self.limit, metrics, ..Policy::default() };
        let mut partial = Partial::new(self.window_start_ms, &policy);
        partial.events = self.events;
        partial.orders = orders(self.orders, self.distinct_order_bytes)?;
        for (name, is_protected, counts) in self.counts {
            partial.metrics.event_count.put(name, is_protected, by_source(counts));
        }
        partial.metrics.event_count.put_rest(&by_source(self.other_counts));
        partial.metrics.revenue = Revenue::of(self.revenue, self.other_revenue, &policy);
        let names = Source::OWN.map(Source::name);
        partial.metrics.unique_visitors =
            UniqueVisitors(SourceSketches::of(names.into_iter().zip(self.visitors).collect())?);
        Ok(partial)
    }
}

fn by_source(counts: PerSource<u64>) -> BySource<u64> {
    let mut found = BySource::default();
    Source::OWN.into_iter().zip(counts).for_each(|(source, count)| *found.get_mut(source) = count);
    found
}
