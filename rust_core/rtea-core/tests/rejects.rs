//! Promises: each kind of malformed event is refused with its own reason and field, tolerated deviations are accepted,
//! and the records next to a refused one still count.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod event;

use event::{assert_refused, with, without, VALID};
use rtea_core::codec::{decode, Format};
use rtea_core::dimension::Policy;
use rtea_core::fold::{fold, fold_with, Settings};
use rtea_core::pack::{write_frame, Frame};
use rtea_core::reject::Reason;

fn settings() -> Settings {
    Settings {
        window_ms: 60_000,
        timestamp_tolerance_ms: 10,
        max_event_bytes: 200,
        max_letter_bytes: 8_192,
        topic: "events".into(),
        policy: Policy::default(),
    }
}

#[test]
fn each_kind_of_broken_text_has_its_reason() {
    assert_refused("", Reason::Empty, "");
    for broken in [
        &VALID[..VALID.len() - 1],
        "nonsense",
        "{",
        "{} x",
        "\u{feff}{}",
        "{\"a\":NaN}",
        "{\"event_time\":1e400}",
        "{'a':1}",
    ] {
        assert_refused(broken, Reason::InvalidJson, "");
    }
    assert_refused("[".repeat(10_000), Reason::InvalidJson, "");
    assert_refused(
        with("x", "1").replace("\"x\":1", &format!("\"x\":{}1{}", "[".repeat(10_000), "]".repeat(10_000))),
        Reason::InvalidJson,
        "",
    );
    assert_refused(VALID.replace('v', "\\ud800"), Reason::InvalidJson, "");
    let mut bad = VALID.replace("\"e\"", "\"?\"").into_bytes();
    let at = bad.iter().position(|byte| *byte == b'?').unwrap();
    bad[at] = 0xff;
    assert_refused(&bad, Reason::InvalidUtf8, "");
    assert_refused(b"{\"unknown\":\"\xc3\x28\"}", Reason::InvalidUtf8, "");
    assert_refused([0x92, 0xa1], Reason::InvalidMsgpack, "");
    assert_refused([0x90, 0x01], Reason::InvalidMsgpack, "");
}

#[test]
fn only_real_nesting_counts_as_depth() {
    let brackets = "[{\\\"".repeat(300);
    let event =
        decode(with("page_url", &format!("\"{brackets}\"")).as_bytes()).map(|event| event.visitor_id.into_owned());
    assert_eq!(event.as_deref(), Ok("v"));
    let wide = with("x", &format!("[{}[]]", "[],".repeat(300)));
    assert!(decode(wide.as_bytes()).is_ok());
    let at_limit = with("x", &format!("{}{}", "[".repeat(127), "]".repeat(127)));
    assert!(decode(at_limit.as_bytes()).is_ok());
    // serde_json refuses to parse deeper, so the text is put together here.
    let beyond = VALID.replace('}', &format!(",\"x\":{}{}}}", "[".repeat(128), "]".repeat(128)));
    assert_refused(beyond, Reason::InvalidJson, "");
}

#[test]
fn other_json_values_are_the_wrong_type() {
    for value in ["[]", "1", "\"text\"", "true", "null", "[{\"event_id\":1}]"] {
        assert_refused(value, Reason::WrongType, "");
    }
}

#[test]
fn required_fields_are_required() {
    for field in ["event_type", "source", "event_time", "visitor_id"] {
        assert_refused(without(field), Reason::MissingField, field);
        assert_refused(with(field, "null"), Reason::MissingField, field);
        assert_refused(with(field, "{}"), Reason::WrongType, field);
        assert_refused(with(field, "true"), Reason::WrongType, field);
    }
    assert_refused(with("event_type", "\"purchase\""), Reason::MissingField, "items");
    assert_refused(with("items", "[{\"product_id\":\"p\",\"price\":1}]"), Reason::MissingField, "items.category");
    assert_refused(with("items", "[{\"product_id\":\"p\",\"category\":\"c\"}]"), Reason::MissingField, "items.price");
}

