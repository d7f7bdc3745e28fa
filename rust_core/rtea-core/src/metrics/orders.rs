//! Orders and the units that they sold, by source. Revenue divided by orders is the average order value.

use crate::dimension::Policy;
use crate::event::PURCHASE;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit, Value};
use crate::observation::Observation;
use crate::source::{BySource, Source};

/// Purchases and units by source.
#[derive(Debug, Clone, Default)]
pub struct Orders(BySource<Sold>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sold {
    orders: u64,
    units: u64,
}

/// Source, orders and units, sorted by the source's name.
type Section<'a> = Vec<(&'a str, u64, u64)>;

impl Orders {
    fn section(&self) -> Section<'static> {
        let seen = self.0.iter().filter(|(_, sold)| sold.orders > 0);
        let mut section: Section<'_> = seen.map(|(source, sold)| (source.name(), sold.orders, sold.units)).collect();
        section.sort_unstable();
        section
    }
}

impl Metric for Orders {
    const SERIES: &'static [Series] = &[
        Series {
            name: "orders",
            dimension: "source",
            unit: Unit::Count,
            description: "Number of purchases by source; with job.deduplicate_orders, an order id counts once.",
        },
        Series {
            name: "order_units",
            dimension: "source",
            unit: Unit::Count,
            description: "Number of sold pieces by source.",
        },
    ];

    fn new(_: &Policy) -> Self {
        Self::default()
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, _: &Policy) {
        if part.has_order() && event.event_type == PURCHASE {
            let sold = self.0.get_mut(event.source);
            sold.orders += 1;
            sold.units += event.lines.iter().map(|line| line.quantity.unsigned_abs()).sum::<u64>();
        }
    }

    fn merge(&mut self, other: &Self) {
        for (source, sold) in other.0.iter() {
            let mine = self.0.get_mut(source);
            mine.orders += sold.orders;
            mine.units += sold.units;
        }
    }

    fn rows(&self, _: &Policy) -> Vec<Row<'_>> {
        let row = |metric, dimension: &str, count| Row {
            metric,
            dimension: dimension.to_owned(),
            currency: "",
            value: Value::Count(count),
        };
        let rows = |(source, orders, units)| [row("orders", source, orders), row("order_units", source, units)];
        self.section().into_iter().flat_map(rows).collect()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let section = self.section();
        if section.is_empty() {
            return;
        }
        write(&section, bytes);
    }

    fn from_bytes(bytes: &[u8], _: &Policy) -> Result<Self, InvalidSection> {
        let mut found = Self::default();
        for (name, orders, units) in read::<Section<'_>>(bytes)? {
            *found.0.get_mut(Source::named(name)?) = Sold { orders, units };
        }
        Ok(found)
    }
}
