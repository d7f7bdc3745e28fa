//! Promises: each kind of malformed event is refused with its own reason and field, and tolerated deviations are accepted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod event;

use event::{assert_refused, with, without, VALID};
use rtea_core::codec::{decode, Format};
use rtea_core::reject::Reason;

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
