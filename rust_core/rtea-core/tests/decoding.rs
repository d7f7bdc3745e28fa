//! Promises: prices, whole numbers, times and keys are read exactly as they are written, or refused with a reason that
//! helps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod event;

use event::{assert_refused, with, without, VALID};
use rtea_core::codec::decode;
use rtea_core::reject::Reason;

fn priced(price: &str, currency: &str) -> String {
    let items = format!(",\"items\":[{{\"product_id\":\"p\",\"category\":\"c\",\"price\":{price}}}]");
    VALID.replace('}', &format!("{items},\"currency\":\"{currency}\"}}"))
}

fn price_minor(price: &str, currency: &str) -> i64 {
    decode(priced(price, currency).as_bytes()).unwrap_or_else(|reject| panic!("{price} {currency}: {reject}")).items[0]
        .price_minor
}

#[test]
fn a_price_is_read_exactly_or_refused() {
    let refused = [
        "0.0000009",
        "-0.0000005",
        "1e-400",
        "1000000000.0000004",
        "1000000000.01",
        "19.985",
        "0.001",
        "1e10",
        "9223372036854775807",
        "9223372036854775808",
        "1e300",
    ];
    for price in refused {
        assert_refused(priced(price, "USD"), Reason::InvalidValue, "items.price");
    }
    for (price, minor) in [
        ("19.989999999999998", 1_999),
        ("19.99", 1_999),
        ("0.30000000000000004", 30),
        ("1000000000", 100_000_000_000),
        ("999999999.99", 99_999_999_999),
        ("1E+1", 1_000),
        ("0.0", 0),
        ("-0.0", 0),
        ("0e-400", 0),
    ] {
        assert_eq!(price_minor(price, "USD"), minor, "{price}");
    }
    let repeated = priced("1e-400,\"price\":0", "USD");
    assert_eq!(decode(repeated.as_bytes()).unwrap().items[0].price_minor, 0, "the last value of a repeated key counts");
}

#[test]
fn the_currency_determines_the_decimals() {
    let cases = [("1235", "JPY", 1_235), ("1.235", "KWD", 1_235), ("1.2345", "CLF", 12_345), ("1.23", "XQZ", 123)];
    for (price, currency, minor) in cases {
        assert_eq!(price_minor(price, currency), minor);
    }
    for currency in ["USD", "EUR", "GBP"] {
        let listed = iso_currency::Currency::from_code(currency).and_then(iso_currency::Currency::exponent);
        assert_eq!(Some(rtea_core::event::minor_digits(currency)), listed.map(u32::from));
    }
    for (price, currency) in [("1235.5", "JPY"), ("1.2355", "KWD"), ("1.235", "USD")] {
        assert_refused(priced(price, currency), Reason::InvalidValue, "items.price");
    }
}

#[test]
fn whole_numbers_may_be_written_as_floats() {
    for (written, version) in [("2", 2), ("2.0", 2), ("1E+1", 10)] {
        assert_eq!(decode(with_raw("schema_version", written).as_bytes()).unwrap().schema_version, version);
    }
    for beyond in ["9223372036854775807", "9223372036854775808", "1e300", "-1e300", "0"] {
        assert_refused(with_raw("schema_version", beyond), Reason::InvalidValue, "schema_version");
    }
    assert_refused(with_raw("schema_version", "1.5"), Reason::WrongType, "schema_version");
    let event = rmp_serde::to_vec(&("e", "page_view", "mobile", 5.0_f64, "v", 2.0_f32)).unwrap();
    let decoded = decode(&event).unwrap();
    assert_eq!((decoded.event_time_ms, decoded.schema_version), (5, 2));
}

/// The valid event with one more field, whose value is inserted as it is.
fn with_raw(field: &str, value: &str) -> String {
    VALID.replace('}', &format!(",\"{field}\":{value}}}"))
}