#[test]
fn values_outside_the_schema_are_refused() {
    let cases = [
        ("event_id", "\"\""),
        ("visitor_id", "\"\""),
        ("event_type", "\"Page\""),
        ("event_type", "\"1st\""),
        ("source", "\"kiosk\""),
        ("event_time", "\"yesterday\""),
        ("event_time", "-1"),
        ("event_time", "1760000000000000"),
        ("schema_version", "0"),
        ("currency", "\"usd\""),
    ];
    for (field, value) in cases {
        assert_refused(with(field, value), Reason::InvalidValue, field);
    }
    assert_refused(with("visitor_id", &format!("\"{}\"", "v".repeat(129))), Reason::InvalidValue, "visitor_id");
    assert_refused(with("event_type", &format!("\"{}\"", "t".repeat(65))), Reason::InvalidValue, "event_type");
    for (item, field) in
        [("\"price\":-1", "items.price"), ("\"price\":1.005", "items.price"), ("\"price\":1e12", "items.price")]
    {
        assert_refused(
            with("items", &format!("[{{\"product_id\":\"p\",\"category\":\"c\",{item}}}]")),
            Reason::InvalidValue,
            field,
        );
    }
    assert_refused(
        with("items", r#"[{"product_id":"p","category":"c","price":1,"quantity":0}]"#),
        Reason::InvalidValue,
        "items.quantity",
    );
}

#[test]
fn numbers_as_strings_and_strings_as_numbers_are_the_wrong_type() {
    assert_refused(with("visitor_id", "7"), Reason::WrongType, "visitor_id");
    assert_refused(with("event_time", "1.5"), Reason::WrongType, "event_time");
    assert_refused(with("page_url", "7"), Reason::WrongType, "page_url");
    assert_refused(with("device", "\"phone\""), Reason::WrongType, "device");
    assert_refused(with("device", "[\"iOS\"]"), Reason::WrongType, "device");
    assert_refused(with("items", "{}"), Reason::WrongType, "items");
    assert_refused(with("items", "[1]"), Reason::WrongType, "items");
    assert_refused(
        with("items", r#"[{"product_id":"p","category":"c","price":"1"}]"#),
        Reason::WrongType,
        "items.price",
    );
}

#[test]
fn what_other_producers_write_is_accepted() {
    let spaced = " {\n \"visitor_id\" : \"\\u0076\", \"unknown\":{\"deep\":[1,{}]}, \"event_time\":\"1970-01-01T00:00:00.005Z\",\
        \"source\":\"mobile\",\"event_type\":\"page_view\",\"event_id\":\"e\",\"session_id\":null,\"schema_version\":9}\n";
    let event = decode(spaced.as_bytes()).unwrap();
    assert_eq!((event.visitor_id.as_ref(), event.event_time_ms, event.schema_version), ("v", 5, 9));
    let priced = with(
        "items",
        r#"[{"product_id":"p","category":"c","price":3},{"product_id":"p","category":"c","price":0.1,"quantity":3}]"#,
    );
    let minors: Vec<_> = decode(priced.as_bytes()).unwrap().items.iter().map(|item| item.price_minor).collect();
    assert_eq!(minors, [300, 10]);
    let repeated = VALID.replace("\"event_id\":\"e\"", "\"event_id\":\"first\",\"event_id\":\"last\"");
    assert_eq!(decode(repeated.as_bytes()).unwrap().event_id.as_deref(), Some("last"));
    let nanoseconds = with("event_time", "\"1970-01-01T01:00:00.005999+01:00\"");
    assert_eq!(decode(nanoseconds.as_bytes()).unwrap().event_time_ms, 5);
}

#[test]
fn messagepack_maps_short_arrays_and_newer_arrays_are_accepted() {
    let fields = ("e", "page_view", "mobile", 5, "v");
    let short = rmp_serde::to_vec(&fields).unwrap();
    assert_eq!(Format::of(&short), Format::Msgpack);
    let expected = decode(VALID.as_bytes()).unwrap();
    assert_eq!(decode(&short).unwrap(), expected);
    let object: serde_json::Value = serde_json::from_str(VALID).unwrap();
    assert_eq!(decode(&rmp_serde::to_vec(&object).unwrap()).unwrap(), expected);
    let mut newer = vec![0xdc, 0, 17];
    newer.extend_from_slice(&short[1..]);
    newer.extend_from_slice(&[0xc0; 12]);
    assert_eq!(decode(&newer).unwrap(), expected);
}

#[test]
fn records_next_to_a_refused_one_still_count() {
    let settings = settings();
    let long = with("page_url", &format!("\"{}\"", "x".repeat(200)));
    let far = with("event_time", "16");
    let values: [Option<&[u8]>; 6] =
        [Some(VALID.as_bytes()), None, Some(b""), Some(long.as_bytes()), Some(far.as_bytes()), Some(VALID.as_bytes())];
    let mut batch = Vec::new();
    for (offset, value) in (0..).zip(values) {
        write_frame(&Frame { partition: 3, offset, timestamp_ms: 5, is_future: false, value }, &mut batch);
    }
    let folded = fold(&batch, 0, &settings).unwrap();
    assert_eq!(folded.partial.unwrap().events(), 2);
    let letters: Vec<serde_json::Value> = folded
        .dead_letters
        .iter()
        .map(|letter| {
            let key_end = 4 + usize::try_from(u32::from_le_bytes(letter[..4].try_into().unwrap())).unwrap();
            serde_json::from_slice(&letter[key_end..]).unwrap()
        })
        .collect();
    let reasons: Vec<_> = letters.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["null_value", "empty", "too_large", "timestamp_mismatch"]);
    assert_eq!((&letters[0]["raw_base64"], &letters[1]["raw_base64"]), (&serde_json::Value::Null, &"".into()));
    assert_eq!((letters[3]["partition"].as_i64(), letters[3]["offset"].as_i64()), (Some(3), Some(4)));
}

#[test]
fn broken_batches_are_errors_not_events() {
    let settings = settings();
    let mut batch = Vec::new();
    write_frame(
        &Frame { partition: 0, offset: 0, timestamp_ms: 5, is_future: false, value: Some(VALID.as_bytes()) },
        &mut batch,
    );
    assert!(fold(&batch[..batch.len() - 1], 0, &settings).is_err());
    assert!(fold(&batch[..10], 0, &settings).is_err());
    write_frame(
        &Frame { partition: 0, offset: 1, timestamp_ms: 60_000, is_future: false, value: Some(VALID.as_bytes()) },
        &mut batch,
    );
    assert!(fold(&batch, 0, &settings).is_err(), "two windows in one batch");
}

fn reasons(letters: &[Vec<u8>]) -> Vec<String> {
    letters
        .iter()
        .map(|letter| {
            let key_end = 4 + usize::try_from(u32::from_le_bytes(letter[..4].try_into().unwrap())).unwrap();
            let letter: serde_json::Value = serde_json::from_slice(&letter[key_end..]).unwrap();
            letter["reason"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn batch_of(values: &[&[u8]]) -> Vec<u8> {
    let mut batch = Vec::new();
    for (offset, value) in (0..).zip(values) {
        let frame = Frame { partition: 0, offset, timestamp_ms: 5, is_future: false, value: Some(value) };
        write_frame(&frame, &mut batch);
    }
    batch
}

#[test]
fn records_from_the_future_are_refused_whatever_their_window() {
    let mut batch = batch_of(&[VALID.as_bytes()]);
    for timestamp_ms in [i64::MAX, 60_000_000] {
        let value = Some(VALID.as_bytes());
        write_frame(&Frame { partition: 2, offset: 9, timestamp_ms, is_future: true, value }, &mut batch);
    }
    let folded = fold(&batch, 180_001, &settings()).unwrap();
    assert_eq!(folded.partial.unwrap().events(), 1);
    assert_eq!(reasons(&folded.dead_letters), ["future_timestamp"; 2]);
    assert_eq!(folded.refused.len(), 1);
    let counted = (folded.refused[0].window_start_ms, folded.refused[0].counts["future_timestamp"]);
    assert_eq!(counted, (180_000, 2), "the window of their arrival");
}

#[test]
fn records_at_impossible_times_are_refused_and_counted_where_they_arrived() {
    let impossible = [-62_135_596_800_001, -1, i64::MIN, i64::MAX, 1 << 62, -(1 << 62), 253_370_764_800_000];
    let mut batch = batch_of(&[VALID.as_bytes()]);
    for timestamp_ms in impossible {
        let frame = Frame { partition: 1, offset: 4, timestamp_ms, is_future: false, value: Some(VALID.as_bytes()) };
        write_frame(&frame, &mut batch);
    }
    let folded = fold(&batch, 120_000, &settings()).unwrap();
    assert_eq!(folded.partial.unwrap().events(), 1);
    assert_eq!(reasons(&folded.dead_letters), ["timestamp_mismatch"; 7]);
    let windows: Vec<_> = folded.refused.iter().map(|refused| refused.window_start_ms).collect();
    assert_eq!(windows, [120_000]);
    assert_eq!(folded.refused[0].counts["timestamp_mismatch"], 7);
}

fn letter_of(framed: &[u8]) -> serde_json::Value {
    let key_end = 4 + usize::try_from(u32::from_le_bytes(framed[..4].try_into().unwrap())).unwrap();
    serde_json::from_slice(&framed[key_end..]).unwrap()
}

#[test]
fn a_dead_letter_fits_whatever_the_size_of_the_value() {
    let topic = "t".repeat(249);
    for (size_bytes, is_cut) in [(0, false), (3_000, false), (3_072, false), (3_073, true), (3_000_000, true)] {
        let value = vec![b' '; size_bytes];
        let frame = Frame { partition: 7, offset: 1 << 60, timestamp_ms: 5, is_future: false, value: Some(&value) };
        let mut batch = Vec::new();
        write_frame(&frame, &mut batch);
        write_frame(&Frame { value: Some(VALID.as_bytes()), offset: 0, ..frame }, &mut batch);
        let settings = Settings { topic: topic.clone(), ..settings() };
        let folded = fold(&batch, 0, &settings).unwrap();
        assert_eq!(folded.partial.unwrap().events(), 1, "the record next to it counts");
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
fn blank_identities_are_refused_in_every_field_that_identifies() {
    for blank in [r#""""#, r#"" ""#, r#""\t\n\r ""#] {
        for field in ["event_id", "visitor_id", "session_id", "user_id", "order_id"] {
            let event = repeated(field, blank);
            let found = decode(event.as_bytes()).map_err(|reject| (reject.reason, reject.field));
            assert_eq!(found.err(), Some((Reason::InvalidValue, field)), "{blank}");
        }
        let item = format!(r#"[{{"product_id":{blank},"category":"c","price":1}}]"#);
        let event = repeated("items", &item);
        let found = decode(event.as_bytes()).map_err(|reject| (reject.reason, reject.field));
        assert_eq!(found.err(), Some((Reason::InvalidValue, "items.product_id")), "{blank}");
    }
    assert!(decode(repeated("order_id", "null").as_bytes()).is_ok());
    assert!(decode(repeated("order_id", r#"" o ""#).as_bytes()).is_ok());
}

#[test]
fn a_panic_in_the_decoder_refuses_one_record_and_no_other() {
    fn decoder(value: &[u8]) -> Result<rtea_core::event::Event<'_>, rtea_core::reject::Reject> {
        assert!(!value.starts_with(b"bang"), "a bug");
        decode(value)
    }
    let batch = batch_of(&[VALID.as_bytes(), b"bang", VALID.as_bytes()]);
    let folded = fold_with(&batch, 0, &settings(), decoder).unwrap();
    assert_eq!(folded.partial.unwrap().events(), 2);
    assert_eq!(reasons(&folded.dead_letters), ["internal_error"]);
}

#[test]
fn refused_records_are_counted_by_reason() {
    let folded = fold(&batch_of(&[b"", b"", b"{", VALID.as_bytes()]), 0, &settings()).unwrap();
    let counts: Vec<_> = folded.refused[0].counts.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(counts, [("empty", 2), ("invalid_json", 1)]);
}

#[test]
fn unknown_fields_must_also_be_valid_json() {
    for value in [r#""\q""#, r#""\u12g4""#, r#"{"deep":["\q"]}"#, "01", "tru"] {
        let event = repeated("unknown", value);
        assert_eq!(
            decode(event.as_bytes()).map_err(|reject| reject.reason).err(),
            Some(Reason::InvalidJson),
            "{value}"
        );
    }
    let event = repeated("unknown", r#"{"deep":["\u0041",-1.5e3,null]}"#);
    assert!(decode(event.as_bytes()).is_ok());
}

/// The valid event with a field repeated. The last value counts.
fn repeated(field: &str, value: &str) -> String {
    format!("{},\"{field}\":{value}}}", &VALID[..VALID.len() - 1])
}

#[test]
fn nonsense_numbers_and_texts_are_refused() {
    for (field, value, reason) in [
        ("event_time", "NaN", Reason::InvalidJson),
        ("event_time", "1e400", Reason::InvalidJson),
        ("event_time", "\"5\"", Reason::InvalidValue),
        ("event_time", "5.5", Reason::WrongType),
        ("visitor_id", "\"\\ud800\"", Reason::InvalidJson),
        ("source", "\"kiosk\"", Reason::InvalidValue),
        ("event_type", "\"Page View\"", Reason::InvalidValue),
    ] {
        let event = repeated(field, value);
        let found = decode(event.as_bytes()).map_err(|reject| reject.reason);
        assert_eq!(found.err(), Some(reason), "{field}: {value}");
    }
    let priced = |price: &str| repeated("items", &format!(r#"[{{"product_id":"p","category":"c","price":{price}}}]"#));
    for price in ["1e400", "NaN", "-1", "\"3\"", "0.001"] {
        assert!(decode(priced(price).as_bytes()).is_err(), "price {price}");
    }
}
