//! Behaviour: a state machine of shopping sessions, walked step by step from its seed.
//!
//! A walk starts a session, and another, of another visitor, whenever one ends; [`crate::loom`] decides
//! when each step is taken.
//!
//! Order is causal: nothing is removed that was not added, no checkout with an empty cart, no
//! purchase without a checkout.

use crate::catalogue;
use crate::random::{PowerLaw, Random};
use crate::visitor::{self, Visitor};
use rtea_core::event::Source;

/// Most products a cart holds.
pub const CART: usize = 4;

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
}

impl Action {
    const ALL: [Self; 7] = [
        Self::PageView,
        Self::Search,
        Self::ProductView,
        Self::AddToCart,
        Self::RemoveFromCart,
        Self::BeginCheckout,
        Self::Purchase,
    ];
}

/// Weight of each next action, in the order of [`Action::ALL`], then of leaving. Rows: the current
/// action. Visitors of the website search more; those of the app add to the cart more readily.
const NEXT: [[[u32; 8]; 7]; 2] = [
    [
        [20, 8, 40, 0, 0, 0, 0, 32],
        [6, 14, 62, 0, 0, 0, 0, 18],
        [14, 10, 40, 18, 0, 0, 0, 18],
        [10, 6, 34, 4, 8, 26, 0, 12],
        [16, 8, 36, 6, 2, 10, 0, 22],
        [6, 0, 6, 0, 6, 0, 58, 24],
        [12, 2, 6, 0, 0, 0, 0, 80],
    ],
    [
        [24, 16, 30, 0, 0, 0, 0, 30],
        [8, 18, 54, 0, 0, 0, 0, 20],
        [16, 14, 36, 12, 0, 0, 0, 22],
        [12, 8, 32, 4, 10, 22, 0, 12],
        [18, 10, 32, 6, 2, 8, 0, 24],
        [8, 0, 8, 0, 8, 0, 48, 28],
        [14, 2, 6, 0, 0, 0, 0, 78],
    ],
];

/// One product in a cart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// The product's number.
    pub product: u32,
    /// Pieces, at least 1.
    pub quantity: u32,
}

/// One step of one session, ready to be written as an event.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Who acts.
    pub visitor: Visitor,
    /// Where.
    pub source: Source,
    /// Random number that names the session.
    pub session: u64,
    /// Whether the visitor is logged in.
    pub logged_in: bool,
    /// Steps of this session before this one.
    pub position: u32,
    /// What the visitor does.
    pub action: Action,
    lines: [Line; CART],
    line_count: usize,
    /// The product looked at, added or removed; also seeds the search term.
    pub product: u32,
}

impl Step {
    /// The products the action is about: the one looked at, added or removed; the whole cart at
    /// checkout and purchase; none otherwise.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines[..self.line_count]
    }
}

/// The population a session is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Population {
    visitors: PowerLaw,
    products: PowerLaw,
}

impl Population {
    /// A population of that many visitors and products, each at least 1.
    #[must_use]
    pub fn new(visitors: u32, products: u32) -> Self {
        Self {
            visitors: PowerLaw::new(visitors, visitor::ACTIVITY_INVERSE),
            products: PowerLaw::new(products, catalogue::POPULARITY_INVERSE),
        }
    }
}

/// A visitor on the way through a session.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    random: Random,
    population: Population,
    visitor: Visitor,
    source: Source,
    session: u64,
    logged_in: bool,
    position: u32,
    action: Action,
    product: u32,
    /// The line just added or removed.
    moved: Line,
    cart: [Line; CART],
    cart_size: usize,
}

impl Walk {
    /// The first step of a session that these random numbers choose.
    #[must_use]
    pub fn start(mut random: Random, population: Population) -> Self {
        let visitor = Visitor::numbered(population.visitors.draw(&mut random));
        let source = visitor.source(&mut random);
        let session = random.bits();
        Self {
            population,
            visitor,
            source,
            session,
            logged_in: visitor.has_account() && !session.is_multiple_of(4),
            position: 0,
            action: Action::PageView,
            product: population.products.draw(&mut random),
            moved: Line::default(),
            cart: Default::default(),
            cart_size: 0,
            random,
        }
    }

    /// Takes the next step: of this session, or, when it ends, the first of another.
    pub fn advance(&mut self) {
        let weights = &NEXT[self.source as usize][self.action as usize];
        let mut choice = self.random.below(100);
        let next = Action::ALL.into_iter().zip(weights).find_map(|(action, weight)| {
            let chosen = choice < *weight;
            choice = choice.saturating_sub(*weight);
            chosen.then_some(action)
        });
        match next {
            Some(action) => self.act(action),
            None => *self = Self::start(self.random, self.population),
        }
    }

    fn act(&mut self, wanted: Action) {
        self.position += 1;
        if self.action == Action::Purchase {
            self.cart_size = 0;
        }
        self.action = match wanted {
            Action::AddToCart if self.cart_size == CART => Action::BeginCheckout,
            Action::RemoveFromCart | Action::BeginCheckout if self.cart_size == 0 => Action::ProductView,
            possible => possible,
        };
        match self.action {
            Action::PageView | Action::BeginCheckout | Action::Purchase => {}
            Action::Search | Action::ProductView => {
                self.product = self.population.products.draw(&mut self.random);
            }
            Action::AddToCart => {
                let more = u32::from(self.random.below(8) == 0);
                self.moved = Line { product: self.product, quantity: 1 + more };
                self.cart[self.cart_size] = self.moved;
                self.cart_size += 1;
            }
            Action::RemoveFromCart => {
                let gone = self.random.below(u32::try_from(self.cart_size).unwrap_or(1)) as usize;
                self.moved = self.cart[gone];
                self.product = self.moved.product;
                self.cart_size -= 1;
                self.cart[gone] = self.cart[self.cart_size];
            }
        }
    }

    /// The step just taken.
    #[must_use]
    pub fn step(&self) -> Step {
        let (lines, line_count) = match self.action {
            Action::PageView | Action::Search => (Default::default(), 0),
            Action::ProductView => (single(Line { product: self.product, quantity: 1 }), 1),
            Action::AddToCart | Action::RemoveFromCart => (single(self.moved), 1),
            Action::BeginCheckout | Action::Purchase => (self.cart, self.cart_size),
        };
        Step {
            visitor: self.visitor,
            source: self.source,
            session: self.session,
            logged_in: self.logged_in,
            position: self.position,
            action: self.action,
            lines,
            line_count,
            product: self.product,
        }
    }
}

fn single(line: Line) -> [Line; CART] {
    let mut lines = [Line::default(); CART];
    lines[0] = line;
    lines
}
