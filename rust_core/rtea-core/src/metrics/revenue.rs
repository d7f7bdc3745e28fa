//! Revenue of purchases by product category and currency.

use crate::dimension::{Bounded, Policy, OTHER};
use crate::event::PURCHASE;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit, Value};
use crate::observation::Observation;

/// Sums in minor units of as many pairs of currency and category as the policy allows.
#[derive(Debug, Clone)]
pub struct Revenue {
    sums: Bounded<i128>,
}

/// Currency, category, whether it is protected, and minor units; then what did not fit, by currency.
type Section<'a> = (Vec<(&'a str, &'a str, bool, i128)>, Vec<(&'a str, i128)>);

impl Revenue {
    /// Minor units by currency and category, what did not fit last.
    pub fn sums(&self) -> impl Iterator<Item = (&str, &str, i128)> {
        let rest = self.sums.others().into_iter().map(|(currency, minor)| (currency, OTHER, minor));
        self.sums.entries().into_iter().map(|entry| (entry.group, entry.name, *entry.amount)).chain(rest)
    }

    /// Sums of some categories. For sections of earlier releases.
    pub(crate) fn of(sums: Vec<(&str, &str, bool, i128)>, rest: Vec<(&str, i128)>, policy: &Policy) -> Self {
        let mut found = Self::new(policy);
        for (currency, name, is_protected, minor) in sums {
            found.sums.restore(currency, name, is_protected, minor);
        }
        for (currency, minor) in rest {
            found.sums.add_other(currency, &minor);
        }
        found
    }
}

impl Metric for Revenue {
    const SERIES: &'static [Series] = &[Series {
        name: "revenue",
        dimension: "product category",
        unit: Unit::Money,
        description: "Price times quantity of the items of purchases, by product category and currency.",
    }];

    fn new(policy: &Policy) -> Self {
        Self { sums: Bounded::new(policy.limit) }
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, policy: &Policy) {
        if !part.has_order() || event.event_type != PURCHASE {
            return;
        }
        let currency = event.currency;
        for line in &event.lines {
            let minor = i128::from(line.revenue_minor());
            self.sums.add(currency, line.category, &minor, || policy.protects(currency, line.category));
        }
    }

    fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
    }

    fn rows(&self, _: &Policy) -> Vec<Row<'_>> {
        self.sums()
            .map(|(currency, category, minor)| Row {
                metric: "revenue",
                dimension: category.to_owned(),
                currency,
                value: Value::Money(minor),
            })
            .collect()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let entries = self.sums.entries().into_iter();
        let section: Section<'_> = (
            entries.map(|entry| (entry.group, entry.name, entry.is_protected, *entry.amount)).collect(),
            self.sums.others(),
        );
        if section.0.is_empty() && section.1.is_empty() {
            return;
        }
        write(&section, bytes);
    }

    fn from_bytes(bytes: &[u8], policy: &Policy) -> Result<Self, InvalidSection> {
        let (sums, rest): Section<'_> = read(bytes)?;
        Ok(Self::of(sums, rest, policy))
    }

    fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.sums.halves()?;
        Some((Self { sums: first }, Self { sums: second }))
    }
}
