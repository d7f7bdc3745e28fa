//! The ground truth: the rows that each window must have, counted from the model itself.
//!
//! [`crate::feed`] counts each [`Moment`] here when it is due. `rtea_gen` merges the counts of the shards and writes
//! them to the manifest. This module shares no code with the codec, the sketches or the aggregation of `rtea-core`: it
//! keeps visitors as numbers in exact sets, and categories as numbers of the model.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::behaviour::{Action, ACTIONS};
use crate::fault::{Fault, Injection};
use crate::population::Population;
use crate::shop::Shop;
use crate::stream::Moment;

const FORMAT_VERSION: u8 = 3;

/// How many kinds of faults are counted: each of [`Fault::ALL`], then hot keys.
pub const FAULTS: usize = Fault::ALL.len() + 1;

/// What the events of one window add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    /// Number of events.
    pub events: u64,
    /// Events by source, then action.
    pub counts: [[u64; ACTIONS]; 2],
    /// Revenue in minor units, by category number and currency code.
    pub revenue: BTreeMap<(u32, [u8; 3]), i64>,
    /// The visitors seen, as the numbers of their ids, by source.
    pub visitors: [RoaringBitmap; 2],
    /// Corrupted events whose time falls into the window, by fault.
    pub faults: [u64; FAULTS],
    /// What else a shop counts, if it was asked for.
    pub shop: Option<Box<Shop>>,
}

impl Window {
    /// Counts one moment, with the fault that its injection names.
    pub fn add(&mut self, moment: &Moment, injection: Injection, population: &Population) {
        self.faults[FAULTS - 1] += u64::from(injection.has_hot_key);
        let Some(fault) = injection.fault else {
            return self.count(moment, population);
        };
        self.faults[fault as usize] += 1;
        if fault.counts() {
            self.count(moment, population);
        }
        let is_repeated_order = injection.orders_once && moment.step.action == Action::Purchase;
        match (fault, is_repeated_order) {
            // A repeated order only raises the revision of its window.
            (Fault::Duplicate, true) => self.events += 1,
            (Fault::Duplicate, false) => self.count(moment, population),
            _ => {}
        }
    }

    fn count(&mut self, moment: &Moment, population: &Population) {
        let step = &moment.step;
        let source = step.source.index();
        if let Some(shop) = &mut self.shop {
            shop.count(moment, population);
        }
        self.events += 1;
        self.counts[source][step.action as usize] += 1;
        self.visitors[source].insert(step.visitor.id());
        if step.action == Action::Purchase {
            let (catalogue, countries) = (&population.catalogue, &population.mixes.countries);
            let currency = step.visitor.country(countries).currency_code();
            for line in step.lines() {
                let category = u32::try_from(catalogue.number_of(line.product)).unwrap_or(0);
                *self.revenue.entry((category, currency)).or_default() +=
                    catalogue.price_minor(line.product) * i64::from(line.quantity);
            }
        }
    }

    /// Adds another shard's counts of the same window.
    pub fn merge(&mut self, other: &Self) {
        self.events += other.events;
        for (mine, theirs) in self.counts.as_flattened_mut().iter_mut().zip(other.counts.as_flattened()) {
            *mine += theirs;
        }
        for (key, amount) in &other.revenue {
            *self.revenue.entry(*key).or_default() += amount;
        }
        for (mine, theirs) in self.visitors.iter_mut().zip(&other.visitors) {
            *mine |= theirs;
        }
        for (mine, theirs) in self.faults.iter_mut().zip(other.faults) {
            *mine += theirs;
        }
        if let Some(theirs) = &other.shop {
            self.shop.get_or_insert_default().merge(theirs);
        }
    }

    /// Number of distinct visitors of both sources together.
    #[must_use]
    pub fn all_visitors(&self) -> u64 {
        self.visitors[0].union_len(&self.visitors[1])
    }

    /// Name and count of each fault that occurred.
    pub fn fault_counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = Fault::ALL.into_iter().map(Fault::name).chain(["hot_key"]);
        names.zip(self.faults).filter(|(_, count)| *count > 0)
    }

    /// The window as bytes, to pass between the shards of one run.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT_VERSION];
        bytes.extend(self.events.to_le_bytes());
        self.counts.as_flattened().iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        self.faults.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        bytes.extend((self.revenue.len() as u64).to_le_bytes());
        for ((category, currency), amount) in &self.revenue {
            bytes.extend(category.to_le_bytes());
            bytes.extend(currency);
            bytes.extend(amount.to_le_bytes());
        }
        for visitors in &self.visitors {
            let Ok(()) = visitors.serialize_into(&mut bytes) else { unreachable!("a vector takes every write") };
        }
        let Ok(()) = rmp_serde::encode::write(&mut bytes, &self.shop) else {
            unreachable!("a vector takes every write")
        };
        bytes
    }

    /// Reads [`Window::to_bytes`]; `None` when the bytes are cut off or of another version.
    #[must_use]
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        if take::<1>(rest)? != [FORMAT_VERSION] {
            return None;
        }
        let mut window = Self { events: u64::from_le_bytes(take(rest)?), ..Self::default() };
        for count in window.counts.as_flattened_mut() {
            *count = u64::from_le_bytes(take(rest)?);
        }
        for count in &mut window.faults {
            *count = u64::from_le_bytes(take(rest)?);
        }
        for _ in 0..u64::from_le_bytes(take(rest)?) {
            let key = (u32::from_le_bytes(take(rest)?), take(rest)?);
            window.revenue.insert(key, i64::from_le_bytes(take(rest)?));
        }
        for visitors in &mut window.visitors {
            *visitors = RoaringBitmap::deserialize_from(&mut *rest).ok()?;
        }
        window.shop = rmp_serde::from_slice(rest).ok()?;
        Some(window)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

/// The open windows of one shard.
#[derive(Debug)]
pub struct Ledger {
    window_ms: i64,
    has_shop: bool,
    windows: BTreeMap<i64, Window>,
}

impl Ledger {
    /// A ledger of tumbling windows. `window_ms` is their length and must be positive. `has_shop` says whether to count
    /// more than events, revenue and visitors, for some more time.
    #[must_use]
    pub fn new(window_ms: i64, has_shop: bool) -> Self {
        Self { window_ms, has_shop, windows: BTreeMap::new() }
    }

    /// Counts one moment in its window.
    pub fn add(&mut self, moment: &Moment, injection: Injection, population: &Population) {
        let start_ms = moment.time_ms.div_euclid(self.window_ms) * self.window_ms;
        let shop = || self.has_shop.then(Box::default);
        let window = self.windows.entry(start_ms).or_insert_with(|| Window { shop: shop(), ..Window::default() });
        window.add(moment, injection, population);
    }

    /// Removes the windows that end at or before a time, and returns their starts and contents, oldest first.
    pub fn take_until(&mut self, time_ms: i64) -> Vec<(i64, Window)> {
        let first_open = time_ms.saturating_sub(self.window_ms).saturating_add(1);
        let open = self.windows.split_off(&first_open);
        std::mem::replace(&mut self.windows, open).into_iter().collect()
    }
}
