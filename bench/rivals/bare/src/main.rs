//! The least that computing the windows can cost: one process, librdkafka, sonic-rs and the same sketch; no guarantees, no
//! dead letters, no checkpoints.
//!
//! `bare BOOTSTRAP TOPIC PARTITIONS WINDOW_MS` reads the topic to its end, and prints one row on each line, as the other
//! rivals do, and at last the seconds from the first record to the last one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::Message;
use rtea_core::sketch::Sketch;
use serde::Deserialize;

#[derive(Deserialize)]
struct Item<'a> {
    category: &'a str,
    price: f64,
    #[serde(default = "one")]
    quantity: i64,
}

fn one() -> i64 {
    1
}

#[derive(Deserialize)]
struct Event<'a> {
    event_type: &'a str,
    source: &'a str,
    event_time: i64,
    visitor_id: &'a str,
    #[serde(default, borrow)]
    items: Vec<Item<'a>>,
    currency: Option<&'a str>,
}

#[derive(Default)]
struct Window {
    counts: HashMap<String, u64>,
    revenue: HashMap<(String, String), i64>,
    visitors: HashMap<String, Sketch>,
}

impl Window {
    fn add(&mut self, event: &Event<'_>) {
        let kind = format!("{}_{}", event.event_type, event.source);
        *self.counts.entry(kind).or_default() += 1;
        if let Some(sketch) = self.visitors.get_mut(event.source) {
            sketch.add(event.visitor_id.as_bytes());
        } else {
            let mut sketch = Sketch::new();
            sketch.add(event.visitor_id.as_bytes());
            self.visitors.insert(event.source.to_owned(), sketch);
        }
        if event.event_type == "purchase" {
            for item in &event.items {
                let place = (item.category.to_owned(), event.currency.unwrap_or("USD").to_owned());
                *self.revenue.entry(place).or_default() += (item.price * 100.0).round() as i64 * item.quantity;
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, partitions, window_ms] = arguments.as_slice() else {
        eprintln!("expected BOOTSTRAP TOPIC PARTITIONS WINDOW_MS");
        std::process::exit(2);
    };
    let partitions: i32 = partitions.parse().expect("number of partitions");
    let window_ms: i64 = window_ms.parse().expect("window in ms");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("consumer");
    let mut places = TopicPartitionList::new();
    for partition in 0..partitions {
        places.add_partition_offset(topic, partition, Offset::Beginning).expect("partition");
    }
    consumer.assign(&places).expect("assignment");
    let mut windows: HashMap<i64, Window> = HashMap::new();
    let mut left = partitions;
    let mut began = None;
    while left > 0 {
        match consumer.poll(Duration::from_secs(1)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => panic!("{error}"),
            Some(Ok(message)) => {
                began.get_or_insert_with(Instant::now);
                let value = message.payload().unwrap_or_default();
                if let Ok(event) = sonic_rs::from_slice::<Event<'_>>(value) {
                    windows.entry(event.event_time.div_euclid(window_ms) * window_ms).or_default().add(&event);
                }
            }
        }
    }
    let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
    for (start_ms, window) in windows {
        print(start_ms, window);
    }
    println!("{}", serde_json::json!({ "seconds": seconds }));
}

fn print(start_ms: i64, window: Window) {
    let row = |metric: &str, dimension: &str, currency: &str, value: i64| {
        println!(
            "{}",
            serde_json::json!({ "window_start_ms": start_ms, "metric": metric, "dimension": dimension,
                "currency": currency, "value": value })
        );
    };
    for (kind, count) in &window.counts {
        row("event_count", kind, "", i64::try_from(*count).expect("count"));
    }
    for ((category, currency), minor) in &window.revenue {
        row("revenue", category, currency, *minor);
    }
    let mut all = Sketch::new();
    for (source, sketch) in &window.visitors {
        all.merge(sketch);
        row("unique_visitors", source, "", sketch.estimate());
    }
    row("unique_visitors", "all", "", all.estimate());
}
