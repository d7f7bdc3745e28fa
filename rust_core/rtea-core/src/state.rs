//! The state bytes of a partial aggregate. The job's operators exchange them, and checkpoints and savepoints store
//! them.
//!
//! They are one byte of version, then one MessagePack array with sorted entries. `tests/golden.rs` checks that this
//! release reads the bytes of every version in `tests/vectors/state`, and that it writes its own version unchanged.

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::aggregate::{OtherWindow, Partial};
use crate::dimension::{Bounded, DEFAULT_LIMIT};
use crate::event::{PerSource, Source, KNOWN_TYPES};
use crate::order::Orders;
use crate::sketch::{InvalidSketch, Sketch};

/// First byte of the state bytes that this release writes. If you change the layout, take the next number and keep a
/// reader for this one.
pub const STATE_VERSION: u8 = 3;

/// State bytes that cannot be read, or partials that cannot merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// Written by a release with another layout.
    UnknownVersion(u8),
    /// Not state bytes, or damaged.
    Corrupt(String),
    /// State bytes of different windows cannot merge.
    OtherWindow(OtherWindow),
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownVersion(version) => write!(
                f,
                "state bytes have version {version}, which this release does not know: use the release that wrote them"
            ),
            Self::Corrupt(what) => write!(f, "state bytes are damaged: {what}"),
            Self::OtherWindow(OtherWindow { this_ms, other_ms }) => {
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

impl From<OtherWindow> for StateError {
    fn from(error: OtherWindow) -> Self {
        Self::OtherWindow(error)
    }
}

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

/// Versions 2 and 3 have the same layout. In version 2, `events` leaves out the events in `orders`. Since version 3, it
/// is the number of all events.
#[derive(Serialize, Deserialize)]
struct Latest<'a> {
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

impl Partial {
    /// The state bytes. Without orders, equal partials with the same history of adds give equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let known = KNOWN_TYPES.into_iter().zip(self.known).map(|(name, counts)| (name, true, counts));
        let others = self.others.entries().into_iter().map(|entry| (entry.name, entry.is_protected, entry.amount));
        let mut counts: Vec<_> = known.chain(others).filter(|(.., counts)| *counts != [0, 0]).collect();
        counts.sort_unstable();
        let revenue = self.revenue.entries().into_iter();
        let sketches = Source::ALL.map(|source| self.visitors(source).to_bytes());
        let state = Latest {
            window_start_ms: self.window_start_ms,
            events: self.events,
            limit: self.others.limit(),
            counts,
            other_counts: self.others.others().first().map_or([0; 2], |(_, counts)| *counts),
            revenue: revenue.map(|entry| (entry.currency, entry.name, entry.is_protected, entry.amount)).collect(),
            other_revenue: self.revenue.others(),
            visitors: [Bytes::new(&sketches[0]), Bytes::new(&sketches[1])],
            orders: Bytes::new(self.orders.as_bytes()),
            distinct_order_bytes: self.orders.distinct_bytes(),
        };
        let size = 256 + sketches[0].len() + sketches[1].len() + state.orders.len();
        let mut bytes = Vec::with_capacity(size);
        bytes.push(STATE_VERSION);
        let Ok(()) = rmp_serde::encode::write(&mut bytes, &state) else { unreachable!("a vector takes every write") };
        bytes
    }

    /// Reads state bytes of this release or an earlier one.
    ///
    /// # Errors
    /// [`StateError`] when they come from a later version or are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let (version, body) = bytes.split_first().ok_or_else(|| StateError::Corrupt("no bytes".into()))?;
        match version {
            1 => read::<Version1<'_>>(body)?.into_partial(),
            2 => {
                let mut partial = read::<Latest<'_>>(body)?.into_partial()?;
                partial.events += partial.orders.count();
                Ok(partial)
            }
            3 => read::<Latest<'_>>(body)?.into_partial(),
            _ => Err(StateError::UnknownVersion(*version)),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, StateError> {
    rmp_serde::from_slice(body).map_err(|error| StateError::Corrupt(error.to_string()))
}

impl Version1<'_> {
    fn into_partial(self) -> Result<Partial, StateError> {
        let latest = Latest {
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
        latest.into_partial()
    }
}

impl Latest<'_> {
    fn into_partial(self) -> Result<Partial, StateError> {
        let mut others = Bounded::new(self.limit);
        let mut known: [PerSource<u64>; KNOWN_TYPES.len()] = Default::default();
        for (name, is_protected, counts) in self.counts {
            match KNOWN_TYPES.iter().position(|known| *known == name) {
                Some(index) => known[index] = counts,
                None => others.add("", name, counts, || is_protected),
            }
        }
        if self.other_counts != [0; 2] {
            others.add_other("", self.other_counts);
        }
        let mut revenue = Bounded::new(self.limit);
        for (currency, name, is_protected, minor) in self.revenue {
            revenue.add(currency, name, minor, || is_protected);
        }
        for (currency, minor) in self.other_revenue {
            revenue.add_other(currency, minor);
        }
        let [mobile, website] = self.visitors.map(|bytes| Sketch::from_bytes(bytes));
        Ok(Partial {
            window_start_ms: self.window_start_ms,
            events: self.events,
            known,
            others,
            revenue,
            visitors: [mobile?, website?],
            orders: Orders::from_bytes(self.orders, self.distinct_order_bytes)
                .ok_or_else(|| StateError::Corrupt("orders".into()))?,
        })
    }
}
