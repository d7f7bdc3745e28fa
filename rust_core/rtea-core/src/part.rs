//! Splits a partial into parts that each fit into a record: the late events of a window may not fit into one dead
//! letter.
//!
//! [`crate::letter`] calls it. The merged parts are the partial again (`tests/bounds.rs`).

use crate::aggregate::Partial;
use crate::dimension::{Bounded, Policy};

/// Most bytes that a dimension or an order takes in state bytes, besides its text.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Splits a partial into parts whose state bytes have at most `max_bytes` each. The first part has the sketches and the
/// number of events. The other parts have the number zero. A part is longer only if it holds one order that is longer
/// by itself.
#[must_use]
pub fn split(partial: Partial, max_bytes: usize) -> Vec<Partial> {
    if partial.to_bytes().len() <= max_bytes {
        return vec![partial];
    }
    let policy = Policy { limit: partial.others.limit(), ..Policy::default() };
    let blank = Partial::new(partial.window_start_ms, &policy);
    let first = Partial {
        others: partial.others.without_entries(),
        revenue: partial.revenue.without_entries(),
        orders: blank.orders.clone(),
        ..partial.clone()
    };
    let mut parts = Parts { done: Vec::new(), size_bytes: first.to_bytes().len(), last: first, blank, max_bytes };
    for entry in partial.others.entries() {
        parts.with_room(entry.name.len()).others.add("", entry.name, entry.amount, || entry.is_protected);
    }
    for entry in partial.revenue.entries() {
        let revenue: &mut Bounded<i128> = &mut parts.with_room(entry.currency.len() + entry.name.len()).revenue;
        revenue.add(entry.currency, entry.name, entry.amount, || entry.is_protected);
    }
    for order in partial.orders.entries() {
        parts.with_room(order.len()).orders.push(order);
    }
    parts.done.push(parts.last);
    parts.done
}

struct Parts {
    done: Vec<Partial>,
    last: Partial,
    size_bytes: usize,
    blank: Partial,
    max_bytes: usize,
}

impl Parts {
    /// The part that has room for an entry with so many bytes of text.
    fn with_room(&mut self, text_bytes: usize) -> &mut Partial {
        let bytes = text_bytes + ENTRY_OVERHEAD_BYTES;
        if self.size_bytes + bytes > self.max_bytes {
            self.done.push(std::mem::replace(&mut self.last, self.blank.clone()));
            self.size_bytes = self.blank.to_bytes().len();
        }
        self.size_bytes += bytes;
        &mut self.last
    }
}
