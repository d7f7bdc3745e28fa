//! Views, carts, units and revenue of each product; a window's rows are those of the greatest ones.

use std::collections::BTreeMap;

use crate::dimension::{Amount, Bounded, Policy, OTHER};
use crate::event::PURCHASE;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit, Value};
use crate::observation::Observation;

/// Most products that a window keeps; the rest, by name, is added up.
const MOST_PRODUCTS: u32 = 20_000;

/// What a window knows of one product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Product {
    views: u64,
    carts: u64,
    units: u64,
    /// Minor units by currency.
    revenue: BTreeMap<String, i128>,
}

impl Amount for Product {
    fn add(&mut self, other: &Self) {
        self.views += other.views;
        self.carts += other.carts;
        self.units += other.units;
        for (currency, minor) in &other.revenue {
            *self.revenue.entry(currency.clone()).or_default() += minor;
        }
    }
}

/// All products of a window.
#[derive(Debug, Clone)]
pub struct Products(Bounded<Product>);

/// Views, carts, units, revenue by currency.
type Counts<'a> = (u64, u64, u64, Vec<(&'a str, i128)>);

/// Id and counts of each product; counts of the rest.
type Section<'a> = (Vec<(&'a str, Counts<'a>)>, Option<Counts<'a>>);

fn counts(product: &Product) -> Counts<'_> {
    let revenue = product.revenue.iter().map(|(currency, minor)| (currency.as_str(), *minor)).collect();
    (product.views, product.carts, product.units, revenue)
}

fn product((views, carts, units, revenue): Counts<'_>) -> Product {
    let revenue = revenue.into_iter().map(|(currency, minor)| (currency.to_owned(), minor)).collect();
    Product { views, carts, units, revenue }
}

impl Products {
    /// The products with the greatest amounts, greatest first, then by id; the others together as [`OTHER`].
    fn greatest(&self, top: usize, amount: impl Fn(&Product) -> i128 + Copy) -> Vec<(String, i128)> {
        let entries = self.0.entries();
        let mut all: Vec<(&str, i128)> = entries.iter().map(|entry| (entry.name, amount(entry.amount))).collect();
        all.retain(|(_, amount)| *amount > 0);
        all.sort_unstable_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        let rest = all.split_off(all.len().min(top));
        let rest = rest.iter().map(|(_, amount)| *amount).chain(self.0.dropped().map(amount)).sum::<i128>();
        let mut greatest: Vec<_> = all.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect();
        greatest.extend((rest > 0).then(|| (OTHER.to_owned(), rest)));
        greatest
    }

    /// Every currency in which something was sold.
    fn currencies(&self) -> Vec<&str> {
        let entries = self.0.entries();
        let mut found: Vec<&str> =
            entries.iter().flat_map(|entry| entry.amount.revenue.keys()).map(String::as_str).collect();
        found.extend(self.0.dropped().flat_map(|product| product.revenue.keys()).map(String::as_str));
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Metric for Products {
    const SERIES: &'static [Series] = &[
        Series {
            name: "product_views",
            dimension: "product id",
            unit: Unit::Count,
            description: "Views of the products that were viewed most; the rest as (other).",
        },
        Series {
            name: "product_carts",
            dimension: "product id",
            unit: Unit::Count,
            description: "How often the products were put into a cart, those with the most; the rest as (other).",
        },
        Series {
            name: "product_units",
            dimension: "product id",
            unit: Unit::Count,
            description: "Sold pieces of the products that sold most; the rest as (other).",
        },
        Series {
            name: "product_revenue",
            dimension: "product id",
            unit: Unit::Money,
            description: "Revenue of the products with the highest revenue in a currency; the rest as (other).",
        },
    ];

    fn new(_: &Policy) -> Self {
        Self(Bounded::new(MOST_PRODUCTS))
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, _: &Policy) {
        let (is_view, is_cart) = (event.event_type == "product_view", event.event_type == "add_to_cart");
        let is_sale = event.event_type == PURCHASE && part.has_order();
        if !(is_view || is_cart || is_sale) {
            return;
        }
        for line in event.lines.iter().filter(|line| !line.product_id.is_empty()) {
            let product = self.0.slot("", line.product_id, || false);
            product.views += u64::from(is_view);
            product.carts += u64::from(is_cart);
            if is_sale {
                product.units += line.quantity.unsigned_abs();
                let minor = i128::from(line.revenue_minor());
                match product.revenue.get_mut(event.currency) {
                    Some(sum) => *sum += minor,
                    None => drop(product.revenue.insert(event.currency.to_owned(), minor)),
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn rows(&self, policy: &Policy) -> Vec<Row<'_>> {
        let top = policy.top_products as usize;
        let count = |metric, amount: fn(&Product) -> u64| {
            let greatest = self.greatest(top, |product| i128::from(amount(product)));
            let row = move |(dimension, count): (String, i128)| Row {
                metric,
                dimension,
                currency: "",
                value: Value::Count(u64::try_from(count).unwrap_or(u64::MAX)),
            };
            greatest.into_iter().map(row)
        };
        let mut rows: Vec<Row<'_>> = count("product_views", |product| product.views)
            .chain(count("product_carts", |product| product.carts))
            .chain(count("product_units", |product| product.units))
            .collect();
        for currency in self.currencies() {
            let greatest = self.greatest(top, |product| product.revenue.get(currency).copied().unwrap_or_default());
            rows.extend(greatest.into_iter().map(|(dimension, minor)| Row {
                metric: "product_revenue",
                dimension,
                currency,
                value: Value::Money(minor),
            }));
        }
        rows
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let entries = self.0.entries();
        let others = self.0.others();
        if entries.is_empty() && others.is_empty() {
            return;
        }
        let section: Section<'_> = (
            entries.iter().map(|entry| (entry.name, counts(entry.amount))).collect(),
            others.first().map(|(_, rest)| counts(rest)),
        );
        write(&section, bytes);
    }

    fn from_bytes(bytes: &[u8], policy: &Policy) -> Result<Self, InvalidSection> {
        let (products, rest): Section<'_> = read(bytes)?;
        let mut found = Self::new(policy);
        for (name, counts) in products {
            found.0.restore("", name, false, product(counts));
        }
        if let Some(rest) = rest {
            found.0.add_other("", &product(rest));
        }
        Ok(found)
    }

    fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.0.halves()?;
        Some((Self(first), Self(second)))
    }
}
