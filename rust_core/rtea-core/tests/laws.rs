//! Promises: merging is associative and commutative, folding in parts equals folding at once, and every event survives
//! encoding. A naive fold over serde_json checks this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rtea_core::aggregate::Partial;
use rtea_core::codec::{self, Format};
use rtea_core::dimension::Policy;
use rtea_core::event::{Device, Event, Item, Source};
use rtea_core::fold::{fold, window_start, Folded, Settings, ALL_TIME};
use rtea_core::pack::{write_header, write_record, Record};

const WINDOW_MS: i64 = 60_000;

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
    }
}

fn text() -> impl Strategy<Value = String> {
    let text = prop_oneof!["[a-z0-9]{1,12}", "\\PC{1,20}", Just("\"\\\n\u{1}\u{1f600}".to_owned())];
    text.prop_filter("no identity is blank", |text| !text.trim().is_empty())
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

prop_compose! {
    fn item()(product_id in text(), category in "[a-e]", price_minor in 0..10_000_000_i64, quantity in 1..100_i64) -> Item<'static> {
        Item { product_id: product_id.into(), category: category.into(), price_minor, quantity }
    }
}

prop_compose! {
    fn device()(fields in proptest::array::uniform6(maybe())) -> Device<'static> {
        let [os, app_version, browser, screen, locale, country] = fields.map(|field| field.map(Into::into));
        Device { os, app_version, browser, screen, locale, country }
    }
}

prop_compose! {
    fn event()(
        event_type in prop_oneof![Just("purchase".to_owned()), Just("page_view".to_owned()), "[a-z][a-z0-9_]{0,9}"],
        mobile in any::<bool>(),
        event_time_ms in 0..WINDOW_MS,
        visitor in 0..40_u8,
        texts in proptest::array::uniform8(maybe()),
        event_id in proptest::option::of(text()),
        device in proptest::option::of(device()),
        items in proptest::collection::vec(item(), 1..4),
        currency in proptest::option::of(proptest::sample::select(vec!["USD", "EUR", "JPY", "KWD"])),
        schema_version in 1..4_u32,
    ) -> Event<'static> {
        let [session_id, user_id, page_url, referrer, search_term, campaign, order_id, _] = texts.map(|text| text.map(Into::into));
        Event {
            event_id: event_id.map(Into::into),
            event_type: event_type.into(),
            source: if mobile { Source::Mobile } else { Source::Website },
            event_time_ms,
            visitor_id: format!("visitor-{visitor}").into(),
            schema_version, session_id, user_id, page_url, referrer, search_term, campaign, device, items,
            currency: currency.map(Into::into),
            order_id,
        }
    }
}

fn events() -> impl Strategy<Value = Vec<Event<'static>>> {
    proptest::collection::vec(event(), 0..30)
}

fn encoded(event: &Event<'_>, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(event, format, &mut bytes);
    bytes
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

/// The simplest possible fold: JSON objects, maps and sets.
#[derive(Debug, Default, PartialEq)]
struct Naive {
    counts: BTreeMap<(String, usize), u64>,
    revenue: BTreeMap<(String, String), i128>,
    visitors: [BTreeSet<String>; 2],
}

fn naive(events: &[Event<'_>]) -> Naive {
    let mut found = Naive::default();
    for event in events {
        let json: serde_json::Value = serde_json::from_slice(&encoded(event, Format::Json)).unwrap();
        let source = usize::from(json["source"] == "website");
        *found.counts.entry((json["event_type"].as_str().unwrap().to_owned(), source)).or_default() += 1;
        found.visitors[source].insert(json["visitor_id"].as_str().unwrap().to_owned());
        if json["event_type"] == "purchase" {
            let currency = json["currency"].as_str().unwrap_or("USD").to_owned();
            for item in json["items"].as_array().unwrap() {
                #[allow(clippy::cast_possible_truncation)]
                let unit = match &*currency {
                    "JPY" => 1.0,
                    "KWD" => 1_000.0,
                    _ => 100.0,
                };
                let minor = (item["price"].as_f64().unwrap() * unit).round() as i128;
                let category = item["category"].as_str().unwrap().to_owned();
                *found.revenue.entry((currency.clone(), category)).or_default() +=
                    minor * i128::from(item["quantity"].as_i64().unwrap());
            }
        }
    }
    found
}

fn assert_equals_the_naive_fold(partial: &Partial, events: &[Event<'_>]) {
    let expected = naive(events);
    let by_source = |(name, counts): (&str, [u64; 2])| [0, 1].map(|source| ((name.to_owned(), source), counts[source]));
    let counts = partial.counts().flat_map(by_source).filter(|(_, count)| *count > 0);
    assert_eq!(counts.collect::<BTreeMap<_, _>>(), expected.counts);
    let owned = |(currency, category, minor): (&str, &str, i128)| ((currency.to_owned(), category.to_owned()), minor);
    assert_eq!(partial.revenue().map(owned).collect::<BTreeMap<_, _>>(), expected.revenue);
    for source in Source::ALL {
        let exact = i64::try_from(expected.visitors[source as usize].len()).unwrap();
        assert_eq!(partial.visitors(source).estimate(), exact, "a sparse sketch is exact for so few");
    }
    assert_eq!(partial.events(), events.len() as u64);
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
