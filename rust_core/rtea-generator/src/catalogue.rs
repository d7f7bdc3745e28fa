//! The shop's products. The number of a product determines its category and its price.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use crate::random::mix;

/// Highest number of categories in a catalogue. Each category has a price table of 32 KiB.
pub const MOST_CATEGORIES: usize = 1_000;

/// Highest price of a category in minor units.
pub const HIGHEST_MINOR: u32 = 4_000_000_000;

/// A category: its name and its price range in minor units. Prices are log-uniform within the range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// The dimension of its revenue, 1 to 64 characters.
    pub name: String,
    /// The name as it appears in the URL of a page.
    pub slug: String,
    /// Lowest price, at least 1.
    pub lowest_minor: u32,
    /// Highest price, at least the lowest and at most [`HIGHEST_MINOR`].
    pub highest_minor: u32,
}

impl Category {
    /// A category; `None` when name or prices are out of bounds.
    #[must_use]
    pub fn new(name: &str, lowest_minor: u32, highest_minor: u32) -> Option<Self> {
        let has_name = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        let has_prices = 1 <= lowest_minor && lowest_minor <= highest_minor && highest_minor <= HIGHEST_MINOR;
        let slug = name.chars().map(|letter| if letter.is_alphanumeric() || letter == '_' { letter } else { '-' });
        (has_name && has_prices).then(|| Self { name: name.into(), slug: slug.collect(), lowest_minor, highest_minor })
    }

    fn prices(&self) -> impl Iterator<Item = i64> {
        let lowest_minor = f64::from(self.lowest_minor);
        let ratio = f64::from(self.highest_minor) / lowest_minor;
        (0..1_u32 << PRICE_BITS).map(move |step| {
            let share = f64::from(step) / f64::from(1_u32 << PRICE_BITS);
            #[allow(clippy::cast_possible_truncation)]
            let tens = (lowest_minor * libm::pow(ratio, share) / 10.0) as i64;
            tens * 10 + 9
        })
    }
}

const PRICE_BITS: u32 = 12;

/// Categories and their prices. A price is a look-up in a table: to compute a power instead would take half as long as
/// making a whole event.
#[derive(Debug, PartialEq)]
pub struct Catalogue {
    categories: Vec<Category>,
    prices: Vec<i64>,
}

impl Catalogue {
    /// A catalogue of 1 to [`MOST_CATEGORIES`] categories with different names; `None` if there are more or fewer, or
    /// if a name repeats.
    #[must_use]
    pub fn new(categories: Vec<Category>) -> Option<Self> {
        let names: HashSet<&str> = categories.iter().map(|category| category.name.as_str()).collect();
        if !(1..=MOST_CATEGORIES).contains(&categories.len()) || names.len() < categories.len() {
            return None;
        }
        Some(Self { prices: categories.iter().flat_map(Category::prices).collect(), categories })
    }

    /// The model's own twelve categories.
    #[must_use]
    pub fn of_the_model() -> Arc<Self> {
        static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
            let categories = MODEL.map(|(name, lowest, highest)| Category::new(name, lowest, highest));
            let categories: Option<Vec<_>> = categories.into_iter().collect();
            let Some(catalogue) = categories.and_then(Catalogue::new) else {
                unreachable!("the model's categories are within bounds")
            };
            Arc::new(catalogue)
        });
        Arc::clone(&CATALOGUE)
    }

    /// The categories.
    #[must_use]
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// Number of the product's category. Products with neighbouring ranks of popularity are in different categories, so
    /// each category has its own best sellers.
    #[must_use]
    pub fn number_of(&self, product: u32) -> usize {
        product as usize % self.categories.len()
    }

    /// The product's category.
    #[must_use]
    pub fn category_of(&self, product: u32) -> &Category {
        &self.categories[self.number_of(product)]
    }

    /// Price of one piece in minor units. It ends in 9, as shop prices often do.
    #[must_use]
    pub fn price_minor(&self, product: u32) -> i64 {
        #[allow(clippy::cast_possible_truncation)]
        let step = (mix(u64::from(product)) >> (64 - PRICE_BITS)) as usize;
        self.prices[(self.number_of(product) << PRICE_BITS) + step]
    }
}

/// Names, lowest and highest prices in minor units.
const MODEL: [(&str, u32, u32); 12] = [
    ("electronics", 1_999, 249_900),
    ("fashion", 999, 24_900),
    ("home", 799, 89_900),
    ("beauty", 399, 12_900),
    ("sports", 999, 59_900),
    ("toys", 499, 14_900),
    ("books", 299, 5_900),
    ("grocery", 99, 2_900),
    ("garden", 599, 79_900),
    ("automotive", 699, 49_900),
    ("health", 299, 9_900),
    ("pet_supplies", 199, 8_900),
];
