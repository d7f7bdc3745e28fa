//! The population of a stream: the parameters from which sessions are drawn.

use std::sync::Arc;

use crate::behaviour::Behaviour;
use crate::catalogue::Catalogue;
use crate::mixes::Mixes;
use crate::random::{mix, PowerLaw, Random};

/// Highest number of visitors. With it, the numbers of all ids, also of second devices and bots, fit into 32 bits.
pub const MOST_VISITORS: u32 = 2_000_000_000;

/// Shares of the population and of its sessions, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Visitors that only use the app.
    pub mobile: f64,
    /// Visitors that use app and website under one visitor id; the others only use the website.
    pub both: f64,
    /// Visitors with an account.
    pub account: f64,
    /// Account holders with a second device, whose visitor id differs.
    pub second_device: f64,
    /// Sessions of account holders in which they log in.
    pub login: f64,
    /// Sessions of bots.
    pub bot: f64,
    /// Sessions that come from a campaign.
    pub campaign: f64,
    /// During a flash sale, products that are drawn from the hot ones.
    pub hot: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            mobile: 0.45,
            both: 0.15,
            account: 0.33,
            second_device: 0.2,
            login: 0.75,
            bot: 0.01,
            campaign: 0.2,
            hot: 0.5,
        }
    }
}

/// The population a session is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Shares of visitors and sessions.
    pub shares: Shares,
    /// How sessions continue.
    pub behaviour: Behaviour,
    /// Devices, countries, referrers, campaigns and search terms.
    pub mixes: Mixes,
    /// The products.
    pub catalogue: Arc<Catalogue>,
    /// Number of hot products of a flash sale.
    pub hot_products: u32,
    pub(crate) visitors: PowerLaw,
    products: PowerLaw,
}

impl Population {
    /// A population with the model's own shares, mixes and catalogue. `visitors` and `products` are at least 1, and
    /// `visitors` is at most [`MOST_VISITORS`]. `activity` and `popularity` are exponents of a [`PowerLaw`].
    #[must_use]
    pub fn new(visitors: u32, products: u32, activity: f64, popularity: f64) -> Self {
        Self {
            shares: Shares::default(),
            behaviour: Behaviour::default(),
            mixes: Mixes::default(),
            catalogue: Catalogue::of_the_model(),
            hot_products: 20,
            visitors: PowerLaw::new(visitors, activity),
            products: PowerLaw::new(products, popularity),
        }
    }

    /// Number of visitors, without bots.
    #[must_use]
    pub fn visitor_count(&self) -> u32 {
        self.visitors.count()
    }

    /// Draws a product by popularity. During a flash sale, it is often one of the hot ones.
    pub(crate) fn draw_product(&self, sale: Option<u64>, random: &mut Random) -> u32 {
        match sale {
            Some(sale) if self.hot_products > 0 && random.unit() < self.shares.hot => {
                self.hot_product(sale, random.below(self.hot_products))
            }
            _ => self.products.draw(random),
        }
    }

    /// One of the hot products of a sale. `rank` must be below [`Population::hot_products`].
    #[must_use]
    pub fn hot_product(&self, sale: u64, rank: u32) -> u32 {
        Random::of(mix(sale), u64::from(rank)).below(self.products.count())
    }
}
