//! The visitors: identity, home and devices, each a function of the visitor's number.

use crate::population::{Population, Shares};
use crate::random::{mix, Random};
use rtea_core::event::Source;

/// Countries with locale, currency and share (of 100).
pub const COUNTRIES: [(&str, &str, &str, u32); 6] = [
    ("US", "en-US", "USD", 46),
    ("GB", "en-GB", "GBP", 14),
    ("DE", "de-DE", "EUR", 14),
    ("FR", "fr-FR", "EUR", 10),
    ("CA", "en-CA", "USD", 9),
    ("IE", "en-IE", "EUR", 7),
];

/// Operating system, version of the app, screen, weight.
pub(crate) const MOBILE: [(&str, &str, &str, u32); 6] = [
    ("iOS 18", "5.4.1", "393x852", 34),
    ("iOS 17", "5.3.0", "390x844", 12),
    ("Android 15", "5.4.0", "412x915", 26),
    ("Android 14", "5.4.0", "360x800", 14),
    ("Android 14", "5.2.2", "360x800", 8),
    ("Android 13", "5.1.0", "384x854", 6),
];

/// Operating system, browser, screen, weight.
pub(crate) const WEBSITE: [(&str, &str, &str, u32); 7] = [
    ("Windows", "Chrome 142", "1920x1080", 32),
    ("macOS", "Safari 18", "1512x982", 15),
    ("Windows", "Edge 142", "1536x864", 12),
    ("Linux", "Firefox 145", "1920x1200", 4),
    ("iOS 18", "Safari 18", "393x852", 18),
    ("Android 15", "Chrome 142", "412x915", 14),
    ("macOS", "Chrome 142", "1728x1117", 5),
];

const BOTS: u32 = 64;

/// A kind of device, as common as its weight says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Operating system.
    pub os: String,
    /// Version of the app, or the browser.
    pub program: String,
    /// Screen size.
    pub screen: String,
    /// Its weight among the devices of its source.
    pub weight: u32,
}

impl From<(&str, &str, &str, u32)> for Device {
    fn from((os, program, screen, weight): (&str, &str, &str, u32)) -> Self {
        Self { os: os.into(), program: program.into(), screen: screen.into(), weight }
    }
}

/// What a visitor is, whatever they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// The person, or, from [`Population::visitor_count`] on, the bot.
    pub person: u32,
    /// Whether on the second device.
    pub on_second: bool,
    /// Whether a crawler.
    pub is_bot: bool,
    traits: u64,
}

impl Visitor {
    /// Somebody, drawn by activity, on one of their devices.
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

    /// Number of the visitor's id: a person has another on a second device.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.person * 2 + u32::from(self.on_second)
    }

    /// Where a session of this visitor takes place.
    pub(crate) fn source(&self, shares: &Shares, random: &mut Random) -> Source {
        let place = share(self.traits);
        if self.is_bot {
            Source::Website
        } else if self.on_second {
            // The other kind of device than the first.
            if place < shares.mobile {
                Source::Website
            } else {
                Source::Mobile
            }
        } else if place < shares.mobile || (place < shares.mobile + shares.both && random.below(2) == 0) {
            Source::Mobile
        } else {
            Source::Website
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

    /// Number of the country in [`COUNTRIES`].
    #[must_use]
    pub fn country(&self) -> usize {
        let mut share = u32::try_from((self.traits >> 16) % 100).unwrap_or(0);
        COUNTRIES
            .iter()
            .position(|(.., size)| {
                let found = share < *size;
                share = share.saturating_sub(*size);
                found
            })
            .unwrap_or(0)
    }

    /// Number of the visitor's device among those of a source.
    #[must_use]
    pub fn device(&self, devices: &[Device]) -> usize {
        let total: u64 = devices.iter().map(|device| u64::from(device.weight)).sum();
        let mut place = (self.traits >> 32).wrapping_add(u64::from(self.on_second) << 8) % total.max(1);
        devices
            .iter()
            .position(|device| {
                let found = place < u64::from(device.weight);
                place = place.saturating_sub(u64::from(device.weight));
                found
            })
            .unwrap_or(0)
    }
}

fn traits(person: u32) -> u64 {
    mix(u64::from(person) ^ 0x7669_7369_746f_7273)
}

/// The lowest 16 bits as a number in `[0, 1)`.
fn share(traits: u64) -> f64 {
    f64::from(u32::try_from(traits & 0xffff).unwrap_or(0)) / 65_536.0
}
