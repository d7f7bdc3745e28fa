//! Partial aggregates: what a batch or a window has counted so far, and how two of them merge.
//!
//! Made by [`crate::fold`], merged by the window operator through state bytes ([`crate::state`]), turned into
//! rows by [`crate::result`]. Merging is associative and commutative, and folding two batches one after
//! the other equals merging their partials (`tests/laws.rs`).

use crate::dimension::{Kept, Policy};
use crate::event::PURCHASE;
use crate::metrics::{Metrics, Part, Row};
use crate::observation::Observation;
use crate::order::Orders;

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
    /// What was counted, without the orders that wait in `orders`.
    pub metrics: Metrics,
    pub(crate) events: u64,
    pub(crate) kept: Kept,
    pub(crate) orders: Orders,
}

impl Partial {
    /// A partial without events that keeps as many dimensions as a policy says.
    #[must_use]
    pub fn new(window_start_ms: i64, policy: &Policy) -> Self {
        Self {
            window_start_ms,
            metrics: Metrics::new(policy),
            events: 0,
            kept: Kept::of(policy),
            orders: Orders::default(),
        }
    }

    /// Counts one event. With [`Policy::deduplicate_orders`], the order of a purchase with an order id waits in the list
    /// of orders.
    pub fn add(&mut self, event: &Observation<'_>, policy: &Policy) {
        self.events += 1;
        match event.order_id {
            Some(order_id) if policy.deduplicate_orders && event.event_type == PURCHASE => {
                self.metrics.add(event, Part::Event, policy);
                self.orders.add(order_id, event, policy);
            }
            _ => self.metrics.add(event, Part::Whole, policy),
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
        self.kept = self.kept.both(other.kept);
        self.metrics.merge(&other.metrics);
        self.orders.merge(&other.orders);
        Ok(())
    }

    /// The list of orders as a partial of its own, which stands for no events; `None` when there are none. Merging
    /// it again gives the partial as it was.
    #[must_use]
    pub fn take_orders(&mut self) -> Option<Self> {
        let orders = std::mem::take(&mut self.orders);
        (!orders.as_bytes().is_empty()).then(|| Self { orders, ..self.blank() })
    }

    /// This partial with its orders, each once, counted like other purchases. For rows: what is merged
    /// afterwards could repeat them.
    #[must_use]
    pub fn with_orders_counted(mut self) -> Self {
        let orders = std::mem::take(&mut self.orders);
        for order in orders.each() {
            self.metrics.add(&order.observation(), Part::Order, &order.policy(self.policy()));
        }
        self
    }

    /// The rows of the metrics that every part of this partial has counted, sorted by metric, dimension and currency. So a
    /// metric that is switched on while a window is open has rows from the next window on.
    #[must_use]
    pub fn rows(&self) -> Vec<Row<'_>> {
        self.metrics.rows(&self.policy())
    }

    /// Number of events that went in, repeated orders too: the revision of the window's rows, which grows
    /// whenever they can change.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Two parts that give this partial when merged, or `None` if it cannot be divided. The first one has the number of
    /// events, the second one stands for none.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let blank = self.blank();
        let with = |metrics| Self { metrics, ..blank.clone() };
        let has_orders = !self.orders.as_bytes().is_empty();
        let has_metrics = !self.metrics.is_empty();
        let (first, second) = if has_orders && has_metrics {
            (with(self.metrics.clone()), Self { orders: self.orders.clone(), ..blank.clone() })
        } else if has_orders {
            let (first, second) = self.orders.halves()?;
            (Self { orders: first, ..blank.clone() }, Self { orders: second, ..blank.clone() })
        } else {
            let (first, second) = self.metrics.halves(&self.policy())?;
            (with(first), with(second))
        };
        Some((Self { events: self.events, ..first }, second))
    }

    /// A partial of the same window and limit without events.
    fn blank(&self) -> Self {
        Self::new(self.window_start_ms, &self.policy())
    }

    fn policy(&self) -> Policy {
        self.kept.policy()
    }
}
