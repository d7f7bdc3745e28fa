//! Fuzzes packed batches: raw bytes, and batches made of records. The oracle is a naive fold that decodes one record
//! after the other and counts in sorted maps. Every record must either count or become a dead letter.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use rtea_core::codec;
use rtea_core::dimension::Policy;
use rtea_core::fold::{fold, Settings, ALL_TIME};
use rtea_core::pack::{write_header, write_record, Record};
use rtea_core::source::Source;

const EVENTS: [&[u8]; 4] = [
    br#"{"event_id":"e1","event_type":"page_view","source":"mobile","event_time":5,"visitor_id":"v"}"#,
    br#"{"event_id":"e2","event_type":"purchase","source":"website","event_time":5,"visitor_id":"w","order_id":"o","items":[{"product_id":"p","category":"c","price":1.25,"quantity":2}]}"#,
    br#"{"event_id":"e3","event_type":"wishlist_add","source":"mobile","event_time":5,"visitor_id":"v"}"#,
    b"\x95\xa1e\xa6search\xa6mobile\x05\xa1v",
];

fuzz_target!(|data: &[u8]| {
    let policy = Policy { limit: 3, deduplicate_orders: data.len() % 2 == 0, ..Policy::default() };
    let settings =
        Settings { window_ms: 60_000, max_skew_ms: 100, span_ms: ALL_TIME, max_event_bytes: 10_000, max_letter_bytes: 1 << 20, topic: "t".into(), policy, map: None, format: None };
    let _ = fold(data, 0, &settings);

    // Each five bytes choose an event and two places where it is changed.
    let values: Vec<Vec<u8>> = data
        .chunks_exact(5)
        .map(|change| {
            let mut value = EVENTS[usize::from(change[0] % 4)].to_vec();
            for place in [1, 3] {
                let at = usize::from(change[place]) % value.len();
                value[at] = change[place + 1];
            }
            value
        })
        .collect();
    let mut batch = Vec::new();
    write_header(0, 0, &mut batch);
    for (offset, value) in (0..).zip(&values) {
        write_record(&Record { offset, timestamp_ms: 5, value: Some(value) }, &mut batch);
    }
    let folded = fold(&batch, 0, &settings).expect("the batch is valid");

    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    let mut refused = 0;
    let mut orders = std::collections::BTreeSet::new();
    let mut repeated = 0;
    for value in &values {
        match codec::decode(value) {
            Ok(event) if event.event_time_ms <= 100 => {
                let is_order = settings.policy.deduplicate_orders && event.event_type == "purchase";
                if is_order && event.order_id.is_some() && !orders.insert(event.order_id.clone()) {
                    repeated += 1;
                    continue;
                }
                *counts.entry(event.source.index()).or_default() += 1;
            }
            _ => refused += 1,
        }
    }
    assert_eq!(folded.dead_letters.len(), refused);
    assert_eq!(folded.refused.iter().flat_map(|refused| refused.counts.values()).sum::<u64>(), refused as u64);
    let total: u64 = counts.values().sum();
    assert!(folded.partials.len() <= 1);
    let Some(partial) = folded.partials.into_iter().next() else { return assert_eq!(total, 0) };
    assert_eq!(partial.events(), total + repeated);
    let partial = partial.with_orders_counted();
    let mut counted = [0, 0];
    for (_, counts) in partial.metrics.event_count.counts() {
        Source::OWN.iter().for_each(|source| counted[source.index()] += counts.of(*source));
    }
    assert_eq!(counted.iter().sum::<u64>(), total);
    if !settings.policy.deduplicate_orders {
        assert_eq!(counted, [0, 1].map(|source| counts.get(&source).copied().unwrap_or(0)));
    }
});
