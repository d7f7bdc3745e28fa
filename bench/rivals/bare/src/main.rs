//! The least that computing the windows can cost: one process, librdkafka, sonic-rs and the same sketch; no guarantees, no
//! dead letters, no checkpoints.
//!
//! `bare BOOTSTRAP TOPIC PARTITIONS WINDOW_MS` reads the topic to its end, and prints one row on each line, as the other
//! rivals do, and at last the seconds from the first record to the last one.

use std::time::{Duration, Instant};

use hashbrown::HashMap;
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
    sources: HashMap<String, Source>,
    /// By category, then by currency.
    revenue: HashMap<String, HashMap<String, i64>>,
}

#[derive(Default)]
struct Source {
    counts: HashMap<String, i64>,
    visitors: Sketch,
}

impl Window {
    fn add(&mut self, event: &Event<'_>) {
        let source = self.sources.entry_ref(event.source).or_default();
        *source.counts.entry_ref(event.event_type).or_default() += 1;
        source.visitors.add(event.visitor_id.as_bytes());
        if event.event_type == "purchase" {
            for item in &event.items {
                let sales = self.revenue.entry_ref(item.category).or_default();
                *sales.entry_ref(event.currency.unwrap_or("USD")).or_default() +=
                    (item.price * 100.0).round() as i64 * item.quantity;
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
        // Without these, librdkafka stops fetching for up to a second whenever its queue is full.
        .set("queued.min.messages", "1000000")
        .set("fetch.queue.backoff.ms", "10")
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
    let mut all = Sketch::new();
    for (name, source) in &window.sources {
        for (event_type, count) in &source.counts {
            row("event_count", &format!("{event_type}_{name}"), "", *count);
        }
        all.merge(&source.visitors);
        row("unique_visitors", name, "", source.visitors.estimate());
    }
    row("unique_visitors", "all", "", all.estimate());
    for (category, sales) in &window.revenue {
        for (currency, minor) in sales {
            row("revenue", category, currency, *minor);
        }
    }
}
