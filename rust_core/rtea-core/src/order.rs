//! Counts purchases once per order id, for producers that may send one twice.
//!
//! [`crate::aggregate`] adds orders if the settings ask for it. They are appended to a log as they come, so a merge of
//! two partials is a copy. Repeats are dropped when the log has doubled, and when the rows of the window are made. An
//! order is identified by the first 128 bits of the SHA-256 of its id: among a billion orders in a window, the chance
//! that two different ones are taken for one is below 10^-20.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::dimension::Policy;
use crate::event::PURCHASE;
use crate::frame;
use crate::observation::{Device, Line, Observation};
use crate::source::Source;

const DIGEST_BYTES: usize = 16;
const LEAST_BYTES: usize = 65_536;

/// How an order's bytes name its source.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum SourceName<'a> {
    /// In earlier releases: 0 for the mobile app, 1 for the website.
    Number(u8),
    Name(&'a str),
}

impl SourceName<'_> {
    fn source(&self) -> Option<Source> {
        match self {
            Self::Number(number) => Source::OWN.get(usize::from(*number)).copied(),
            Self::Name(name) => Source::named(name).ok(),
        }
    }
}

/// What one order adds to its window.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Order<'a> {
    #[serde(borrow)]
    source: SourceName<'a>,
    /// Currency of every line.
    pub currency: &'a str,
    #[serde(borrow)]
    lines: Vec<OrderLine<'a>>,
    // Earlier releases wrote nothing from here on.
    #[serde(default)]
    campaign: Option<&'a str>,
    #[serde(default)]
    country: Option<&'a str>,
    #[serde(default)]
    device_class: Option<&'a str>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct OrderLine<'a> {
    category: &'a str,
    /// Whether the category is kept before others.
    is_protected: bool,
    /// Of the whole line in earlier releases, and otherwise of one piece.
    price_minor: i64,
    #[serde(default = "one")]
    quantity: i64,
    #[serde(default)]
    product_id: &'a str,
}

fn one() -> i64 {
    1
}

impl<'a> Order<'a> {
    fn of(event: &Observation<'a>, policy: &Policy) -> Self {
        let line = |line: &Line<'a>| OrderLine {
            category: line.category,
            is_protected: policy.protects(event.currency, line.category),
            price_minor: line.price_minor,
            quantity: line.quantity,
            product_id: line.product_id,
        };
        Self {
            source: SourceName::Name(event.source.name()),
            currency: event.currency,
            lines: event.lines.iter().map(line).collect(),
            campaign: event.campaign,
            country: event.country,
            device_class: event.device.class(event.source),
        }
    }

    /// The order as a purchase, with what an order adds.
    #[must_use]
    pub fn observation(&self) -> Observation<'a> {
        let line = |line: &OrderLine<'a>| Line {
            product_id: line.product_id,
            category: line.category,
            price_minor: line.price_minor,
            quantity: line.quantity,
        };
        Observation {
            // It can be read: `add` wrote it, or `from_bytes` checked it.
            source: self.source.source().unwrap_or(Source::MOBILE),
            event_type: PURCHASE,
            currency: self.currency,
            lines: self.lines.iter().map(line).collect(),
            campaign: self.campaign,
            country: self.country,
            device: self.device_class.map_or(Device::Unknown, Device::Class),
            ..Observation::blank()
        }
    }

    /// A window's policy that also protects the lines that were protected when the order was added.
    #[must_use]
    pub fn policy(&self, kept: Policy) -> Policy {
        let protected = self.lines.iter().filter(|line| line.is_protected);
        Policy {
            categories: protected.map(|line| line.category.to_owned()).collect(),
            currencies: std::iter::once(self.currency.to_owned()).collect(),
            ..kept
        }
    }
}

/// The orders of one window, perhaps with repeats. Each is stored as a frame, `| length | digest | order as MessagePack |`.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    log: Vec<u8>,
    distinct_bytes: usize,
}

impl Orders {
    /// Adds the order of a purchase.
    pub fn add(&mut self, order_id: &str, event: &Observation<'_>, policy: &Policy) {
        let order = Order::of(event, policy);
        frame::append(&mut self.log, |log| {
            log.extend(&Sha256::digest(order_id)[..DIGEST_BYTES]);
            let Ok(()) = rmp_serde::encode::write(log, &order) else { unreachable!("a vector takes every write") };
        });
    }

    /// Adds the orders of another part of the window.
    pub fn merge(&mut self, other: &Self) {
        self.log.extend(&other.log);
        if self.log.len() > LEAST_BYTES && self.log.len() > 2 * self.distinct_bytes {
            self.log = log_of(&self.distinct());
            self.distinct_bytes = self.log.len();
        }
    }

    /// Each order once, sorted by digest. If repeats differ, the one with the smallest bytes counts, whichever came
    /// first: so every replay gives the same rows.
    #[must_use]
    pub fn each(&self) -> Vec<Order<'_>> {
        // Every entry can be read: `add` wrote it, or `from_bytes` checked it.
        self.distinct().into_iter().filter_map(read).collect()
    }

    /// Number of different orders.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.distinct().len() as u64
    }

    /// Two lists that give this one when merged; `None` if it has fewer than two orders.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let entries = self.distinct();
        if entries.len() < 2 {
            return None;
        }
        let (first, second) = entries.split_at(entries.len() / 2);
        let of = |entries| Self { log: log_of(entries), distinct_bytes: 0 };
        Some((of(first), of(second)))
    }

    /// The log with its repeats, as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.log
    }

    /// Number of bytes at the start of the log that have no repeats.
    #[must_use]
    pub fn distinct_bytes(&self) -> usize {
        self.distinct_bytes
    }

    /// Reads a log; `None` when it is damaged.
    #[must_use]
    pub fn from_bytes(log: &[u8], distinct_bytes: usize) -> Option<Self> {
        let mut rest = log;
        while !rest.is_empty() {
            read(frame::take(&mut rest)?).filter(|order| order.source.source().is_some())?;
        }
        Some(Self { log: log.to_vec(), distinct_bytes })
    }

    fn distinct(&self) -> Vec<&[u8]> {
        let mut entries = Vec::new();
        let mut rest = self.log.as_slice();
        while let Some(entry) = frame::take(&mut rest) {
            entries.push(entry);
        }
        entries.sort_unstable();
        entries.dedup_by_key(|entry| entry.get(..DIGEST_BYTES));
        entries
    }
}

fn read(entry: &[u8]) -> Option<Order<'_>> {
    rmp_serde::from_slice(entry.get(DIGEST_BYTES..)?).ok()
}

fn log_of(entries: &[&[u8]]) -> Vec<u8> {
    let mut log = Vec::new();
    for entry in entries {
        frame::append(&mut log, |log| log.extend_from_slice(entry));
    }
    log
}
