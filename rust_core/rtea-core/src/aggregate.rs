//! Partial aggregates: what a batch or a window has counted so far, and how two of them merge.
//!
//! Made by [`crate::fold`], merged by the window operator through state bytes, turned into rows by
//! [`crate::result`]. Merging is associative and commutative, and folding two batches one after
//! the other equals merging their partials (`tests/laws.rs`).

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::event::{Event, Source, DEFAULT_CURRENCY, KNOWN_TYPES, PURCHASE};
use crate::sketch::{InvalidSketch, Sketch};

/// First byte of the state bytes. A change of the layout takes the next number and keeps a reader
/// for this one.
pub const STATE_VERSION: u8 = 1;

/// Counts by [`Source`], in the order of [`Source::ALL`].
pub type PerSource<T> = [T; 2];

/// What a set of events of one window adds up to.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Start of the window, ms since the epoch.
    pub window_start_ms: i64,
    /// Number of events counted: the revision of the window's rows.
    pub events: u64,
    known: [PerSource<u64>; KNOWN_TYPES.len()],
    others: FxHashMap<String, PerSource<u64>>,
    /// Minor units by currency, then category.
    revenue: FxHashMap<String, FxHashMap<String, i128>>,
    visitors: PerSource<Sketch>,
}

/// State bytes that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// Written by a release with another layout.
    UnknownVersion(u8),
    /// Not state bytes, or damaged.
    Corrupt(String),
    /// Two partials of different windows cannot merge.
    OtherWindow {
        /// The window of the receiving partial.
        this_ms: i64,
        /// The window of the other one.
        other_ms: i64,
    },
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownVersion(version) => write!(
                f,
                "partial aggregate has state version {version}, this release reads {STATE_VERSION}: use the release that wrote it"
            ),
            Self::Corrupt(what) => write!(f, "partial aggregate is damaged: {what}"),
            Self::OtherWindow { this_ms, other_ms } => {
                write!(f, "partials of the windows at {this_ms} and {other_ms} ms cannot merge")
            }
        }
    }
}

impl std::error::Error for StateError {}

impl From<InvalidSketch> for StateError {
    fn from(error: InvalidSketch) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// The layout of the state bytes after the version byte: one MessagePack array, entries sorted.
#[derive(Serialize, Deserialize)]
struct State<'a> {
    window_start_ms: i64,
    events: u64,
    #[serde(borrow)]
    counts: Vec<(&'a str, PerSource<u64>)>,
    #[serde(borrow)]
    revenue: Vec<(&'a str, &'a str, i128)>,
    #[serde(borrow)]
    visitors: PerSource<&'a Bytes>,
}

impl Partial {
    /// A partial without events.
    #[must_use]
    pub fn new(window_start_ms: i64) -> Self {
        Self {
            window_start_ms,
            events: 0,
            known: Default::default(),
            others: FxHashMap::default(),
            revenue: FxHashMap::default(),
            visitors: Default::default(),
        }
    }

    /// Counts one event. Revenue counts the items of purchases only.
    pub fn add(&mut self, event: &Event<'_>) {
        let source = event.source as usize;
        self.events += 1;
        self.counts_of(&event.event_type)[source] += 1;
        self.visitors[source].add(event.visitor_id.as_bytes());
        if event.event_type == PURCHASE {
            let currency = event.currency.as_deref().unwrap_or(DEFAULT_CURRENCY);
            let categories = entry(&mut self.revenue, currency);
            for item in &event.items {
                *entry(categories, &item.category) += i128::from(item.price_minor) * i128::from(item.quantity);
            }
        }
    }

    fn counts_of(&mut self, event_type: &str) -> &mut PerSource<u64> {
        match KNOWN_TYPES.iter().position(|known| *known == event_type) {
            Some(index) => &mut self.known[index],
            None => entry(&mut self.others, event_type),
        }
    }

    /// Adds another partial of the same window to this one.
    ///
    /// # Errors
    /// [`StateError::OtherWindow`] when the windows differ; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), StateError> {
        if self.window_start_ms != other.window_start_ms {
            return Err(StateError::OtherWindow { this_ms: self.window_start_ms, other_ms: other.window_start_ms });
        }
        self.events += other.events;
        for (event_type, counts) in other.counts() {
            let mine = self.counts_of(event_type);
            mine.iter_mut().zip(counts).for_each(|(mine, count)| *mine += count);
        }
        for (currency, category, amount) in other.revenue() {
            *entry(entry(&mut self.revenue, currency), category) += amount;
        }
        for (mine, sketch) in self.visitors.iter_mut().zip(&other.visitors) {
            mine.merge(sketch);
        }
        Ok(())
    }

    /// Counts by event type, unordered; types without events may appear with zeros.
    pub fn counts(&self) -> impl Iterator<Item = (&str, PerSource<u64>)> {
        let others = self.others.iter().map(|(name, counts)| (name.as_str(), *counts));
        KNOWN_TYPES.into_iter().zip(self.known).chain(others)
    }

    /// Revenue in minor units by currency and category, unordered.
    pub fn revenue(&self) -> impl Iterator<Item = (&str, &str, i128)> {
        self.revenue.iter().flat_map(|(currency, categories)| {
            categories.iter().map(move |(category, amount)| (currency.as_str(), category.as_str(), *amount))
        })
    }

    /// The sketch of one source's visitors.
    #[must_use]
    pub fn visitors(&self, source: Source) -> &Sketch {
        &self.visitors[source as usize]
    }

    /// The state bytes. Equal partials with the same history of adds give equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut counts: Vec<_> = self.counts().filter(|(_, counts)| *counts != [0, 0]).collect();
        counts.sort_unstable();
        let mut revenue: Vec<_> = self.revenue().collect();
        revenue.sort_unstable();
        let sketches = [self.visitors[0].to_bytes(), self.visitors[1].to_bytes()];
        let state = State {
            window_start_ms: self.window_start_ms,
            events: self.events,
            counts,
            revenue,
            visitors: [Bytes::new(&sketches[0]), Bytes::new(&sketches[1])],
        };
        let mut bytes = Vec::with_capacity(256 + sketches[0].len() + sketches[1].len());
        bytes.push(STATE_VERSION);
        let Ok(()) = rmp_serde::encode::write(&mut bytes, &state) else { unreachable!("a vector takes every write") };
        bytes
    }

    /// Reads state bytes.
    ///
    /// # Errors
    /// [`StateError`] when they come from another version or are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let (version, body) = bytes.split_first().ok_or_else(|| StateError::Corrupt("no bytes".into()))?;
        if *version != STATE_VERSION {
            return Err(StateError::UnknownVersion(*version));
        }
        let state: State<'_> = rmp_serde::from_slice(body).map_err(|error| StateError::Corrupt(error.to_string()))?;
        let mut partial = Self::new(state.window_start_ms);
        partial.events = state.events;
        for (event_type, counts) in state.counts {
            *partial.counts_of(event_type) = counts;
        }
        for (currency, category, amount) in state.revenue {
            *entry(entry(&mut partial.revenue, currency), category) = amount;
        }
        partial.visitors = [Sketch::from_bytes(state.visitors[0])?, Sketch::from_bytes(state.visitors[1])?];
        Ok(partial)
    }
}

/// The entry of `key`, made when missing; allocates only then.
fn entry<'m, V: Default>(map: &'m mut FxHashMap<String, V>, key: &str) -> &'m mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    let Some(value) = map.get_mut(key) else { unreachable!("inserted above") };
    value
}
