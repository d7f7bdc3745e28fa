//! Amounts by dimension, of which there may be any number in the events but only so many in memory.
//!
//! A producer that puts ids into event types or categories must neither exhaust the memory nor push out
//! the true rows. So protected dimensions, those a [`Policy`] names, are kept first; of the others the
//! first in the order of their names, as many as fit; the amounts of the rest are added up under
//! [`OTHER`]. Which those are follows from the set of names alone: neither the order of the events nor
//! how they were batched and merged changes a row.

use rustc_hash::FxHashSet;

use crate::aggregate::PerSource;

/// The dimension of what did not fit. No event type is spelled like this; a category that is
/// belongs here as well.
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

/// The amount of one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<V> {
    /// The currency of revenue; `""` for event types.
    pub currency: String,
    /// Event type or category.
    pub name: String,
    /// Whether it is kept before others.
    pub is_protected: bool,
    /// What was counted.
    pub amount: V,
}

/// Amounts of at most `limit` dimensions, and what the rest adds up to by currency.
#[derive(Debug, Clone)]
pub struct Bounded<V> {
    limit: usize,
    /// Sorted by currency, then name.
    entries: Vec<Entry<V>>,
    /// Sorted by currency. At most one for each of the 17,576 codes.
    others: Vec<(String, V)>,
}

impl<V: Amount> Bounded<V> {
    /// No amounts yet, of at most `limit` dimensions.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, entries: Vec::new(), others: Vec::new() }
    }

    /// Most dimensions that are kept.
    #[must_use]
    pub fn limit(&self) -> u32 {
        u32::try_from(self.limit).unwrap_or(u32::MAX)
    }

    /// The amounts by dimension, sorted by currency and name.
    #[must_use]
    pub fn entries(&self) -> &[Entry<V>] {
        &self.entries
    }

    /// What did not fit, sorted by currency.
    #[must_use]
    pub fn others(&self) -> &[(String, V)] {
        &self.others
    }

    /// Adds to a dimension; `is_protected` is asked only when the dimension is new.
    ///
    /// ```
    /// use rtea_core::dimension::Bounded;
    /// let mut sums = Bounded::<i128>::new(1);
    /// sums.add("EUR", "toys", 3, || false);
    /// sums.add("EUR", "books", 4, || false);
    /// assert_eq!(sums.entries()[0].name, "books");
    /// assert_eq!(sums.others(), [("EUR".to_owned(), 3)]);
    /// ```
    pub fn add(&mut self, currency: &str, name: &str, amount: V, is_protected: impl FnOnce() -> bool) {
        if name == OTHER {
            return self.add_other(currency, amount);
        }
        match self.place(currency, name) {
            Ok(at) => self.entries[at].amount.add(amount),
            Err(at) => {
                let entry =
                    Entry { currency: currency.into(), name: name.into(), is_protected: is_protected(), amount };
                self.entries.insert(at, entry);
                self.shrink();
            }
        }
    }

    /// Adds to what did not fit.
    pub fn add_other(&mut self, currency: &str, amount: V) {
        match self.others.binary_search_by(|(other, _)| other.as_str().cmp(currency)) {
            Ok(at) => self.others[at].1.add(amount),
            Err(at) => self.others.insert(at, (currency.to_owned(), amount)),
        }
    }

    /// Adds every amount of another one; the smaller limit holds.
    pub fn merge(&mut self, other: &Self) {
        self.limit = self.limit.min(other.limit);
        self.shrink();
        for entry in &other.entries {
            self.add(&entry.currency, &entry.name, entry.amount, || entry.is_protected);
            if entry.is_protected {
                // Settings of before a restart may have protected fewer.
                if let Ok(at) = self.place(&entry.currency, &entry.name) {
                    self.entries[at].is_protected = true;
                }
            }
        }
        for (currency, amount) in &other.others {
            self.add_other(currency, *amount);
        }
    }

    fn place(&self, currency: &str, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (&*entry.currency, &*entry.name).cmp(&(currency, name)))
    }

    fn shrink(&mut self) {
        while self.entries.len() > self.limit {
            let last = self.entries.iter().rposition(|entry| !entry.is_protected).unwrap_or(self.entries.len() - 1);
            let entry = self.entries.remove(last);
            self.add_other(&entry.currency, entry.amount);
        }
    }
}
