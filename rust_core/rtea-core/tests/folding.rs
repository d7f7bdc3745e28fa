//! Promises: an event counts in the window of its own time, whatever its record's timestamp says; a refused record costs its
//! neighbours nothing, and is counted by reason in a window that a table can hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtea_core::codec::{decode, Format};
use rtea_core::dimension::Policy;
use rtea_core::event::Event;
use rtea_core::fold::{fold, fold_with, Folded, Settings, ALL_TIME};
use rtea_core::pack::{write_header, write_record, Batch, Record};
use rtea_core::reject::Reject;

const NOW_MS: i64 = 1_000_000_000_000;

fn settings() -> Settings {
    Settings {
        window_ms: 60_000,
        max_skew_ms: 1_000,
        span_ms: ALL_TIME,
        max_event_bytes: 200,
        max_letter_bytes: 8_192,
        topic: "events".into(),
        policy: Policy::default(),
        map: None,
        format: None,
    }
}

fn event(event_time_ms: i64) -> String {
    format!(r#"{{"event_type":"page_view","source":"mobile","event_time":{event_time_ms},"visitor_id":"v"}}"#)
}

/// Records of partition 3, each a timestamp and a value.
fn batch_of<'a>(records: impl IntoIterator<Item = (i64, Option<&'a [u8]>)>) -> Vec<u8> {
    let mut batch = Vec::new();
    write_header(3, 17, &mut batch);
    for (offset, (timestamp_ms, value)) in (0..).zip(records) {
        write_record(&Record { offset, timestamp_ms, value }, &mut batch);
    }
    batch
}

fn letter_of(framed: &[u8]) -> serde_json::Value {
    let key_end = 4 + usize::try_from(u32::from_le_bytes(framed[..4].try_into().unwrap())).unwrap();
    serde_json::from_slice(&framed[key_end..]).unwrap()
}

fn reasons(folded: &Folded) -> Vec<String> {
    folded.dead_letters.iter().map(|letter| letter_of(letter)["reason"].as_str().unwrap().to_owned()).collect()
}

/// Window and number of events of each partial.
fn counted(folded: &Folded) -> Vec<(i64, u64)> {
    folded.partials.iter().map(|partial| (partial.window_start_ms, partial.events())).collect()
}

