//! Sessions: walks through the states of [`crate::behaviour`], step by step from their seed.
//!
//! A walk starts a session, and another, of another visitor, whenever one ends; [`crate::interleaver`] decides
//! when each step is taken.
//!
//! Order is causal: nothing is removed that was not added, no checkout with an empty cart, no payment
//! without a checkout, no purchase without a payment.

use crate::behaviour::{Action, Walker};
use crate::population::Population;
use crate::random::Random;
use crate::visitor::Visitor;
use rtea_core::event::Source;

/// Most products a cart holds.
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
    /// The products the action is about: the one looked at, added or removed; the whole cart from
    /// checkout to purchase; none otherwise.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines[..self.line_count]
    }
}

/// A visitor on the way through a session.
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
    /// The first step of a session that these random numbers choose, while the flash sale `sale` is on.
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

    /// Takes the next step: of this session, or, when it ends, the first of another.
    pub fn advance(&mut self, population: &Population, sale: Option<u64>) {
        let walker = match self.source {
            _ if self.visitor.is_bot => Walker::Bot,
            Source::Mobile => Walker::Mobile,
            Source::Website => Walker::Website,
        };
        match population.behaviour.next(walker, self.action, self.position == 0, &mut self.random) {
            Some(action) => self.act(action, population, sale),
            None => *self = Self::start(self.random, population, sale),
        }
    }

    /// What is possible of what is wanted, whatever the weights say.
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
