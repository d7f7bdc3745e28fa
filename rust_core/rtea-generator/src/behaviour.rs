//! How sessions continue: the weights of the next action in each state, for the app, the website and bots.
//!
//! The tables here are the defaults. `rtea_gen` can replace single rows from the configuration. [`crate::session`]
//! draws from the tables.

use crate::random::Random;

/// What a visitor does in one step; the discriminant is the index in `KNOWN_TYPES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `page_view`
    PageView,
    /// `search`
    Search,
    /// `product_view`
    ProductView,
    /// `add_to_cart`
    AddToCart,
    /// `remove_from_cart`
    RemoveFromCart,
    /// `begin_checkout`
    BeginCheckout,
    /// `purchase`
    Purchase,
    /// `add_payment_info`
    AddPaymentInfo,
}

/// Number of actions.
pub const ACTIONS: usize = 8;

impl Action {
    /// Every action, by discriminant.
    pub const ALL: [Self; ACTIONS] = [
        Self::PageView,
        Self::Search,
        Self::ProductView,
        Self::AddToCart,
        Self::RemoveFromCart,
        Self::BeginCheckout,
        Self::Purchase,
        Self::AddPaymentInfo,
    ];
}

/// Who is in a session. Each kind has its own weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walker {
    /// A visitor of the app.
    Mobile,
    /// A visitor of the website.
    Website,
    /// A crawler: it views pages and never buys.
    Bot,
}

/// Names of the rows, which are the states of a session. The landing is also a page view, but it has its own weights.
pub const STATES: [&str; ACTIONS + 1] = [
    "browse",
    "search",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "begin_checkout",
    "purchase",
    "add_payment_info",
    "landing",
];

/// Name of the last column, which comes after the first [`ACTIONS`] of [`STATES`]: the session ends. If something is in
/// the cart, the cart is abandoned.
pub const LEAVE: &str = "leave";

/// Weights of the next action, in the order of [`Action::ALL`], then the weight of leaving.
pub type Weights = [u32; ACTIONS + 1];

/// A row for each of [`STATES`].
pub type Table = [Weights; ACTIONS + 1];

// Visitors of the website search more, and visitors of the app add to the cart more often. Columns: browse, search,
// product_view, add_to_cart, remove_from_cart, begin_checkout, purchase, add_payment_info, leave.
const MOBILE: Table = [
    [20, 8, 40, 0, 0, 0, 0, 0, 32],
    [6, 14, 62, 0, 0, 0, 0, 0, 18],
    [14, 10, 40, 18, 0, 0, 0, 0, 18],
    [10, 4, 28, 4, 6, 36, 0, 0, 12],
    [16, 8, 36, 6, 2, 10, 0, 0, 22],
    [4, 0, 4, 0, 6, 0, 0, 66, 20],
    [12, 2, 6, 0, 0, 0, 0, 0, 80],
    [2, 0, 0, 0, 4, 0, 88, 0, 6],
    [16, 16, 40, 0, 0, 0, 0, 0, 28],
];
const WEBSITE: Table = [
    [24, 16, 30, 0, 0, 0, 0, 0, 30],
    [8, 18, 54, 0, 0, 0, 0, 0, 20],
    [16, 14, 36, 12, 0, 0, 0, 0, 22],
    [12, 6, 26, 4, 8, 32, 0, 0, 12],
    [18, 10, 32, 6, 2, 8, 0, 0, 24],
    [6, 0, 6, 0, 8, 0, 0, 56, 24],
    [14, 2, 6, 0, 0, 0, 0, 0, 78],
    [2, 0, 2, 0, 4, 0, 84, 0, 8],
    [18, 22, 26, 0, 0, 0, 0, 0, 34],
];
const BOT: Table = [
    [45, 0, 50, 0, 0, 0, 0, 0, 5],
    [40, 10, 45, 0, 0, 0, 0, 0, 5],
    [38, 2, 55, 0, 0, 0, 0, 0, 5],
    [0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 0, 1],
    [45, 2, 50, 0, 0, 0, 0, 0, 3],
];

/// All weights, by [`Walker`].
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    tables: [Table; 3],
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { tables: [MOBILE, WEBSITE, BOT] }
    }
}

impl Behaviour {
    /// Replaces the row of one state, which is an index in [`STATES`]. Returns `false` and changes nothing if no weight
    /// is positive, if their sum does not fit into 32 bits, or if there is no such state.
    pub fn replace(&mut self, walker: Walker, state: usize, weights: Weights) -> bool {
        let total = weights.iter().try_fold(0_u32, |sum, weight| sum.checked_add(*weight));
        let fits = total.is_some_and(|total| total > 0) && state < STATES.len();
        if fits {
            self.tables[walker as usize][state] = weights;
        }
        fits
    }

    /// The rows of one walker.
    #[must_use]
    pub fn table(&self, walker: Walker) -> &Table {
        &self.tables[walker as usize]
    }

    /// The action after `last`, or after the landing; `None` ends the session.
    pub(crate) fn next(&self, walker: Walker, last: Action, landing: bool, random: &mut Random) -> Option<Action> {
        let weights = &self.tables[walker as usize][if landing { ACTIONS } else { last as usize }];
        let mut choice = random.below(weights.iter().sum());
        Action::ALL.into_iter().zip(weights).find_map(|(action, weight)| {
            let chosen = choice < *weight;
            choice = choice.saturating_sub(*weight);
            chosen.then_some(action)
        })
    }
}
