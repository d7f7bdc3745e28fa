//! What a window counts: one file for each metric, and one line in the list at the end.
//!
//! [`crate::aggregate`] adds observations and merges, [`crate::state`] keeps the bytes, [`crate::result`] writes the rows.
//! None of them knows a metric by name.

mod audience;
mod event_count;
mod funnel;
mod orders;
mod products;
mod revenue;
mod sessions;
mod source_sketches;
mod unique_visitors;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::dimension::Policy;
use crate::frame;
use crate::observation::Observation;
use crate::sketch::{InvalidSketch, Sketch};
use crate::source::TooManySources;

pub use audience::Audience;
pub use event_count::EventCount;
pub use funnel::Funnel;
pub use orders::Orders;
pub use products::Products;
pub use revenue::Revenue;
pub use sessions::Sessions;
pub use source_sketches::SourceSketches;
pub use unique_visitors::UniqueVisitors;

/// The dimension of all sources together.
pub const ALL_SOURCES: &str = "all";

/// What the value of a row is: its column in the table, and how rows of several windows add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A whole number, in `event_count`. Add them up.
    Count,
    /// An amount of the row's currency, in `revenue`. Add them up.
    Money,
    /// A number of distinct ids, in `unique_visitors`, with its sketch in `visitors_sketch`. Merge the
    /// sketches.
    Distinct,
}

impl Unit {
    /// The name in the registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Money => "money",
            Self::Distinct => "distinct",
        }
    }
}

/// One kind of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// The value of the column `metric`.
    pub name: &'static str,
    /// What the column `dimension` holds.
    pub dimension: &'static str,
    /// What the value is.
    pub unit: Unit,
    /// One sentence for docs and dashboards.
    pub description: &'static str,
}

/// A row without its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Name of its series.
    pub metric: &'static str,
    /// What was counted.
    pub dimension: String,
    /// The currency of money, otherwise `""`.
    pub currency: &'a str,
    /// The number.
    pub value: Value,
}

/// The value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// Minor units of the row's currency.
    Money(i128),
    /// The estimate of a sketch, and its bytes.
    Distinct(i64, Vec<u8>),
}

impl Value {
    /// What a sketch says.
    #[must_use]
    pub fn distinct(sketch: &Sketch) -> Self {
        Self::Distinct(sketch.estimate(), sketch.to_bytes())
    }
}

/// Which part of an event to count. If orders count once (`job.deduplicate_orders`), a purchase with an order id arrives
/// as two parts: the event at once, and the order when the window's rows are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The event with its order, if it has one.
    Whole,
    /// The event without its order. Count what a repetition does not change, for example the visitor.
    Event,
    /// The order without its event. Only [`crate::order::Order`]'s fields are there.
    Order,
}

impl Part {
    /// Whether the part has what an order adds.
    #[must_use]
    pub fn has_order(self) -> bool {
        self != Self::Event
    }

    /// Whether the part has what every event adds.
    #[must_use]
    pub fn has_event(self) -> bool {
        self != Self::Order
    }
}

/// Section bytes that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSection(pub String);

impl From<InvalidSketch> for InvalidSection {
    fn from(error: InvalidSketch) -> Self {
        Self(error.to_string())
    }
}

impl From<TooManySources> for InvalidSection {
    fn from(error: TooManySources) -> Self {
        Self(format!("{:?} is one source too many", error.0))
    }
}

/// What a window counts of its events.
///
/// Merging must be associative and commutative, and adding events one after the other must equal merging what each of
/// them adds: then no cut of batches, no parallelism and no replay can change a row (`tests/laws.rs` checks each
/// metric of the list).
pub trait Metric: Sized + Clone + std::fmt::Debug {
    /// The kinds of rows that it gives.
    const SERIES: &'static [Series];

    /// Nothing counted yet.
    fn new(policy: &Policy) -> Self;

    /// Counts a part of an event.
    fn add(&mut self, event: &Observation<'_>, part: Part, policy: &Policy);

    /// Adds what another part of the window has counted.
    fn merge(&mut self, other: &Self);

    /// The rows, in any order; none with nothing counted.
    fn rows(&self, policy: &Policy) -> Vec<Row<'_>>;

    /// Appends its section of the state bytes, or nothing if nothing was counted. Equal counts give equal bytes.
    fn write(&self, bytes: &mut Vec<u8>);

    /// Reads a section that is not empty.
    ///
    /// # Errors
    /// [`InvalidSection`] when the bytes are damaged.
    fn from_bytes(bytes: &[u8], policy: &Policy) -> Result<Self, InvalidSection>;

    /// Two parts that give this one when merged, for dead letters of limited size; `None` if it cannot be divided.
    fn halves(&self) -> Option<(Self, Self)> {
        None
    }
}

/// Writes a section as MessagePack.
pub fn write(section: &impl Serialize, bytes: &mut Vec<u8>) {
    let Ok(()) = rmp_serde::encode::write(bytes, section) else { unreachable!("plain fields always serialize") };
}

/// Reads a section of MessagePack.
///
/// # Errors
/// [`InvalidSection`] when the bytes are damaged.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, InvalidSection> {
    rmp_serde::from_slice(bytes).map_err(|error| InvalidSection(error.to_string()))
}

