//! The shop's products: category, price and popularity, each a function of the product's number.

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

/// Price of one piece in minor units, ending in 9 as prices do.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn price_minor(product: u32) -> i64 {
    let Category { lowest_minor, highest_minor, .. } = CATEGORIES[category_of(product)];
    let share = f64::from((mix(u64::from(product)) >> 40) as u32) / f64::from(1 << 24);
    let price = lowest_minor * libm::pow(highest_minor / lowest_minor, share);
    (price / 10.0) as i64 * 10 + 9
}
