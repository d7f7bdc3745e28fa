//! Splits a partial into parts that each fit into a record: the late events of a window may not fit into one dead
//! letter.
//!
//! [`crate::letter`] calls it. The merged parts are the partial again (`tests/bounds.rs`).

use crate::aggregate::Partial;

/// Splits a partial into parts whose state bytes have at most `max_bytes` each. The first part has the number of events,
/// the others have the number zero. A part is longer only if it holds one thing that is longer by itself, for example one
/// order.
#[must_use]
pub fn split(partial: Partial, max_bytes: usize) -> Vec<Partial> {
    let halves = if partial.to_bytes().len() > max_bytes { partial.halves() } else { None };
    match halves {
        None => vec![partial],
        Some((first, second)) => {
            let mut parts = split(first, max_bytes);
            parts.extend(split(second, max_bytes));
            parts
        }
    }
}
