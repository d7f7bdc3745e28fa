//! How common each device, country, referrer, campaign and search term is.
//!
//! [`crate::visitor`] draws what belongs to a visitor, [`crate::stream`] what belongs to a session. The settings can
//! replace all of it.

use crate::weighted::Weighted;

/// A kind of device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Operating system.
    pub os: String,
    /// Version of the app, or the browser.
    pub program: String,
    /// Screen size.
    pub screen: String,
}

/// Where a visitor lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1 alpha-2.
    pub code: String,
    /// Language and country.
    pub locale: String,
    currency: String,
}

impl Country {
    /// A country; `None` when the currency is not three capital letters.
    #[must_use]
    pub fn new(code: &str, locale: &str, currency: &str) -> Option<Self> {
        let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
        is_code.then(|| Self { code: code.into(), locale: locale.into(), currency: currency.into() })
    }

    /// ISO 4217 code of the currency in which visitors from there pay.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// The currency code as three bytes.
    #[must_use]
    pub fn currency_code(&self) -> [u8; 3] {
        let mut code = [0; 3];
        code.copy_from_slice(self.currency.as_bytes());
        code
    }
}

/// Devices, countries, referrers, campaigns and search terms, with their weights. The defaults are the model's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixes {
    /// Devices of app and website, by source.
    pub devices: [Weighted<Device>; 2],
    /// Countries of the visitors.
    pub countries: Weighted<Country>,
    /// Pages from which visitors came to the website; `None` for visitors that followed no link.
    pub referrers: Weighted<Option<String>>,
    /// Campaigns, by source.
    pub campaigns: [Weighted<String>; 2],
    /// Search terms, at least one. Each product has one of them.
    pub search_terms: Vec<String>,
}

impl Default for Mixes {
    fn default() -> Self {
        Self {
            devices: [
                devices([
                    ("iOS 18", "5.4.1", "393x852", 34),
                    ("iOS 17", "5.3.0", "390x844", 12),
                    ("Android 15", "5.4.0", "412x915", 26),
                    ("Android 14", "5.4.0", "360x800", 14),
                    ("Android 14", "5.2.2", "360x800", 8),
                    ("Android 13", "5.1.0", "384x854", 6),
                ]),
                devices([
                    ("Windows", "Chrome 142", "1920x1080", 32),
                    ("macOS", "Safari 18", "1512x982", 15),
                    ("Windows", "Edge 142", "1536x864", 12),
                    ("Linux", "Firefox 145", "1920x1200", 4),
                    ("iOS 18", "Safari 18", "393x852", 18),
                    ("Android 15", "Chrome 142", "412x915", 14),
                    ("macOS", "Chrome 142", "1728x1117", 5),
                ]),
            ],
            countries: countries([
                ("US", "en-US", "USD", 46),
                ("GB", "en-GB", "GBP", 14),
                ("DE", "de-DE", "EUR", 14),
                ("FR", "fr-FR", "EUR", 10),
                ("CA", "en-CA", "USD", 9),
                ("IE", "en-IE", "EUR", 7),
            ]),
            referrers: weighted([
                Some((None, 3)),
                Some((Some("https://www.google.example/".into()), 4)),
                Some((Some("https://social.example/feed".into()), 2)),
                Some((Some("https://news.example/".into()), 1)),
            ]),
            campaigns: [
                names([("spring_sale", 1), ("push_offer", 2), ("app_referral", 1), ("retargeting", 1)]),
                names([("spring_sale", 1), ("newsletter", 2), ("brand_search", 1), ("retargeting", 1)]),
            ],
            search_terms: [
                "wireless headphones",
                "running shoes",
                "gift",
                "coffee machine",
                "summer dress",
                "usb-c cable",
                "lego",
                "yoga mat",
            ]
            .map(String::from)
            .to_vec(),
        }
    }
}

fn weighted<T>(entries: impl IntoIterator<Item = Option<(T, u32)>>) -> Weighted<T> {
    let entries: Option<Vec<_>> = entries.into_iter().collect();
    let Some(found) = entries.and_then(Weighted::new) else { unreachable!("the model's own entries are valid") };
    found
}

fn names<const N: usize>(entries: [(&str, u32); N]) -> Weighted<String> {
    weighted(entries.map(|(name, weight)| Some((name.into(), weight))))
}

type Row = (&'static str, &'static str, &'static str, u32);

fn devices<const N: usize>(rows: [Row; N]) -> Weighted<Device> {
    let device = |(os, program, screen, weight): Row| {
        Some((Device { os: os.into(), program: program.into(), screen: screen.into() }, weight))
    };
    weighted(rows.map(device))
}

fn countries<const N: usize>(rows: [Row; N]) -> Weighted<Country> {
    weighted(rows.map(|(code, locale, currency, weight)| Some((Country::new(code, locale, currency)?, weight))))
}
