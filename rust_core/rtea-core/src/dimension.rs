//! Amounts by dimension. Events may name any number of dimensions, but a window keeps only a limited number of them.
//!
//! A producer that puts ids into event types or categories must neither exhaust the memory nor displace the rows of
//! known dimensions. So a window first keeps the protected dimensions, which a [`Policy`] names, and then as many
//! others as fit, in the order of their names. It adds up the rest as [`OTHER`]. The choice depends only on the set of
//! names: the order of the events, the batches and the merges change no row.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ahash::RandomState;
use indexmap::IndexMap;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::source::BySource;

/// The dimension of the amounts that did not fit. No event type can have this name. A category with this name is added
/// here.
pub const OTHER: &str = "(other)";

/// How many dimensions of a kind a window keeps by default.
pub const DEFAULT_LIMIT: u32 = 1_000;

/// How many products of a window have rows by default.
pub const DEFAULT_TOP_PRODUCTS: u32 = 100;

/// Which dimensions a window keeps, and whether it counts an order once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Highest number of event types besides the schema's, and of pairs of currency and category.
    pub limit: u32,
    /// Event types besides the schema's that are kept first.
    pub event_types: FxHashSet<String>,
    /// Categories that are kept first, if the currency is one of `currencies`.
    pub categories: FxHashSet<String>,
    /// Currencies whose categories are kept first.
    pub currencies: FxHashSet<String>,
    /// Whether purchases with the same order id count once.
    pub deduplicate_orders: bool,
    /// How many products of a window have rows.
    pub top_products: u32,
    /// A bit for each metric that is counted, by its place in [`crate::metrics::Metrics::LIST`].
    pub metrics: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            event_types: FxHashSet::default(),
            categories: FxHashSet::default(),
            currencies: FxHashSet::default(),
            deduplicate_orders: false,
            top_products: DEFAULT_TOP_PRODUCTS,
            metrics: u32::MAX,
        }
    }
}

/// What a partial keeps of its policy: what decides the rows of counts that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    limit: u32,
    metrics: u32,
    top_products: u32,
}

impl Kept {
    /// The part of a policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self { limit: policy.limit, metrics: policy.metrics, top_products: policy.top_products }
    }

    /// What remains when a partial with another policy is merged: the smaller limits, and the metrics of both.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self {
            limit: self.limit.min(other.limit),
            metrics: self.metrics & other.metrics,
            top_products: self.top_products.min(other.top_products),
        }
    }

    /// A policy that protects nothing.
    #[must_use]
    pub fn policy(self) -> Policy {
        let Self { limit, metrics, top_products } = self;
        Policy { limit, metrics, top_products, ..Policy::default() }
    }
}

impl Policy {
    /// Whether a category's revenue in a currency is kept before others.
    #[must_use]
    pub fn protects(&self, currency: &str, category: &str) -> bool {
        self.categories.contains(category) && self.currencies.contains(currency)
    }

    /// Whether the metric at a place of the list is counted.
    #[inline]
    #[must_use]
    pub fn counts(&self, place: usize) -> bool {
        self.metrics >> place & 1 == 1
    }
}

/// An amount that can be added up by dimension.
pub trait Amount: Clone + Default {
    /// Adds another amount to this one.
    fn add(&mut self, other: &Self);
}

impl Amount for i128 {
    fn add(&mut self, other: &Self) {
        *self += other;
    }
}

impl Amount for BySource<u64> {
    fn add(&mut self, other: &Self) {
        other.iter().for_each(|(source, count)| *self.get_mut(source) += count);
    }
}

/// The amount of one dimension, as a window keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a, V> {
    /// What the names belong to: the currency of revenue, or the kind of an audience; otherwise `""`.
    pub group: &'a str,
    /// What is counted, for example an event type or a category.
    pub name: &'a str,
    /// Whether it is kept before others.
    pub is_protected: bool,
    /// The amount that was counted.
    pub amount: &'a V,
}

/// Names come from producers. They cannot choose names that collide, because each process has random keys.
static HASHER: OnceLock<RandomState> = OnceLock::new();

fn hasher() -> RandomState {
    HASHER.get_or_init(RandomState::new).clone()
}

