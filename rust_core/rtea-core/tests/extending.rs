//! Promise: the example of a metric in `examples/metric` compiles as a file of the core, and keeps the laws of metrics.

#![allow(missing_docs, clippy::unwrap_used, unreachable_pub, dead_code)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rtea_core::event::Event;

// What the example finds in the core, where its place is.
pub use rtea_core::{dimension, event, metrics, observation};

mod generated;
#[path = "../../../examples/metric/order_value_by_country.rs"]
mod order_value_by_country;

use dimension::Policy;
use metrics::{Metric, Part, Value};
use observation::Observation;
use order_value_by_country::OrderValueByCountry;

fn counted(events: &[Event<'_>]) -> OrderValueByCountry {
    let policy = Policy::default();
    let mut found = OrderValueByCountry::new(&policy);
    events.iter().for_each(|event| found.add(&Observation::of(event), Part::Whole, &policy));
    found
}

fn bytes(metric: &OrderValueByCountry) -> Vec<u8> {
    let mut bytes = Vec::new();
    metric.write(&mut bytes);
    bytes
}

fn merged(first: &OrderValueByCountry, second: &OrderValueByCountry) -> OrderValueByCountry {
    let mut merged = first.clone();
    merged.merge(second);
    merged
}

proptest! {
    #[test]
    fn the_example_keeps_the_laws_of_metrics(first in generated::events(), second in generated::events(), third in generated::events()) {
        let whole: Vec<_> = first.iter().chain(&second).cloned().collect();
        let (first, second, third) = (counted(&first), counted(&second), counted(&third));
        prop_assert_eq!(bytes(&merged(&first, &second)), bytes(&counted(&whole)));
        prop_assert_eq!(bytes(&merged(&first, &second)), bytes(&merged(&second, &first)));
        prop_assert_eq!(
            bytes(&merged(&merged(&first, &second), &third)),
            bytes(&merged(&first, &merged(&second, &third)))
        );
        let written = bytes(&first);
        if !written.is_empty() {
            let read = OrderValueByCountry::from_bytes(&written, &Policy::default()).unwrap();
            prop_assert_eq!(bytes(&read), written);
        }
    }

    #[test]
    fn its_rows_equal_a_naive_count(events in generated::events()) {
        let mut expected: BTreeMap<(&str, String, String), i128> = BTreeMap::new();
        for event in events.iter().filter(|event| event.event_type == "purchase") {
            let country = event.device.as_ref().and_then(|device| device.country.as_deref()).filter(|name| !name.is_empty());
            let country = country.unwrap_or("(unknown)").to_owned();
            let currency = event.currency.as_deref().unwrap_or("USD").to_owned();
            let value: i128 = event.items.iter().map(|item| i128::from(item.price_minor) * i128::from(item.quantity)).sum();
            *expected.entry(("country_orders", country.clone(), String::new())).or_default() += 1;
            *expected.entry(("country_order_value", country, currency)).or_default() += value;
        }
        let metric = counted(&events);
        let rows = metric.rows(&Policy::default());
        let found = rows.iter().map(|row| {
            let value = match &row.value {
                Value::Count(count) => i128::from(*count),
                Value::Money(minor) => *minor,
                Value::Distinct(..) => -1,
            };
            ((row.metric, row.dimension.clone(), row.currency.to_owned()), value)
        });
        prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    }
}
