//! Promises: merging is associative and commutative, folding in parts equals folding at once, and every event survives
//! encoding. A naive fold over serde_json checks this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generated;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rtea_core::aggregate::Partial;
use rtea_core::codec::{self, Format};
use rtea_core::dimension::Policy;
use rtea_core::event::Event;
use rtea_core::fold::{fold, window_start, Folded, Settings, ALL_TIME};
use rtea_core::metrics::Metrics;
use rtea_core::pack::{write_header, write_record, Record};
use rtea_core::state::accumulate;

use generated::{encoded, event, events, oracle, WINDOW_MS};

const NOW_MS: i64 = 1 << 41;

fn settings() -> Settings {
    Settings {
        window_ms: WINDOW_MS,
        max_skew_ms: 0,
        span_ms: ALL_TIME,
        max_event_bytes: 1 << 20,
        max_letter_bytes: 1 << 21,
        topic: "events".into(),
        policy: Policy::default(),
        map: None,
        format: None,
    }
}

fn packed(events: &[Event<'_>]) -> Vec<u8> {
    let mut batch = Vec::new();
    write_header(0, 0, &mut batch);
    for (offset, event) in (0..).zip(events) {
        let format = Format::READABLE[usize::try_from(offset % 2).unwrap()];
        let value = encoded(event, format);
        // The record's timestamp decides nothing.
        write_record(&Record { offset, timestamp_ms: offset * 977 - 5, value: Some(&value) }, &mut batch);
    }
    batch
}

fn folded(events: &[Event<'_>]) -> Partial {
    let Folded { mut partials, dead_letters, .. } = fold(&packed(events), NOW_MS, &settings()).unwrap();
    assert!(dead_letters.is_empty());
    assert!(partials.len() <= 1);
    partials.pop().unwrap_or_else(|| Partial::new(0, &Policy::default()))
}

fn merged(first: &Partial, second: &Partial) -> Partial {
    let mut merged = first.clone();
    merged.merge(second).unwrap();
    merged
}

fn assert_equals_the_naive_fold(partial: &Partial, events: &[Event<'_>]) {
    assert_eq!(oracle::found(partial), oracle::expected(events));
    assert_eq!(partial.events(), events.len() as u64);
}

#[test]
fn every_series_of_the_registry_has_an_oracle() {
    let registered = Metrics::LIST.iter().flat_map(|(_, series)| series.iter().map(|series| series.name));
    assert_eq!(registered.collect::<BTreeSet<_>>(), oracle::SERIES.into_iter().collect());
}

proptest! {
    #[test]
    fn a_batch_of_many_windows_folds_to_the_partials_of_each(
        events in events(), windows in proptest::collection::vec(0..5_i64, 30), span in (0..5_i64, 1..6_i64),
    ) {
        let moved = |(event, window): (Event<'static>, &i64)| Event { event_time_ms: event.event_time_ms + window * WINDOW_MS, ..event };
        let events: Vec<_> = events.into_iter().zip(&windows).map(moved).collect();
        let span_ms = span.0 * WINDOW_MS..(span.0 + span.1) * WINDOW_MS;
        for settings in [settings(), Settings { span_ms, ..settings() }] {
            let folded = fold(&packed(&events), NOW_MS, &settings).unwrap();
            let mut by_window: BTreeMap<i64, Vec<Event<'_>>> = BTreeMap::new();
            for event in events.iter().filter(|event| settings.span_ms.contains(&event.event_time_ms)) {
                by_window.entry(window_start(event.event_time_ms, WINDOW_MS)).or_default().push(event.clone());
            }
            prop_assert_eq!(folded.partials.len(), by_window.len());
            for partial in folded.partials {
                assert_equals_the_naive_fold(&partial, &by_window[&partial.window_start_ms]);
            }
            let latest = events.iter().map(|event| event.event_time_ms).max();
            prop_assert!(folded.progress.event_time_ms <= latest);
        }
    }
}

proptest! {
    #[test]
    fn decoding_inverts_encoding(event in event()) {
        for format in Format::READABLE {
            let bytes = encoded(&event, format);
            prop_assert_eq!(Format::of(&bytes), format);
            let decoded = codec::decode(&bytes).unwrap();
            prop_assert_eq!(&decoded, &event);
        }
    }

    #[test]
    fn encoded_json_is_what_another_parser_reads(event in event()) {
        let json: serde_json::Value = serde_json::from_slice(&encoded(&event, Format::Json)).unwrap();
        prop_assert_eq!(json["event_id"].as_str(), event.event_id.as_deref());
        prop_assert_eq!(json["page_url"].as_str(), event.page_url.as_deref());
        prop_assert_eq!(json["items"].as_array().map_or(0, Vec::len), event.items.len());
    }

    #[test]
    fn fold_equals_the_naive_fold(events in events()) {
        assert_equals_the_naive_fold(&folded(&events), &events);
    }

    #[test]
    fn merge_is_commutative(first in events(), second in events()) {
        let (first, second) = (folded(&first), folded(&second));
        prop_assert_eq!(merged(&first, &second).to_bytes(), merged(&second, &first).to_bytes());
    }

    #[test]
    fn merge_is_associative(first in events(), second in events(), third in events()) {
        let (first, second, third) = (folded(&first), folded(&second), folded(&third));
        prop_assert_eq!(
            merged(&merged(&first, &second), &third).to_bytes(),
            merged(&first, &merged(&second, &third)).to_bytes()
        );
    }

    #[test]
    fn folding_in_parts_equals_folding_at_once(first in events(), second in events()) {
        let whole: Vec<_> = first.iter().chain(&second).cloned().collect();
        prop_assert_eq!(merged(&folded(&first), &folded(&second)).to_bytes(), folded(&whole).to_bytes());
    }

    #[test]
    fn accumulating_equals_merging(batches in proptest::collection::vec(events(), 1..12)) {
        let partials: Vec<_> = batches.iter().map(|events| folded(events)).collect();
        let mut window = partials[0].to_bytes();
        for partial in &partials[1..] {
            let before = Partial::from_bytes(&window).unwrap().to_bytes().len();
            window = accumulate(&window, &partial.to_bytes()).unwrap();
            let room = 2 * (before + partial.to_bytes().len()) + 64;
            prop_assert!(window.len() <= room, "{} bytes, at most {room}", window.len());
        }
        let all: Vec<_> = batches.into_iter().flatten().collect();
        prop_assert_eq!(Partial::from_bytes(&window).unwrap().to_bytes(), folded(&all).to_bytes());
    }

    #[test]
    fn halves_are_the_whole_again(events in events()) {
        let whole = folded(&events);
        let mut parts = vec![whole.clone()];
        while let Some((place, (first, second))) = parts.iter().enumerate().find_map(|(n, part)| Some((n, part.halves()?))) {
            parts.splice(place..=place, [first, second]);
        }
        let mut merged = parts.pop().unwrap();
        for part in parts {
            merged.merge(&part).unwrap();
        }
        prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
    }

    #[test]
    fn state_bytes_keep_a_partial(events in events()) {
        let bytes = folded(&events).to_bytes();
        prop_assert_eq!(Partial::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = codec::decode(&bytes);
        let _ = Partial::from_bytes(&bytes);
        let _ = fold(&bytes, 0, &settings());
    }

    #[test]
    fn cut_off_events_are_refused(event in event(), cut in 0.0..1.0_f64) {
        for format in Format::READABLE {
            let bytes = encoded(&event, format);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let length = (bytes.len() as f64 * cut) as usize;
            prop_assert!(codec::decode(&bytes[..length]).is_err());
        }
    }
}
