//! Sessions: random walks through the states of [`crate::behaviour`], step by step.
//!
//! When a session ends, the walk starts a session of another visitor. [`crate::interleaver`] decides when each step
//! happens.
//!
//! The order of actions is causal: visitors remove only what they added, check out only if the cart is not empty, pay
//! only after a checkout, and purchase only after a payment.

use crate::behaviour::{Action, Walker};
use crate::population::Population;
use crate::random::Random;
use crate::visitor::Visitor;
use rtea_core::source::Source;

/// Highest number of products in a cart.
pub const CART: usize = 4;

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
    /// The visitor who acts.
    pub visitor: Visitor,
    /// The app or the website.
    pub source: Source,
    /// Random number that identifies the session.
    pub session: u64,
    /// Whether the visitor is logged in.
    pub logged_in: bool,
    /// Number of steps in this session before this one.
    pub position: u32,
    /// What the visitor does.
    pub action: Action,
    lines: [Line; CART],
    line_count: usize,
    /// The product that the visitor views, adds or removes. It also determines the search term.
    pub product: u32,
}

impl Step {
    /// The products of the action: the one that the visitor views, adds or removes; the whole cart from checkout to
    /// purchase; otherwise none.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines[..self.line_count]
    }
}

/// A session in progress.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    random: Random,
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
    /// Starts the session that these random numbers determine. `sale` is the number of the current flash sale.
    #[must_use]
    pub fn start(mut random: Random, population: &Population, sale: Option<u64>) -> Self {
        let visitor = Visitor::draw(population, &mut random);
        let source = visitor.source(&population.shares, &mut random);
        let session = random.bits();
        let shares = &population.shares;
        Self {
            visitor,
            source,
            session,
            logged_in: visitor.has_account(shares) && random.unit() < shares.login,
            position: 0,
            action: Action::PageView,
            product: population.draw_product(sale, &mut random),
            moved: Line::default(),
            cart: Default::default(),
            cart_size: 0,
            random,
        }
    }

    /// Takes the next step of this session. If the session ends, takes the first step of another one.
    pub fn advance(&mut self, population: &Population, sale: Option<u64>) {
        let walker = match self.source {
            _ if self.visitor.is_bot => Walker::Bot,
            Source::MOBILE => Walker::Mobile,
            _ => Walker::Website,
        };
        match population.behaviour.next(walker, self.action, self.position == 0, &mut self.random) {
            Some(action) => self.act(action, population, sale),
            None => *self = Self::start(self.random, population, sale),
        }
    }

    /// The wanted action, or another one if the wanted one is impossible with this cart or after the last action.
    fn possible(&self, wanted: Action) -> Action {
        match wanted {
            Action::AddToCart if self.cart_size == CART => Action::BeginCheckout,
            Action::RemoveFromCart | Action::BeginCheckout if self.cart_size == 0 => Action::ProductView,
            Action::AddPaymentInfo if self.action != Action::BeginCheckout => Action::PageView,
            Action::Purchase if self.action != Action::AddPaymentInfo => Action::PageView,
            possible => possible,
        }
    }

    fn act(&mut self, wanted: Action, population: &Population, sale: Option<u64>) {
        self.position += 1;
        if self.action == Action::Purchase {
            self.cart_size = 0;
        }
        self.action = self.possible(wanted);
        match self.action {
            Action::PageView | Action::BeginCheckout | Action::AddPaymentInfo | Action::Purchase => {}
            Action::Search | Action::ProductView => {
                self.product = population.draw_product(sale, &mut self.random);
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
            Action::BeginCheckout | Action::AddPaymentInfo | Action::Purchase => (self.cart, self.cart_size),
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
