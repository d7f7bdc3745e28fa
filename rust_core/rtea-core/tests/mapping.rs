//! Promises of event maps: the fast walk reads what the reader of whole values reads, in every spelling; a value of
//! MessagePack reads like the same value of JSON; skipped events are counted without a dead letter; nothing panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rtea_core::codec::map::{EventMap, Scratch};
use rtea_core::dimension::Policy;
use rtea_core::fold::{fold, Settings, ALL_TIME};
use rtea_core::observation::Observation;
use rtea_core::pack::{write_header, write_record, Record};
use serde_json::Value;

const PRESETS: [&str; 6] = ["ga4-export", "rees46", "rtea", "segment", "shopify-pixel", "snowplow"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/rtea/maps")
}

fn map(preset: &str) -> EventMap {
    EventMap::parse(&std::fs::read_to_string(folder().join(format!("{preset}.toml"))).unwrap()).unwrap()
}

fn sample(preset: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(format!("samples/{preset}.ndjson"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The same value in another spelling.
fn respelled(value: &Value, seed: u64, out: &mut String) {
    let space = ["", " ", "\n\t"][usize::try_from(seed % 3).unwrap()];
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if seed % 2 == 1 {
                members.reverse();
            }
            out.push('{');
            for (number, (key, member)) in members.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                out.push_str(space);
                out.push_str(&serde_json::to_string(key).unwrap());
                out.push(':');
                respelled(member, seed / 3 + number as u64, out);
            }
            out.push_str(space);
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (number, element) in elements.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                respelled(element, seed / 3 + number as u64, out);
            }
            out.push(']');
        }
        Value::String(text) if seed.is_multiple_of(5) => {
            out.push('"');
            text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// What a map gives, by the fast walk where that can read the value, and by the reader of whole values.
fn assert_agreement(map: &EventMap, value: &[u8]) {
    let (mut scratch, whole) = (Scratch::default(), map.decode_whole(value));
    assert_eq!(map.decode(value, &mut scratch), whole, "{}", String::from_utf8_lossy(value));
    // The scratch keeps nothing of the value before.
    assert_eq!(map.decode(value, &mut scratch), whole);
    let mut found = Observation::blank();
    if map.observe(value, None, &mut scratch, &mut found) {
        let event = whole.unwrap().unwrap();
        assert_eq!(found, Observation::of(&event), "{}", String::from_utf8_lossy(value));
    }
}

#[test]
fn every_sample_counts_and_reads_the_same_in_every_spelling() {
    for preset in PRESETS {
        let map = map(preset);
        for line in sample(preset) {
            let value: Value = serde_json::from_str(&line).unwrap();
            let expected = map.decode_whole(line.as_bytes()).unwrap();
            for seed in 0..60 {
                let mut text = String::new();
                respelled(&value, seed, &mut text);
                assert_agreement(&map, text.as_bytes());
                assert_eq!(map.decode(text.as_bytes(), &mut Scratch::default()).unwrap(), expected, "{text}");
            }
            let packed = rmp_serde::to_vec_named(&value).unwrap();
            assert_eq!(map.decode(&packed, &mut Scratch::default()).unwrap(), expected);
        }
    }
}

#[test]
fn the_map_of_our_own_layout_gives_what_the_decoder_gives() {
    let map = map("rtea");
    for line in sample("rtea") {
        let event = rtea_core::codec::decode(line.as_bytes()).unwrap();
        assert_eq!(map.decode(line.as_bytes(), &mut Scratch::default()), Ok(Some(event)));
    }
}

#[test]
fn of_repeated_names_the_last_one_counts_with_all_that_is_in_it() {
    let text = r#"
        event_type = "/t"
        event_time = "/at"
        visitor_id = "/who/id"
        source = { constant = "mobile" }
        campaign = "/who/c"
    "#;
    let map = EventMap::parse(text).unwrap();
    let value = br#"{"t":"search","at":1,"who":{"id":"first","c":"x"},"who":{"id":"last"}}"#;
    let Ok(Some(event)) = map.decode(value, &mut Scratch::default()) else { panic!() };
    assert_eq!((&*event.visitor_id, event.campaign), ("last", None));
    assert_agreement(&map, value);
}

#[test]
fn skipped_events_are_counted_without_a_dead_letter() {
    let settings = Settings {
        window_ms: 60_000,
        max_skew_ms: 0,
        span_ms: ALL_TIME,
        max_event_bytes: 1 << 20,
        max_letter_bytes: 1 << 20,
        topic: "events".into(),
        policy: Policy::default(),
        map: Some(map("segment")),
        format: None,
    };
    let values = [
        r#"{"type":"identify","anonymousId":"a"}"#,
        r#"{"type":"page","anonymousId":"a","timestamp":"2026-09-21T14:13:20Z"}"#,
        r#"{"type":"page","timestamp":"2026-09-21T14:13:20Z"}"#,
    ];
    let mut batch = Vec::new();
    write_header(0, 3, &mut batch);
    for (offset, value) in (0..).zip(values) {
        write_record(&Record { offset, timestamp_ms: 61_000, value: Some(value.as_bytes()) }, &mut batch);
    }
    let folded = fold(&batch, 1 << 41, &settings).unwrap();
    assert_eq!(folded.partials.len(), 1);
    assert_eq!(folded.partials[0].events(), 1);
    assert_eq!(folded.dead_letters.len(), 1);
    let counts: Vec<_> = folded.refused[0].counts.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(counts, [("missing_field", 1), ("skipped", 1)]);
    assert_eq!(folded.refused[0].window_start_ms, 60_000);
}

proptest! {
    #[test]
    fn cut_and_changed_values_never_panic_and_read_the_same(
        preset in 0..PRESETS.len(), line in 0..40_usize, place in 0.0..1.0_f64, byte: u8, cut: bool,
    ) {
        let map = map(PRESETS[preset]);
        let mut value = sample(PRESETS[preset])[line].clone().into_bytes();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let place = (place * value.len() as f64) as usize;
        if cut { value.truncate(place) } else { value[place] = byte }
        assert_agreement(&map, &value);
    }
}

#[test]
fn most_events_of_the_samples_are_observed_without_making_the_whole_event() {
    // The others have fields that are not counted, or make new ids.
    for preset in ["rees46", "segment", "shopify-pixel", "snowplow"] {
        let (map, lines) = (map(preset), sample(preset));
        let observed = lines
            .iter()
            .filter(|line| map.observe(line.as_bytes(), None, &mut Scratch::default(), &mut Observation::blank()));
        assert!(observed.count() * 2 > lines.len(), "{preset}");
    }
}
