//! Amounts by dimension, of which there may be any number in the events but only so many in memory.
//!
//! A producer that puts ids into event types or categories must neither exhaust the memory nor push out
//! the true rows. So protected dimensions, those a [`Policy`] names, are kept first; of the others the
//! first in the order of their names, as many as fit; the amounts of the rest are added up under
//! [`OTHER`]. Which those are follows from the set of names alone: neither the order of the events nor
//! how they were batched and merged changes a row.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use crate::aggregate::PerSource;

/// The dimension of what did not fit. No event type can have this name; a category with this name is added here.
pub const OTHER: &str = "(other)";

/// Dimensions of a kind that a window keeps, unless the settings say otherwise.
pub const DEFAULT_LIMIT: u32 = 1_000;

/// Which dimensions a window keeps, and whether it counts an order once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Most event types beside the schema's, and most pairs of currency and category.
    pub limit: u32,
    /// Event types beside the schema's that are kept first.
    pub event_types: FxHashSet<String>,
    /// Categories that are kept first, in one of `currencies`.
    pub categories: FxHashSet<String>,
    /// Currencies whose categories are kept first.
    pub currencies: FxHashSet<String>,
    /// Whether purchases with the same order id count once.
    pub deduplicate_orders: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            event_types: FxHashSet::default(),
            categories: FxHashSet::default(),
            currencies: FxHashSet::default(),
            deduplicate_orders: false,
        }
    }
}

impl Policy {
    /// Whether a category's revenue in a currency is kept before others.
    #[must_use]
    pub fn protects(&self, currency: &str, category: &str) -> bool {
        self.categories.contains(category) && self.currencies.contains(currency)
    }
}

/// What can be counted by dimension.
pub trait Amount: Copy + Default {
    /// Adds another amount to this one.
    fn add(&mut self, other: Self);
}

impl Amount for i128 {
    fn add(&mut self, other: Self) {
        *self += other;
    }
}

impl Amount for PerSource<u64> {
    fn add(&mut self, other: Self) {
        self.iter_mut().zip(other).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// The amount of one dimension, as a window keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a, V> {
    /// The currency of revenue; `""` for event types.
    pub currency: &'a str,
    /// Event type or category.
    pub name: &'a str,
    /// Whether it is kept before others.
    pub is_protected: bool,
    /// What was counted.
    pub amount: V,
}

#[derive(Debug, Clone)]
struct Slot<V> {
    is_protected: bool,
    amount: V,
}

/// Amounts of at most `limit` dimensions, and what the rest adds up to by currency.
///
/// Up to twice as many are held, so that dropping the last ones costs a constant time for each name that comes,
/// in whatever order they come; a reader sees `limit` of them. A name that was dropped and comes again is
/// dropped again: the names before it stay.
#[derive(Debug, Clone)]
pub struct Bounded<V> {
    limit: usize,
    /// By currency, then name.
    held: BTreeMap<String, BTreeMap<String, Slot<V>>>,
    length: usize,
    /// By currency. At most one for each of the 17,576 codes.
    others: BTreeMap<String, V>,
}

impl<V: Amount> Bounded<V> {
    /// No amounts yet, of at most `limit` dimensions.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, held: BTreeMap::new(), length: 0, others: BTreeMap::new() }
    }

    /// Most dimensions that are kept.
    #[must_use]
    pub fn limit(&self) -> u32 {
        u32::try_from(self.limit).unwrap_or(u32::MAX)
    }

