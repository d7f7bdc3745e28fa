//! The visitors. The number of a visitor determines their identity, country and devices.

use crate::mixes::{Country, Device};
use crate::population::{Population, Shares};
use crate::random::{mix, Random};
use crate::weighted::Weighted;
use rtea_core::source::Source;

const BOTS: u32 = 64;

/// What stays the same about a visitor in every session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// Number of the person. Numbers from [`Population::visitor_count`] up are bots.
    pub person: u32,
    /// Whether the visitor uses their second device.
    pub on_second: bool,
    /// Whether the visitor is a crawler.
    pub is_bot: bool,
    traits: u64,
}

impl Visitor {
    /// Draws a visitor by activity, on one of their devices.
    pub(crate) fn draw(population: &Population, random: &mut Random) -> Self {
        if random.unit() < population.shares.bot {
            let person = population.visitor_count() + random.below(BOTS);
            return Self { person, on_second: false, is_bot: true, traits: traits(person) };
        }
        let person = population.visitors.draw(random);
        let mut found = Self { person, on_second: false, is_bot: false, traits: traits(person) };
        found.on_second = found.has_second_device(&population.shares) && random.below(3) == 0;
        found
    }

    /// Number of the visitor's id. On the second device, a person has another id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.person * 2 + u32::from(self.on_second)
    }

    /// Draws the source of a session: the app or the website.
    pub(crate) fn source(&self, shares: &Shares, random: &mut Random) -> Source {
        let place = share(self.traits);
        if self.is_bot {
            Source::WEBSITE
        } else if self.on_second {
            // The second device is of the other kind than the first.
            if place < shares.mobile {
                Source::WEBSITE
            } else {
                Source::MOBILE
            }
        } else if place < shares.mobile || (place < shares.mobile + shares.both && random.below(2) == 0) {
            Source::MOBILE
        } else {
            Source::WEBSITE
        }
    }

    /// Whether the visitor has an account.
    #[must_use]
    pub fn has_account(&self, shares: &Shares) -> bool {
        !self.is_bot && share(self.traits.rotate_left(16)) < shares.account
    }

    fn has_second_device(&self, shares: &Shares) -> bool {
        self.has_account(shares) && share(self.traits.rotate_left(48)) < shares.second_device
    }

    /// Where the visitor lives.
    #[must_use]
    pub fn country<'a>(&self, countries: &'a Weighted<Country>) -> &'a Country {
        countries.at(self.traits >> 16)
    }

    /// The visitor's device, one of the devices of a source.
    #[must_use]
    pub fn device<'a>(&self, devices: &'a Weighted<Device>) -> &'a Device {
        devices.at((self.traits >> 32).wrapping_add(u64::from(self.on_second) << 8))
    }
}

fn traits(person: u32) -> u64 {
    mix(u64::from(person) ^ 0x7669_7369_746f_7273)
}

/// The lowest 16 bits as a number in `[0, 1)`.
fn share(traits: u64) -> f64 {
    f64::from(u32::try_from(traits & 0xffff).unwrap_or(0)) / 65_536.0
}