#[test]
fn refused_records_leave_their_neighbours_counted() {
    let (good, long) = (event(NOW_MS), event(NOW_MS).replace('}', &format!(r#","page_url":"{}"}}"#, "x".repeat(200))));
    let values = [Some(good.as_bytes()), None, Some(b""), Some(long.as_bytes()), Some(b"{"), Some(good.as_bytes())];
    let folded = fold(&batch_of(values.map(|value| (NOW_MS, value))), NOW_MS, &settings()).unwrap();
    assert_eq!(folded.partials[0].events(), 2);
    assert_eq!(reasons(&folded), ["null_value", "empty", "too_large", "invalid_json"]);
    let letters: Vec<_> = folded.dead_letters.iter().map(|letter| letter_of(letter)).collect();
    assert_eq!((&letters[0]["raw_base64"], &letters[1]["raw_base64"]), (&serde_json::Value::Null, &"".into()));
    assert_eq!((letters[3]["partition"].as_i64(), letters[3]["offset"].as_i64()), (Some(3), Some(4)));
    let counts: Vec<_> = folded.refused[0].counts.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(counts, [("empty", 1), ("invalid_json", 1), ("null_value", 1), ("too_large", 1)]);
}

#[test]
fn broken_batches_are_errors_not_events() {
    let value = event(NOW_MS);
    let batch = batch_of([(5, Some(value.as_bytes()))]);
    for length in (0..batch.len()).filter(|length| *length != 12) {
        assert!(fold(&batch[..length], NOW_MS, &settings()).is_err(), "{length}");
    }
    let folded = fold(&batch[..12], NOW_MS, &settings()).unwrap();
    assert_eq!((folded.progress.partition, folded.progress.next_offset, folded.progress.event_time_ms), (3, 17, None));
    assert_eq!(Batch::of(&batch).unwrap().count(), 1);
}

#[test]
fn the_records_timestamp_decides_nothing() {
    let times = [NOW_MS - 3_600_000, NOW_MS, 0, NOW_MS - 60_000];
    let values: Vec<_> = times.iter().map(|time_ms| event(*time_ms)).collect();
    let mut expected: Vec<_> = times.iter().map(|time_ms| (time_ms / 60_000 * 60_000, 1)).collect();
    expected.sort_unstable();
    for timestamp_ms in [-1, 0, NOW_MS, NOW_MS + 86_400_000, i64::MIN, i64::MAX, -62_135_596_800_001] {
        let batch = batch_of(values.iter().map(|value| (timestamp_ms, Some(value.as_bytes()))));
        let folded = fold(&batch, NOW_MS, &settings()).unwrap();
        assert_eq!(reasons(&folded), [""; 0]);
        let mut found = counted(&folded);
        found.sort_unstable();
        assert_eq!(found, expected, "{timestamp_ms}");
    }
}

#[test]
fn an_event_of_the_future_is_refused_and_counted_where_it_arrived() {
    let values = [NOW_MS + 1_000, NOW_MS + 1_001, NOW_MS + 3_600_000].map(event);
    let batch = batch_of(values.iter().map(|value| (NOW_MS - 120_000, Some(value.as_bytes()))));
    let folded = fold(&batch, NOW_MS, &settings()).unwrap();
    assert_eq!(counted(&folded), [(NOW_MS / 60_000 * 60_000, 1)]);
    assert_eq!(reasons(&folded), ["future_timestamp"; 2]);
    assert_eq!(folded.refused.len(), 1);
    assert_eq!(folded.refused[0].window_start_ms, NOW_MS / 60_000 * 60_000, "the window of their arrival");
    assert_eq!(folded.progress.event_time_ms, Some(NOW_MS), "an event counts with its arrival at most");
}

#[test]
fn a_malformed_record_counts_in_a_window_that_a_table_can_hold() {
    for (timestamp_ms, window_ms) in [
        (NOW_MS - 60_000, NOW_MS - 60_000),
        (NOW_MS + 1, NOW_MS),
        (-1, NOW_MS),
        (i64::MIN, NOW_MS),
        (i64::MAX, NOW_MS),
        (1 << 62, NOW_MS),
    ] {
        let folded = fold(&batch_of([(timestamp_ms, Some(&b"{"[..]))]), NOW_MS, &settings()).unwrap();
        assert_eq!(folded.refused[0].window_start_ms, window_ms / 60_000 * 60_000, "{timestamp_ms}");
    }
}

#[test]
fn a_span_leaves_other_times_out() {
    let span_ms = NOW_MS - 60_000..NOW_MS;
    let values = [NOW_MS - 60_001, NOW_MS - 60_000, NOW_MS - 1, NOW_MS].map(event);
    let mut records: Vec<_> = values.iter().map(|value| (5, Some(value.as_bytes()))).collect();
    records.extend([(NOW_MS - 60_001, None), (NOW_MS - 1, None), (NOW_MS, None)]);
    let folded = fold(&batch_of(records), NOW_MS, &Settings { span_ms, ..settings() }).unwrap();
    assert_eq!(folded.partials.iter().map(rtea_core::aggregate::Partial::events).sum::<u64>(), 2);
    assert_eq!(reasons(&folded), ["null_value"]);
}

#[test]
fn a_letter_fits_whatever_the_size_of_the_value() {
    let (topic, good) = ("t".repeat(249), event(NOW_MS));
    for (size_bytes, is_cut) in [(0, false), (3_000, false), (3_072, false), (3_073, true), (3_000_000, true)] {
        let value = vec![b' '; size_bytes];
        let mut batch = Vec::new();
        write_header(7, 0, &mut batch);
        write_record(&Record { offset: 1 << 60, timestamp_ms: 5, value: Some(&value) }, &mut batch);
        write_record(&Record { offset: 0, timestamp_ms: 5, value: Some(good.as_bytes()) }, &mut batch);
        let settings = Settings { topic: topic.clone(), ..settings() };
        let folded = fold(&batch, NOW_MS, &settings).unwrap();
        assert_eq!(folded.partials[0].events(), 1, "its neighbour counts");
        assert!(folded.dead_letters[0].len() <= settings.max_letter_bytes);
        let letter = letter_of(&folded.dead_letters[0]);
        assert_eq!(letter.get("is_truncated").is_some(), is_cut, "{size_bytes}");
        assert_eq!((letter["partition"].as_i64(), letter["offset"].as_i64()), (Some(7), Some(1 << 60)));
        let raw = letter["raw_base64"].as_str().unwrap();
        assert_eq!(raw.len(), size_bytes.min(3_072).div_ceil(3) * 4);
        if is_cut {
            assert_eq!(letter["size_bytes"].as_u64(), Some(size_bytes as u64));
            assert_eq!(letter["sha256"].as_str().map(str::len), Some(64));
        }
    }
}

#[test]
fn a_panic_in_the_decoder_costs_one_dead_letter_and_no_neighbour() {
    fn decoder(value: &[u8], _: Option<Format>) -> Result<Event<'_>, Reject> {
        assert!(!value.starts_with(b"bang"), "a bug");
        decode(value)
    }
    let good = event(NOW_MS);
    let batch = batch_of([good.as_bytes(), b"bang", good.as_bytes()].map(|value| (5, Some(value))));
    let folded = fold_with(&batch, NOW_MS, &settings(), decoder).unwrap();
    assert_eq!(folded.partials[0].events(), 2);
    assert_eq!(reasons(&folded), ["internal_error"]);
}

#[test]
fn with_a_format_in_the_settings_events_of_another_format_are_refused() {
    let json = event(61_000).into_bytes();
    let settings = |format| Settings { format: Some(format), ..settings() };
    let batch = batch_of([(61_000, Some(json.as_slice()))]);
    assert_eq!(fold(&batch, NOW_MS, &settings(Format::Json)).unwrap().partials.len(), 1);
    let refused = fold(&batch, NOW_MS, &settings(Format::Msgpack)).unwrap();
    assert!(refused.partials.is_empty());
    assert_eq!(refused.refused[0].counts.keys().collect::<Vec<_>>(), ["invalid_msgpack"]);
}
