//! The shop's products: category, price and popularity, each a function of the product's number.

use std::sync::LazyLock;

use crate::random::mix;

/// A category: its name and the bounds of its prices in minor units, log-uniform between them.
#[derive(Debug, Clone, Copy)]
pub struct Category {
    /// The dimension of its revenue.
    pub name: &'static str,
    lowest_minor: f64,
    highest_minor: f64,
}

const fn category(name: &'static str, lowest_minor: f64, highest_minor: f64) -> Category {
    Category { name, lowest_minor, highest_minor }
}

/// The categories. A product belongs to number `product % CATEGORIES.len()`, so neighbouring ranks of popularity
/// are of different ones and each has its best sellers.
pub const CATEGORIES: [Category; 12] = [
    category("electronics", 1_999.0, 249_900.0),
    category("fashion", 999.0, 24_900.0),
    category("home", 799.0, 89_900.0),
    category("beauty", 399.0, 12_900.0),
    category("sports", 999.0, 59_900.0),
    category("toys", 499.0, 14_900.0),
    category("books", 299.0, 5_900.0),
    category("grocery", 99.0, 2_900.0),
    category("garden", 599.0, 79_900.0),
    category("automotive", 699.0, 49_900.0),
    category("health", 299.0, 9_900.0),
    category("pet_supplies", 199.0, 8_900.0),
];

/// Number of the product's category in [`CATEGORIES`].
#[must_use]
pub fn category_of(product: u32) -> usize {
    product as usize % CATEGORIES.len()
}

const PRICE_BITS: u32 = 12;

/// The prices of each category: drawing one is a look-up, where its power would cost as much as half an event.
static PRICES: LazyLock<Vec<Vec<i64>>> = LazyLock::new(|| {
    let prices = |Category { lowest_minor, highest_minor, .. }: Category| {
        (0..1_u32 << PRICE_BITS).map(move |step| {
            let share = f64::from(step) / f64::from(1_u32 << PRICE_BITS);
            #[allow(clippy::cast_possible_truncation)]
            let tens = (lowest_minor * libm::pow(highest_minor / lowest_minor, share) / 10.0) as i64;
            tens * 10 + 9
        })
    };
    CATEGORIES.into_iter().map(|category| prices(category).collect()).collect()
});

/// Price of one piece in minor units, ending in 9 as prices do.
#[must_use]
pub fn price_minor(product: u32) -> i64 {
    #[allow(clippy::cast_possible_truncation)]
    let step = (mix(u64::from(product)) >> (64 - PRICE_BITS)) as usize;
    PRICES[category_of(product)][step]
}