    /// The amounts by dimension, sorted by currency and name.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry<'_, V>> {
        self.split().0
    }

    /// What did not fit, sorted by currency.
    #[must_use]
    pub fn others(&self) -> Vec<(&str, V)> {
        let mut others: BTreeMap<&str, V> = self.others.iter().map(|(name, amount)| (name.as_str(), *amount)).collect();
        if self.length <= self.limit {
            return others.into_iter().collect();
        }
        self.split().1.iter().for_each(|entry| others.entry(entry.currency).or_default().add(entry.amount));
        others.into_iter().collect()
    }

    /// Adds to a dimension; `is_protected` is asked only when the dimension is new. Logarithmic in the dimensions.
    ///
    /// ```
    /// use rtea_core::dimension::Bounded;
    /// let mut sums = Bounded::<i128>::new(1);
    /// sums.add("EUR", "toys", 3, || false);
    /// sums.add("EUR", "books", 4, || false);
    /// assert_eq!(sums.entries()[0].name, "books");
    /// assert_eq!(sums.others(), [("EUR", 3)]);
    /// ```
    pub fn add(&mut self, currency: &str, name: &str, amount: V, is_protected: impl FnOnce() -> bool) {
        if name == OTHER {
            return self.add_other(currency, amount);
        }
        if let Some(slot) = self.held.get_mut(currency).and_then(|names| names.get_mut(name)) {
            return slot.amount.add(amount);
        }
        let slot = Slot { is_protected: is_protected(), amount };
        self.held.entry(currency.to_owned()).or_default().insert(name.to_owned(), slot);
        self.length += 1;
        if self.length > 2 * self.limit {
            self.shrink();
        }
    }

    /// Adds to what did not fit.
    pub fn add_other(&mut self, currency: &str, amount: V) {
        match self.others.get_mut(currency) {
            Some(sum) => sum.add(amount),
            None => drop(self.others.insert(currency.to_owned(), amount)),
        }
    }

    /// Adds every amount of another one; the smaller limit holds.
    pub fn merge(&mut self, other: &Self) {
        self.limit = self.limit.min(other.limit);
        for (currency, names) in &other.held {
            for (name, Slot { is_protected, amount }) in names {
                self.add(currency, name, *amount, || *is_protected);
                if *is_protected {
                    // Settings of before a restart may have protected fewer.
                    self.protect(currency, name);
                }
            }
        }
        for (currency, amount) in &other.others {
            self.add_other(currency, *amount);
        }
        if self.length > 2 * self.limit {
            self.shrink();
        }
    }

    /// What did not fit, without the dimensions that did.
    #[must_use]
    pub fn without_entries(&self) -> Self {
        let others = self.others().into_iter().map(|(currency, amount)| (currency.to_owned(), amount)).collect();
        Self { limit: self.limit, held: BTreeMap::new(), length: 0, others }
    }

    fn protect(&mut self, currency: &str, name: &str) {
        if let Some(slot) = self.held.get_mut(currency).and_then(|names| names.get_mut(name)) {
            slot.is_protected = true;
        }
    }

    /// What is kept and what is not. Linear in what is held.
    fn split(&self) -> (Vec<Entry<'_, V>>, Vec<Entry<'_, V>>) {
        let all = self.held.iter().flat_map(|(currency, names)| {
            names.iter().map(move |(name, Slot { is_protected, amount })| Entry {
                currency,
                name,
                is_protected: *is_protected,
                amount: *amount,
            })
        });
        if self.length <= self.limit {
            return (all.collect(), Vec::new());
        }
        let mut protected = self.held.values().flat_map(BTreeMap::values).filter(|slot| slot.is_protected).count();
        protected = protected.min(self.limit);
        let mut room = [self.limit - protected, protected];
        all.partition(|entry| {
            let room = &mut room[usize::from(entry.is_protected)];
            let fits = *room > 0;
            *room -= usize::from(fits);
            fits
        })
    }

    fn shrink(&mut self) {
        let dropped: Vec<_> =
            self.split().1.iter().map(|entry| (entry.currency.to_owned(), entry.name.to_owned())).collect();
        for (currency, name) in dropped {
            if let Some(slot) = self.held.get_mut(&currency).and_then(|names| names.remove(&name)) {
                self.length -= 1;
                self.add_other(&currency, slot.amount);
            }
        }
        self.held.retain(|_, names| !names.is_empty());
    }
}
