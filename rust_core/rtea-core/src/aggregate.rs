//! Partial aggregates: what a batch or a window has counted so far, and how two of them merge.
//!
//! Made by [`crate::fold`], merged by the window operator through state bytes ([`crate::state`]), turned into
//! rows by [`crate::result`]. Merging is associative and commutative, and folding two batches one after
//! the other equals merging their partials (`tests/laws.rs`).

use crate::dimension::{Bounded, Policy, OTHER};
use crate::event::{PerSource, Source, KNOWN_TYPES, PURCHASE};
use crate::observation::Observation;
use crate::order::Orders;
use crate::sketch::Sketch;

/// Two partials of different windows cannot merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherWindow {
    /// The window of the receiving partial.
    pub this_ms: i64,
    /// The window of the other one.
    pub other_ms: i64,
}

/// What a set of events of one window adds up to.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Start of the window, ms since the epoch.
    pub window_start_ms: i64,
    pub(crate) events: u64,
    pub(crate) known: [PerSource<u64>; KNOWN_TYPES.len()],
    pub(crate) others: Bounded<PerSource<u64>>,
    /// Minor units.
    pub(crate) revenue: Bounded<i128>,
    pub(crate) visitors: PerSource<Sketch>,
    pub(crate) orders: Orders,
}

impl Partial {
    /// A partial without events that keeps as many dimensions as a policy says.
    #[must_use]
    pub fn new(window_start_ms: i64, policy: &Policy) -> Self {
        Self {
            window_start_ms,
            events: 0,
            known: Default::default(),
            others: Bounded::new(policy.limit),
            revenue: Bounded::new(policy.limit),
            visitors: Default::default(),
            orders: Orders::default(),
        }
    }

    /// Counts one event. Revenue counts the items of purchases only. With
    /// [`Policy::deduplicate_orders`], a purchase with an order id waits in the list of orders.
    pub fn add(&mut self, event: &Observation<'_>, policy: &Policy) {
        let source = event.source as usize;
        self.events += 1;
        self.visitors[source].add(event.visitor_id.as_bytes());
        let is_purchase = event.event_type == PURCHASE;
        if let (true, true, Some(order_id)) = (is_purchase, policy.deduplicate_orders, event.order_id) {
            return self.orders.add(order_id, event, policy);
        }
        let mut count = [0; 2];
        count[source] = 1;
        match KNOWN_TYPES.iter().position(|known| *known == event.event_type) {
            Some(index) => self.known[index][source] += 1,
            None => {
                self.others.add("", event.event_type, count, || policy.event_types.contains(event.event_type));
            }
        }
        if is_purchase {
            let currency = event.currency;
            for line in &event.lines {
                let minor = i128::from(line.revenue_minor());
                self.revenue.add(currency, line.category, minor, || policy.protects(currency, line.category));
            }
        }
    }

    /// Adds another partial of the same window to this one.
    ///
    /// # Errors
    /// [`OtherWindow`] when the windows differ; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), OtherWindow> {
        if self.window_start_ms != other.window_start_ms {
            return Err(OtherWindow { this_ms: self.window_start_ms, other_ms: other.window_start_ms });
        }
        self.events += other.events;
        for (mine, counts) in self.known.as_flattened_mut().iter_mut().zip(other.known.as_flattened()) {
            *mine += counts;
        }
        self.others.merge(&other.others);
        self.revenue.merge(&other.revenue);
        for (mine, sketch) in self.visitors.iter_mut().zip(&other.visitors) {
            mine.merge(sketch);
        }
        self.orders.merge(&other.orders);
        Ok(())
    }

    /// The list of orders as a partial of its own, which stands for no events; `None` when there are none. Merging
    /// it again gives the partial as it was.
    #[must_use]
    pub fn take_orders(&mut self) -> Option<Self> {
        let orders = std::mem::take(&mut self.orders);
        let policy = Policy { limit: self.others.limit(), ..Policy::default() };
        (!orders.as_bytes().is_empty()).then(|| Self { orders, ..Self::new(self.window_start_ms, &policy) })
    }

    /// This partial with its orders, each once, counted like other purchases. For rows: what is merged
    /// afterwards could repeat them.
    #[must_use]
    pub fn with_orders_counted(mut self) -> Self {
        let orders = std::mem::take(&mut self.orders);
        for order in orders.each() {
            if let Some(purchases) = KNOWN_TYPES.iter().position(|known| *known == PURCHASE) {
                self.known[purchases][usize::from(order.source)] += 1;
            }
            for (category, is_protected, minor) in order.lines {
                self.revenue.add(order.currency, category, i128::from(minor), || is_protected);
            }
        }
        self
    }

    /// Number of events that went in, repeated orders too: the revision of the window's rows, which grows
    /// whenever they can change.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Counts by event type, what did not fit last; types without events may appear with zeros. Purchases
    /// that wait in the list of orders are not among them.
    pub fn counts(&self) -> impl Iterator<Item = (&str, PerSource<u64>)> {
        let others = self.others.entries().into_iter().map(|entry| (entry.name, entry.amount));
        let rest = self.others.others().into_iter().map(|(_, counts)| (OTHER, counts));
        KNOWN_TYPES.into_iter().zip(self.known).chain(others).chain(rest)
    }

    /// Revenue in minor units by currency and category, what did not fit last; without that of orders.
    pub fn revenue(&self) -> impl Iterator<Item = (&str, &str, i128)> {
        let rest = self.revenue.others().into_iter().map(|(currency, minor)| (currency, OTHER, minor));
        self.revenue.entries().into_iter().map(|entry| (entry.currency, entry.name, entry.amount)).chain(rest)
    }

    /// The sketch of one source's visitors.
    #[must_use]
    pub fn visitors(&self, source: Source) -> &Sketch {
        &self.visitors[source as usize]
    }
}