/// Hashes names with the same keys in every process. A benchmark that counts instructions calls this first; nothing
/// else should, because a producer could then choose names that collide. It has no effect after the first name.
pub fn fix_hash_keys() {
    HASHER.get_or_init(|| RandomState::with_seeds(1, 2, 3, 4));
}

#[derive(Debug, Clone)]
struct Slot<V> {
    is_protected: bool,
    amount: V,
}

/// Amounts of at most `limit` dimensions, and the sum of the rest by group.
///
/// It holds up to twice as many dimensions, so that dropping the last ones takes constant time per new name on average,
/// whatever the order of the names. A reader sees `limit` of them. If a dropped name comes again, it is dropped again,
/// because the names before it stay.
#[derive(Debug, Clone)]
pub struct Bounded<V> {
    limit: usize,
    /// By group, then name. Names stay in the order in which they came: what is read from state bytes is sorted already,
    /// so that to sort it again takes one pass.
    held: BTreeMap<String, IndexMap<String, Slot<V>, RandomState>>,
    length: usize,
    /// By group. At most one for each of the 17,576 codes.
    others: BTreeMap<String, V>,
}

impl<V: Amount> Bounded<V> {
    /// An empty set of amounts, for at most `limit` dimensions.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, held: BTreeMap::new(), length: 0, others: BTreeMap::new() }
    }

    /// Highest number of dimensions that are kept.
    #[must_use]
    pub fn limit(&self) -> u32 {
        u32::try_from(self.limit).unwrap_or(u32::MAX)
    }

    /// The amounts by dimension, sorted by group and name.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry<'_, V>> {
        self.split().0
    }

    /// The amounts that did not fit, sorted by group.
    #[must_use]
    pub fn others(&self) -> Vec<(&str, V)> {
        let mut others: BTreeMap<&str, V> =
            self.others.iter().map(|(name, amount)| (name.as_str(), amount.clone())).collect();
        if self.length <= self.limit {
            return others.into_iter().collect();
        }
        self.split().1.iter().for_each(|entry| others.entry(entry.group).or_default().add(entry.amount));
        others.into_iter().collect()
    }

    /// Adds to a dimension. Calls `is_protected` only if the dimension is new. Constant time on average, but a dimension
    /// beyond the limit takes logarithmic time.
    ///
    /// ```
    /// use rtea_core::dimension::Bounded;
    /// let mut sums = Bounded::<i128>::new(1);
    /// sums.add("EUR", "toys", &3, || false);
    /// sums.add("EUR", "books", &4, || false);
    /// assert_eq!(sums.entries()[0].name, "books");
    /// assert_eq!(sums.others(), [("EUR", 3)]);
    /// ```
    pub fn add(&mut self, group: &str, name: &str, amount: &V, is_protected: impl FnOnce() -> bool) {
        if name == OTHER {
            return self.add_other(group, amount);
        }
        self.slot(group, name, is_protected).add(amount);
    }

    /// The amount of a dimension, to change it; nothing yet if the dimension is new. Otherwise like [`Self::add`].
    pub fn slot(&mut self, group: &str, name: &str, is_protected: impl FnOnce() -> bool) -> &mut V {
        if name == OTHER {
            return self.others.entry(group.to_owned()).or_default();
        }
        let place = self.held.get(group).and_then(|names| names.get_index_of(name));
        let place = place
            .unwrap_or_else(|| self.insert(group, name, Slot { is_protected: is_protected(), amount: V::default() }));
        let slot = self.held.get_mut(group).and_then(|names| names.get_index_mut(place));
        match slot {
            Some((_, slot)) => &mut slot.amount,
            None => unreachable!("it was found or inserted above"),
        }
    }

    /// Inserts a new dimension, and gives its place in its group.
    fn insert(&mut self, group: &str, name: &str, slot: Slot<V>) -> usize {
        // Before the new dimension, which must not be dropped while it is changed.
        if self.length >= 2 * self.limit {
            self.shrink();
        }
        if !self.held.contains_key(group) {
            self.held.insert(group.to_owned(), IndexMap::with_hasher(hasher()));
        }
        match self.held.get_mut(group) {
            Some(names) => {
                let (place, known) = names.insert_full(name.to_owned(), slot);
                self.length += usize::from(known.is_none());
                place
            }
            None => unreachable!("the group was inserted above"),
        }
    }

    /// Takes a dimension from state bytes, which name each one once.
    pub fn restore(&mut self, group: &str, name: &str, is_protected: bool, amount: V) {
        if name == OTHER {
            self.add_other(group, &amount);
        } else {
            self.insert(group, name, Slot { is_protected, amount });
        }
    }

    /// Adds to the amounts that did not fit.
    pub fn add_other(&mut self, group: &str, amount: &V) {
        add_to(&mut self.others, group, amount);
    }

    /// Adds every amount of another set. The smaller of the two limits applies.
    pub fn merge(&mut self, other: &Self) {
        self.limit = self.limit.min(other.limit);
        for (group, names) in &other.held {
            for (name, theirs) in names {
                match self.held.get_mut(group).and_then(|names| names.get_mut(name)) {
                    Some(mine) => {
                        mine.amount.add(&theirs.amount);
                        // Before a restart, the settings may have protected fewer dimensions.
                        mine.is_protected |= theirs.is_protected;
                    }
                    None => drop(self.insert(group, name, theirs.clone())),
                }
            }
        }
        for (group, amount) in &other.others {
            self.add_other(group, amount);
        }
        if self.length > 2 * self.limit {
            self.shrink();
        }
    }

    /// Each amount that did not fit, perhaps several of a group.
    pub fn dropped(&self) -> impl Iterator<Item = &V> {
        let beyond = if self.length <= self.limit { Vec::new() } else { self.split().1 };
        self.others.values().chain(beyond.into_iter().map(|entry| entry.amount))
    }

    /// Two sets that give this one when merged; `None` if it has fewer than two dimensions.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let entries = self.entries();
        if entries.len() < 2 {
            return None;
        }
        let of = |entries: &[Entry<'_, V>]| {
            let mut half = Self { limit: self.limit, held: BTreeMap::new(), length: 0, others: BTreeMap::new() };
            entries.iter().for_each(|entry| half.add(entry.group, entry.name, entry.amount, || entry.is_protected));
            half
        };
        let (first, second) = entries.split_at(entries.len() / 2);
        let mut first = of(first);
        first.others = self.others().into_iter().map(|(group, amount)| (group.to_owned(), amount)).collect();
        Some((first, of(second)))
    }

    /// The dimensions that are kept, and those that are not, sorted by group and name.
    fn split(&self) -> (Vec<Entry<'_, V>>, Vec<Entry<'_, V>>) {
        let mut all = Vec::with_capacity(self.length);
        for (group, names) in &self.held {
            let start = all.len();
            all.extend(names.iter().map(|(name, Slot { is_protected, amount })| Entry {
                group,
                name,
                is_protected: *is_protected,
                amount,
            }));
            // The stable sort uses what is in order already.
            all[start..].sort_by_key(|entry| entry.name);
        }
        if self.length <= self.limit {
            return (all, Vec::new());
        }
        let mut room = self.room();
        all.into_iter().partition(|entry| room.take(entry.is_protected))
    }

    fn room(&self) -> Room {
        let slots = self.held.values().flat_map(IndexMap::values);
        let protected = slots.filter(|slot| slot.is_protected).count().min(self.limit);
        Room { protected, others: self.limit - protected }
    }

    fn shrink(&mut self) {
        let mut room = self.room();
        for (group, names) in &mut self.held {
            names.sort_keys();
            names.retain(|_, slot| {
                let stays = room.take(slot.is_protected);
                if !stays {
                    add_to(&mut self.others, group, &slot.amount);
                }
                stays
            });
        }
        self.held.retain(|_, names| !names.is_empty());
        self.length = self.held.values().map(IndexMap::len).sum();
    }
}

fn add_to<V: Amount>(others: &mut BTreeMap<String, V>, group: &str, amount: &V) {
    match others.get_mut(group) {
        Some(sum) => sum.add(amount),
        None => drop(others.insert(group.to_owned(), amount.clone())),
    }
}

/// How many dimensions still fit.
struct Room {
    protected: usize,
    others: usize,
}

impl Room {
    /// Takes the place of one dimension, if there is one.
    fn take(&mut self, is_protected: bool) -> bool {
        let room = if is_protected { &mut self.protected } else { &mut self.others };
        let fits = *room > 0;
        *room -= usize::from(fits);
        fits
    }
}
