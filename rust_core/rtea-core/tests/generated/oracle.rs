//! What every series should count, in the simplest way: JSON objects, maps and sets.

use std::collections::{BTreeMap, BTreeSet};

use rtea_core::aggregate::Partial;
use rtea_core::codec::Format;
use rtea_core::event::Event;
use rtea_core::metrics::Value;
use serde_json::Value as Json;

use super::encoded;

/// Metric, dimension and currency.
type Key = (&'static str, String, String);

/// The series that [`expected`] knows.
pub(crate) const SERIES: [&str; 14] = [
    "event_count",
    "revenue",
    "unique_visitors",
    "orders",
    "order_units",
    "sessions",
    "funnel",
    "product_views",
    "product_carts",
    "product_units",
    "product_revenue",
    "audience_events",
    "audience_visitors",
    "audience_revenue",
];

#[derive(Default)]
struct Tally {
    sums: BTreeMap<Key, i128>,
    sets: BTreeMap<Key, BTreeSet<String>>,
}

impl Tally {
    fn add(&mut self, metric: &'static str, dimension: &str, currency: &str, amount: i128) {
        *self.sums.entry((metric, dimension.to_owned(), currency.to_owned())).or_default() += amount;
    }

    fn put(&mut self, metric: &'static str, dimension: &str, id: &str) {
        self.sets.entry((metric, dimension.to_owned(), String::new())).or_default().insert(id.to_owned());
    }
}

fn minor(item: &Json, currency: &str) -> i128 {
    let unit = match currency {
        "JPY" => 1.0,
        "KWD" => 1_000.0,
        _ => 100.0,
    };
    #[allow(clippy::cast_possible_truncation)]
    let price = (item["price"].as_f64().unwrap() * unit).round() as i128;
    price * i128::from(item["quantity"].as_i64().unwrap())
}

/// The rows of some events.
pub(crate) fn expected(events: &[Event<'_>]) -> BTreeMap<Key, i128> {
    let mut tally = Tally::default();
    for event in events {
        let json: Json = serde_json::from_slice(&encoded(event, Format::Json)).unwrap();
        let text = |field: &str| json[field].as_str();
        let (event_type, source, visitor) =
            (text("event_type").unwrap(), text("source").unwrap(), text("visitor_id").unwrap());
        let session = text("session_id").unwrap_or(visitor);
        let currency = text("currency").unwrap_or("USD");
        let items = json["items"].as_array().map_or(&[][..], Vec::as_slice);
        let total: i128 = items.iter().map(|item| minor(item, currency)).sum();
        let is_purchase = event_type == "purchase";

        tally.add("event_count", &format!("{event_type}_{source}"), "", 1);
        for dimension in [source, "all"] {
            tally.put("unique_visitors", dimension, visitor);
            tally.put("sessions", dimension, session);
        }
        if ["product_view", "add_to_cart", "begin_checkout", "add_payment_info", "purchase"].contains(&event_type) {
            tally.put("funnel", &format!("{event_type}_{source}"), session);
        }
        if is_purchase {
            tally.add("orders", source, "", 1);
        }
        for item in items {
            let (product, quantity) = (item["product_id"].as_str().unwrap(), item["quantity"].as_i64().unwrap());
            match event_type {
                "product_view" => tally.add("product_views", product, "", 1),
                "add_to_cart" => tally.add("product_carts", product, "", 1),
                "purchase" => {
                    tally.add("revenue", item["category"].as_str().unwrap(), currency, minor(item, currency));
                    tally.add("order_units", source, "", quantity.into());
                    tally.add("product_units", product, "", quantity.into());
                    tally.add("product_revenue", product, currency, minor(item, currency));
                }
                _ => {}
            }
        }
        let os = json["device"]["os"].as_str().unwrap_or("").to_lowercase();
        let class = match source {
            "mobile" if json["device"].is_object() => Some("app"),
            "website" if os.starts_with("ios") || os.starts_with("android") => Some("phone"),
            "website" if os.starts_with("windows") || os.starts_with("macos") => Some("desktop"),
            _ => None,
        };
        let groups =
            [("campaign", text("campaign")), ("country", json["device"]["country"].as_str()), ("device", class)];
        for (kind, name) in groups {
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                let dimension = format!("{kind}:{name}");
                tally.add("audience_events", &dimension, "", 1);
                tally.put("audience_visitors", &dimension, visitor);
                if is_purchase {
                    tally.add("audience_revenue", &dimension, currency, total);
                }
            }
        }
    }
    let mut rows = tally.sums;
    // A product that sold for nothing has no row: it is not among the greatest.
    rows.retain(|(metric, ..), amount| *metric != "product_revenue" || *amount > 0);
    rows.extend(tally.sets.into_iter().map(|(key, ids)| (key, i128::try_from(ids.len()).unwrap())));
    rows
}

/// The rows that the metrics give. Sketches are exact for so few ids.
pub(crate) fn found(partial: &Partial) -> BTreeMap<Key, i128> {
    let value = |value| match value {
        Value::Count(count) => i128::from(count),
        Value::Money(minor) => minor,
        Value::Distinct(estimate, _) => i128::from(estimate),
    };
    let rows = partial.rows().into_iter();
    rows.map(|row| ((row.metric, row.dimension, row.currency.to_owned()), value(row.value))).collect()
}
