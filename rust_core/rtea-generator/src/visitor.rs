//! The visitors: identity, home and devices, each a function of the visitor's number.

use crate::random::{mix, Random};
use rtea_core::event::Source;

/// Activity of the visitors, few of whom come often: exponent 0.5, as [`crate::random::PowerLaw`]
/// counts it.
pub const ACTIVITY_INVERSE: i32 = 2;

/// Countries with locale, currency and share (of 100).
pub const COUNTRIES: [(&str, &str, &str, u32); 6] = [
    ("US", "en-US", "USD", 46),
    ("GB", "en-GB", "GBP", 14),
    ("DE", "de-DE", "EUR", 14),
    ("FR", "fr-FR", "EUR", 10),
    ("CA", "en-CA", "USD", 9),
    ("IE", "en-IE", "EUR", 7),
];

const MOBILE: [(&str, &str, &str); 4] = [
    ("iOS 18", "5.4.1", "393x852"),
    ("iOS 17", "5.3.0", "390x844"),
    ("Android 15", "5.4.0", "412x915"),
    ("Android 14", "5.2.2", "360x800"),
];

const WEBSITE: [(&str, &str, &str); 4] = [
    ("Windows", "Chrome 142", "1920x1080"),
    ("macOS", "Safari 18", "1512x982"),
    ("Windows", "Edge 142", "1536x864"),
    ("Linux", "Firefox 145", "1920x1200"),
];

/// What a visitor is, whatever they do.
#[derive(Debug, Clone, Copy)]
pub struct Visitor {
    /// Number within the population.
    pub number: u32,
    traits: u64,
}

impl Visitor {
    /// The visitor of that number.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        Self { number, traits: mix(u64::from(number) ^ 0x7669_7369_746f_7273) }
    }

    /// Where a session of this visitor takes place: 45 % have only the app, 40 % only the website,
    /// 15 % use both.
    pub fn source(&self, random: &mut Random) -> Source {
        match self.traits % 100 {
            0..45 => Source::Mobile,
            45..85 => Source::Website,
            _ if random.below(2) == 0 => Source::Mobile,
            _ => Source::Website,
        }
    }

    /// Whether the visitor has an account; a third do.
    #[must_use]
    pub fn has_account(&self) -> bool {
        (self.traits >> 8).is_multiple_of(3)
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

    /// Operating system, app version or browser, and screen of the visitor's device.
    #[must_use]
    pub fn device(&self, source: Source) -> (&'static str, &'static str, &'static str) {
        let choice = (self.traits >> 32) as usize % 4;
        match source {
            Source::Mobile => MOBILE[choice],
            Source::Website => WEBSITE[choice],
        }
    }
}
