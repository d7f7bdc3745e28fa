//! How many events of a window were refused, by reason.
//!
//! [`crate::fold`] counts refused events, and [`Refused::late`] counts late partials. The job's operator
//! `rtea.flink.refused` merges the counts as state bytes. [`crate::result`] turns them into rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aggregate::{OtherWindow, Partial};
use crate::reject::Reason;
use crate::state::StateError;

/// First byte of the state bytes.
pub const REFUSED_VERSION: u8 = 1;

/// The reason of events that an event map leaves out on purpose: they are counted here, without a dead letter.
pub const SKIPPED: &str = "skipped";

/// Counts of one window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Start of the window, ms since the epoch.
    pub window_start_ms: i64,
    /// Events by reason.
    pub counts: BTreeMap<String, u64>,
}

impl Refused {
    /// The counts of a window in which nothing was refused yet.
    #[must_use]
    pub fn new(window_start_ms: i64) -> Self {
        Self { window_start_ms, counts: BTreeMap::new() }
    }

    /// The counts of a late partial: all its events were late.
    #[must_use]
    pub fn late(partial: &Partial) -> Self {
        let mut refused = Self::new(partial.window_start_ms);
        refused.add(Reason::Late.code(), partial.events());
        refused
    }

    /// Counts events of one reason.
    pub fn add(&mut self, reason: &str, events: u64) {
        *self.counts.entry(reason.to_owned()).or_default() += events;
    }

    /// Adds other counts of the same window.
    ///
    /// # Errors
    /// [`StateError::OtherWindow`] when the windows differ; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), StateError> {
        if self.window_start_ms != other.window_start_ms {
            return Err(OtherWindow { this_ms: self.window_start_ms, other_ms: other.window_start_ms }.into());
        }
        other.counts.iter().for_each(|(reason, events)| self.add(reason, *events));
        Ok(())
    }

    /// The state bytes.
    ///
    /// ```
    /// use rtea_core::refused::Refused;
    /// let mut refused = Refused::new(60_000);
    /// refused.add("empty", 2);
    /// assert_eq!(Refused::from_bytes(&refused.to_bytes()), Ok(refused));
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![REFUSED_VERSION];
        let Ok(()) = rmp_serde::encode::write(&mut bytes, self) else { unreachable!("a vector takes every write") };
        bytes
    }

    /// Reads state bytes.
    ///
    /// # Errors
    /// [`StateError`] when they come from another version or are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        match bytes.split_first() {
            Some((&REFUSED_VERSION, body)) => {
                rmp_serde::from_slice(body).map_err(|error| StateError::Corrupt(error.to_string()))
            }
            Some((version, _)) => Err(StateError::UnknownVersion(*version)),
            None => Err(StateError::Corrupt("no bytes".into())),
        }
    }
}
