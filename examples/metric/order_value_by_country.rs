//! An example of a metric: orders and their value by country, from which the average order value follows.
//!
//! To count it, put this file into `rust_core/rtea-core/src/metrics/`, and add its line to the list at the end of `mod.rs`
//! there: `order_value_by_country: OrderValueByCountry`.

use crate::dimension::{Bounded, Policy, OTHER};
use crate::event::PURCHASE;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit, Value};
use crate::observation::Observation;

/// Purchases by country, and their minor units by currency and country, of as many countries as the policy allows.
#[derive(Debug, Clone)]
pub struct OrderValueByCountry {
    orders: Bounded<i128>,
    value: Bounded<i128>,
}

/// Group, name and amount of each dimension; then group and amount of what did not fit.
type Amounts<'a> = (Vec<(&'a str, &'a str, i128)>, Vec<(&'a str, i128)>);

impl Metric for OrderValueByCountry {
    const SERIES: &'static [Series] = &[
        Series {
            name: "country_orders",
            dimension: "country",
            unit: Unit::Count,
            description: "Number of purchases by country.",
        },
        Series {
            name: "country_order_value",
            dimension: "country",
            unit: Unit::Money,
            description: "Revenue of purchases by country and currency.",
        },
    ];

    fn new(policy: &Policy) -> Self {
        Self { orders: Bounded::new(policy.limit), value: Bounded::new(policy.limit) }
    }

    fn add(&mut self, event: &Observation<'_>, part: Part, _: &Policy) {
        // With job.deduplicate_orders, the order comes as a part of its own, once.
        if !part.has_order() || event.event_type != PURCHASE {
            return;
        }
        let country = event.country.filter(|country| !country.is_empty()).unwrap_or("(unknown)");
        let value = event.lines.iter().map(|line| i128::from(line.revenue_minor())).sum();
        self.orders.add("", country, &1, || false);
        self.value.add(event.currency, country, &value, || false);
    }

    fn merge(&mut self, other: &Self) {
        self.orders.merge(&other.orders);
        self.value.merge(&other.value);
    }

    fn rows(&self, _: &Policy) -> Vec<Row<'_>> {
        let count = |(_, country, orders): (&str, &str, i128)| Row {
            metric: "country_orders",
            dimension: country.to_owned(),
            currency: "",
            value: Value::Count(u64::try_from(orders).unwrap_or(u64::MAX)),
        };
        let money = |(currency, country, minor)| Row {
            metric: "country_order_value",
            dimension: String::from(country),
            currency,
            value: Value::Money(minor),
        };
        all(&self.orders).map(count).chain(all(&self.value).map(money)).collect()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let section = [amounts(&self.orders), amounts(&self.value)];
        if section.iter().any(|(held, rest)| !held.is_empty() || !rest.is_empty()) {
            write(&section, bytes);
        }
    }

    fn from_bytes(bytes: &[u8], policy: &Policy) -> Result<Self, InvalidSection> {
        let [orders, value]: [Amounts<'_>; 2] = read(bytes)?;
        let mut found = Self::new(policy);
        for (bounded, (held, rest)) in [(&mut found.orders, orders), (&mut found.value, value)] {
            held.iter().for_each(|(group, name, amount)| bounded.add(group, name, amount, || false));
            rest.iter().for_each(|(group, amount)| bounded.add_other(group, amount));
        }
        Ok(found)
    }
}

/// Group, name and amount of each dimension, what did not fit last.
fn all(bounded: &Bounded<i128>) -> impl Iterator<Item = (&str, &str, i128)> {
    let rest = bounded.others().into_iter().map(|(group, amount)| (group, OTHER, amount));
    bounded.entries().into_iter().map(|entry| (entry.group, entry.name, *entry.amount)).chain(rest)
}

fn amounts(bounded: &Bounded<i128>) -> Amounts<'_> {
    let held = bounded.entries().into_iter().map(|entry| (entry.group, entry.name, *entry.amount));
    (held.collect(), bounded.others())
}
