//! The state bytes of a partial aggregate. The job's operators exchange them, and checkpoints and savepoints store
//! them.
//!
//! They are one byte of version, then frames ([`frame`]): one MessagePack array, and name and section of each metric. So
//! a new metric needs no new version: state without its section has counted nothing of it yet. `tests/golden.rs` checks
//! that this release reads the bytes of every version in `tests/vectors/state`, and that it writes its own version
//! unchanged.
//!
//! The state of an open window may also be a run: state bytes, and behind them those of partials that are merged later
//! ([`accumulate`]).

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

mod earlier;

use crate::aggregate::{OtherWindow, Partial};
use crate::dimension::Kept;
use crate::frame;
use crate::metrics::InvalidSection;
use crate::order::Orders;

/// First byte of the state bytes that this release writes. If you change the layout, take the next number and keep a
/// reader for this one.
pub const STATE_VERSION: u8 = 4;

/// Room for the state of a window with two dense sketches. Growing would copy them.
const USUAL_BYTES: usize = 81_920;

/// First byte of a run. No version has this number.
const RUN: u8 = 0xff;

/// State bytes that cannot be read, or partials that cannot merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// Written by a release with another layout.
    UnknownVersion(u8),
    /// Written by a release with another metric.
    UnknownMetric(String),
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
            Self::UnknownMetric(name) => write!(
                f,
                "state bytes hold a metric {name:?}, which this release does not know: use the release that wrote them"
            ),
            Self::Corrupt(what) => write!(f, "state bytes are damaged: {what}"),
            Self::OtherWindow(OtherWindow { this_ms, other_ms }) => {
                write!(f, "partials of the windows at {this_ms} and {other_ms} ms cannot merge")
            }
        }
    }
}

impl std::error::Error for StateError {}

impl From<InvalidSection> for StateError {
    fn from(error: InvalidSection) -> Self {
        Self::Corrupt(error.0)
    }
}

impl From<OtherWindow> for StateError {
    fn from(error: OtherWindow) -> Self {
        Self::OtherWindow(error)
    }
}

/// The first frame. [`crate::metrics::Metrics::write`] makes the others.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    window_start_ms: i64,
    events: u64,
    kept: Kept,
    #[serde(borrow)]
    orders: &'a Bytes,
    distinct_order_bytes: usize,
}

impl Partial {
    /// The state bytes. Without orders, equal partials with the same history of adds give equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = Head {
            window_start_ms: self.window_start_ms,
            events: self.events,
            kept: self.kept,
            orders: Bytes::new(self.orders.as_bytes()),
            distinct_order_bytes: self.orders.distinct_bytes(),
        };
        let mut bytes = Vec::with_capacity(USUAL_BYTES + head.orders.len());
        bytes.push(STATE_VERSION);
        frame::append(&mut bytes, |bytes| {
            let Ok(()) = rmp_serde::encode::write(bytes, &head) else { unreachable!("a vector takes every write") };
        });
        self.metrics.write(&mut bytes);
        bytes
    }

    /// Reads state bytes of this release or an earlier one, or a run of them.
    ///
    /// # Errors
    /// [`StateError`] when they come from a later version or are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let (version, body) = bytes.split_first().ok_or_else(|| StateError::Corrupt("no bytes".into()))?;
        match *version {
            RUN => merge_run(body),
            STATE_VERSION => read_latest(body),
            version => earlier::read(version, body),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, StateError> {
    rmp_serde::from_slice(body).map_err(|error| StateError::Corrupt(error.to_string()))
}

fn orders(log: &[u8], distinct_bytes: usize) -> Result<Orders, StateError> {
    Orders::from_bytes(log, distinct_bytes).ok_or_else(|| StateError::Corrupt("orders".into()))
}

fn read_latest(mut body: &[u8]) -> Result<Partial, StateError> {
    let mut next = || if body.is_empty() { Ok(None) } else { take_part(&mut body).map(Some) };
    let head: Head<'_> = read(next()?.unwrap_or_default())?;
    let policy = head.kept.policy();
    let mut partial = Partial::new(head.window_start_ms, &policy);
    partial.events = head.events;
    partial.orders = orders(head.orders, head.distinct_order_bytes)?;
    while let Some(name) = next()? {
        let name = std::str::from_utf8(name).map_err(|error| StateError::Corrupt(error.to_string()))?;
        if !partial.metrics.read(name, next()?.unwrap_or_default(), &policy)? {
            return Err(StateError::UnknownMetric(name.to_owned()));
        }
    }
    Ok(partial)
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], StateError> {
    frame::take(rest).ok_or_else(|| StateError::Corrupt("a part is cut off".into()))
}

/// Adds a partial's state bytes to those of its window, and gives the new ones of the window.
///
/// Merging takes time in proportion to the window's state, so it waits until as many bytes wait as the state has. Then a
/// batch costs time in proportion to itself, however large the window is; its state is at most twice as large.
///
/// ```
/// use rtea_core::{aggregate::Partial, dimension::Policy, state::accumulate};
/// let partial = Partial::new(60_000, &Policy::default()).to_bytes();
/// let run = accumulate(&partial, &partial).unwrap();
/// assert_eq!(Partial::from_bytes(&run).unwrap().window_start_ms, 60_000);
/// ```
///
/// # Errors
/// [`StateError`] when bytes are damaged, or of different windows.
pub fn accumulate(window: &[u8], partial: &[u8]) -> Result<Vec<u8>, StateError> {
    let (merged, waiting) = match window.split_first() {
        Some((&RUN, mut run)) => (take_part(&mut run)?, run),
        _ => (window, [].as_slice()),
    };
    let mut run = Vec::with_capacity(16 + merged.len() + waiting.len() + partial.len());
    run.push(RUN);
    frame::append(&mut run, |run| run.extend_from_slice(merged));
    run.extend_from_slice(waiting);
    frame::append(&mut run, |run| run.extend_from_slice(partial));
    if waiting.len() + partial.len() < merged.len() {
        return Ok(run);
    }
    Partial::from_bytes(&run).map(|partial| partial.to_bytes())
}

fn merge_run(mut run: &[u8]) -> Result<Partial, StateError> {
    let mut merged = part_of_run(take_part(&mut run)?)?;
    while !run.is_empty() {
        merged.merge(&part_of_run(take_part(&mut run)?)?)?;
    }
    Ok(merged)
}

/// A run holds no runs, so that damaged bytes cannot nest without end.
fn part_of_run(part: &[u8]) -> Result<Partial, StateError> {
    if part.first() == Some(&RUN) {
        return Err(StateError::Corrupt("a run within a run".into()));
    }
    Partial::from_bytes(part)
}