fn write_section(name: &str, bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let before = bytes.len();
    frame::append(bytes, |bytes| bytes.extend_from_slice(name.as_bytes()));
    let mut is_empty = true;
    frame::append(bytes, |bytes| {
        let start = bytes.len();
        write(bytes);
        is_empty = bytes.len() == start;
    });
    if is_empty {
        bytes.truncate(before);
    }
}

macro_rules! metrics {
    ($($name:ident: $metric:ty),* $(,)?) => {
        /// All metrics of one window, or of a part of it.
        #[derive(Debug, Clone)]
        pub struct Metrics {
            $(
                #[allow(missing_docs)]
                pub $name: $metric
            ),*
        }

        /// The places of the metrics in the list.
        #[allow(non_camel_case_types)]
        enum Place { $($name),* }

        impl Metrics {
            /// Name and series of each metric, in the order of the list.
            pub const LIST: &'static [(&'static str, &'static [Series])] =
                &[$((stringify!($name), <$metric as Metric>::SERIES)),*];

            /// Nothing counted yet.
            #[must_use]
            pub fn new(policy: &Policy) -> Self {
                Self { $($name: <$metric>::new(policy)),* }
            }

            /// Counts a part of an event in every metric that the policy has switched on.
            #[inline]
            pub fn add(&mut self, event: &Observation<'_>, part: Part, policy: &Policy) {
                $(
                    if policy.counts(Place::$name as usize) {
                        self.$name.add(event, part, policy);
                    }
                )*
            }

            /// Adds what another part of the window has counted.
            pub fn merge(&mut self, other: &Self) {
                $(self.$name.merge(&other.$name);)*
            }

            /// The rows of the metrics that the policy has switched on, sorted by metric, dimension and currency.
            #[must_use]
            pub fn rows(&self, policy: &Policy) -> Vec<Row<'_>> {
                let mut rows = Vec::new();
                $(
                    if policy.counts(Place::$name as usize) {
                        rows.extend(self.$name.rows(policy));
                    }
                )*
                rows.sort_unstable_by(|a, b| {
                    (a.metric, &a.dimension, a.currency).cmp(&(b.metric, &b.dimension, b.currency))
                });
                rows
            }

            /// Appends two frames for each metric that has counted something: its name, and its section.
            pub fn write(&self, bytes: &mut Vec<u8>) {
                $(write_section(stringify!($name), bytes, |bytes| self.$name.write(bytes));)*
            }

            /// Reads one section into its metric; `false` if there is no metric of that name.
            ///
            /// # Errors
            /// [`InvalidSection`] when the bytes are damaged.
            pub fn read(&mut self, name: &str, bytes: &[u8], policy: &Policy) -> Result<bool, InvalidSection> {
                match name {
                    $(stringify!($name) => self.$name = <$metric>::from_bytes(bytes, policy)?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// The metrics at some places of the list; the others have counted nothing.
            #[must_use]
            fn only(&self, places: &Range<usize>, policy: &Policy) -> Self {
                Self {
                    $($name: if places.contains(&(Place::$name as usize)) {
                        self.$name.clone()
                    } else {
                        <$metric>::new(policy)
                    }),*
                }
            }

            /// Two parts of the metric at one place; the others have counted nothing.
            fn halves_of(&self, place: usize, policy: &Policy) -> Option<(Self, Self)> {
                let (mut first, mut second) = (Self::new(policy), Self::new(policy));
                $(
                    if place == Place::$name as usize {
                        (first.$name, second.$name) = self.$name.halves()?;
                    }
                )*
                Some((first, second))
            }
        }
    };
}

impl Metrics {
    /// The bits of some metrics, for [`Policy::metrics`]; `None` if one of the names is unknown.
    ///
    /// ```
    /// use rtea_core::metrics::Metrics;
    /// assert_eq!(Metrics::bits(["event_count", "revenue"]), Some(0b11));
    /// assert_eq!(Metrics::bits(["no_such_metric"]), None);
    /// ```
    #[must_use]
    pub fn bits<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<u32> {
        names.into_iter().try_fold(0, |bits, name| {
            Self::LIST.iter().position(|(known, _)| *known == name).map(|place| bits | 1 << place)
        })
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes.is_empty()
    }

    /// Two parts that give these metrics when merged; `None` if they cannot be divided.
    #[must_use]
    pub fn halves(&self, policy: &Policy) -> Option<(Self, Self)> {
        let filled: Vec<usize> =
            (0..Self::LIST.len()).filter(|place| !self.only(&(*place..place + 1), policy).is_empty()).collect();
        match filled.as_slice() {
            [] => None,
            [place] => self.halves_of(*place, policy),
            [.., last] => Some((self.only(&(0..*last), policy), self.only(&(*last..last + 1), policy))),
        }
    }
}

// State bytes hold a bit for each place: append, and move nothing (`tests/golden.rs`).
metrics! {
    event_count: EventCount,
    revenue: Revenue,
    unique_visitors: UniqueVisitors,
    orders: Orders,
    sessions: Sessions,
    funnel: Funnel,
    products: Products,
    audience: Audience,
}