#[test]
fn times_are_rfc_3339_and_a_refusal_shows_an_example() {
    for time in ["2025-10-09T08:53:27.920Z", "2025-10-09t08:53:27.920z", "2025-10-09 10:53:27.92+02:00"] {
        assert_eq!(
            decode(with("event_time", &format!("\"{time}\"")).as_bytes()).unwrap().event_time_ms,
            1_760_000_007_920
        );
    }
    for time in [
        "2025-10-09x08:53:27.920Z",
        "2025-10-09_08:53:27Z",
        "2025-10-09T08:53:27+0200",
        "2025-10-09T08:53:27 UTC",
        "2025-10-09T08:53Z",
        "2025-10-09T08:53:27",
        "2025-10-09",
        "2025-10-09\u{e9}08:53:27Z",
    ] {
        let value = with("event_time", &format!("\"{time}\""));
        assert_refused(&value, Reason::InvalidValue, "event_time");
        let shown = decode(value.as_bytes()).unwrap_err().expected;
        let example = shown.rsplit(' ').next().unwrap();
        assert!(decode(with("event_time", &format!("\"{example}\"")).as_bytes()).is_ok(), "{shown}");
    }
}

#[test]
fn seconds_are_not_taken_for_milliseconds() {
    for seconds in ["1760000000", "1760000000.0", "4102444800"] {
        let value = with_raw("event_time", seconds).replacen("\"event_time\":5,", "", 1);
        assert_refused(&value, Reason::InvalidValue, "event_time");
        assert!(decode(value.as_bytes()).unwrap_err().expected.contains("seconds"));
    }
}

#[test]
fn a_schema_registry_prefix_has_its_own_reason() {
    let mut value = vec![0, 0, 0, 0, 7];
    value.extend_from_slice(VALID.as_bytes());
    assert_refused(&value, Reason::ConfluentPrefix, "");
    assert_refused([0_u8; 5], Reason::InvalidJson, "");
}

#[test]
fn an_event_needs_no_id() {
    assert_eq!(decode(without("event_id").as_bytes()).unwrap().event_id, None);
    assert_eq!(decode(with("event_id", "null").as_bytes()).unwrap().event_id, None);
    assert_refused(with("event_id", "7"), Reason::WrongType, "event_id");
}

#[test]
fn even_a_part_of_a_second_messagepack_event_is_refused() {
    let event = rmp_serde::to_vec(&("e", "x", "mobile", 0, "v")).unwrap();
    let second = rmp_serde::to_vec(&("a second", "page_view", "mobile", 5, "v", 1, ["s"], 2.5, true)).unwrap();
    for cut in 1..second.len() {
        let mut both = event.clone();
        both.extend_from_slice(&second[..cut]);
        assert_refused(&both, Reason::InvalidMsgpack, "");
    }
}

#[test]
fn messagepack_keys_of_other_types_are_ignored() {
    let keys: [&[u8]; 9] = [
        &[0xc0],
        &[0xc2],
        &[0x07],
        &[0xca, 0, 0, 0, 0],
        &[0x92, 1, 2],
        &[0x81, 1, 2],
        &[0xd4, 1, 2],
        &[0xc4, 1, 9],
        &[0xcc, 200],
    ];
    let fields = ["event_type", "source", "event_time", "visitor_id"];
    for key in keys {
        let mut map = vec![0x85];
        map.extend_from_slice(key);
        map.push(0x01);
        for field in fields {
            map.extend(rmp_serde::to_vec(field).unwrap());
            match field {
                "event_time" => map.push(5),
                name => map.extend(rmp_serde::to_vec(if name == "source" { "mobile" } else { "v" }).unwrap()),
            }
        }
        assert_eq!(decode(&map).map(|event| event.event_time_ms), Ok(5), "{key:?}");
    }
}

#[test]
fn a_32_bit_float_is_read_as_its_shortest_decimal() {
    for (price, minor) in [(32.01_f32, 3_201), (0.1, 10), (12_345.67, 1_234_567), (19.99, 1_999)] {
        let event =
            rmp_serde::to_vec(&("e", "x", "mobile", 5, "v", 1, (), (), (), (), (), (), (), [("p", "c", price)]))
                .unwrap();
        assert_eq!(decode(&event).unwrap().items[0].price_minor, minor);
    }
}
