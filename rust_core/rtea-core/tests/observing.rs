//! Promises: the general decoder accepts what the scanner accepts, with the same observation. The scanner accepts the
//! events that producers write, whatever the order of their fields and whatever unknown fields they have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use proptest::prelude::*;
use rtea_core::codec::{decode, encode, scan, Format};
use rtea_core::observation::Observation;

const VALID: &str = r#"{"event_type":"page_view","source":"mobile","event_time":5,"visitor_id":"v"}"#;

/// An event with every field, each in its common spelling.
const FULL: &str = r#"{"event_id":"e1","event_type":"purchase","source":"website","event_time":1760000007920,"visitor_id":"v-1","schema_version":1,"session_id":"s-1","user_id":"u-1","page_url":"https:\/\/shop.example\/a?b=\"c\"","referrer":"https://x.example/","search_term":"größe","campaign":"c","device":{"os":"iOS","app_version":"1.2","browser":null,"screen":"390x844","locale":"de-DE","country":"DE"},"items":[{"product_id":"p-1","category":"toys","price":19.99,"quantity":2},{"product_id":"p-2","category":"books","price":5}],"currency":"EUR","order_id":"o-1"}"#;

/// Whether the scanner accepts a value. If so, the general decoder must as well, with the same observation.
#[track_caller]
fn is_scanned(value: &[u8]) -> bool {
    let mut found = Observation::blank();
    let is_common = scan(value, &mut found);
    if is_common {
        let event = decode(value).unwrap_or_else(|reject| panic!("{reject}: {}", String::from_utf8_lossy(value)));
        assert_eq!(found, Observation::of(&event), "{}", String::from_utf8_lossy(value));
    }
    is_common
}

/// The fields of an object, each as its text.
fn fields(object: &str) -> Vec<String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(object).unwrap();
    object.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str()))).collect()
}

/// Values as other programs write them, valid and invalid.
const SPELLINGS: [&str; 78] = [
    "null",
    "true",
    "false",
    "nul",
    "tru",
    "fals",
    "nulll",
    "{}",
    "[]",
    "[[]]",
    "{\"a\":{}}",
    "[1,2]",
    "[1,]",
    "[,1]",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{a:1}",
    "[1 2]",
    "\"\"",
    "\" \"",
    "\"\\t \"",
    "\"x\"",
    "\" x\"",
    "\"x",
    "\"\\u0078\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\x\"",
    "\"\\\"",
    "\"\\/\"",
    "\"\u{7f}\"",
    "\"\u{1f600}\"",
    "\"\u{1}\"",
    "\"\n\"",
    "0",
    "00",
    "01",
    "-0",
    "-1",
    "+1",
    "1",
    "2",
    "1.",
    ".5",
    "1.0",
    "1.5",
    "0.0",
    "0.00",
    "0.01",
    "0.001",
    "19.99",
    "19.989999999999998",
    "19.9900",
    "19.99000",
    "1e2",
    "1E+2",
    "1e-400",
    "1e400",
    "1e",
    "1.e1",
    "- 1",
    "1 ",
    " 1",
    "1000000",
    "1000001",
    "1000000000",
    "1000000000.01",
    "9000000000",
    "99999999999",
    "1760000007920",
    "253370764800000",
    "999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "\"mobile\"",
    "\"EUR\"",
    "\"2025-10-09T08:53:27.920Z\"",
    "\"2025-10-09x08:53:27.920Z\"",
];

#[test]
fn every_spelling_of_every_field_is_observed_as_it_is_decoded() {
    let mut accepted = 0;
    for spelling in SPELLINGS {
        let names = ["event_id", "event_type", "source", "event_time", "visitor_id", "schema_version", "session_id"];
        let more =
            ["user_id", "page_url", "referrer", "search_term", "campaign", "device", "items", "currency", "order_id"];
        for name in names.into_iter().chain(more).chain(["unknown"]) {
            let before = format!(r#"{{"{name}":{spelling},{}"#, &FULL[1..]);
            let behind = format!(r#"{},"{name}":{spelling}}}"#, &FULL[..FULL.len() - 1]);
            accepted += usize::from(is_scanned(before.as_bytes())) + usize::from(is_scanned(behind.as_bytes()));
        }
        for name in ["product_id", "category", "price", "quantity", "unknown"] {
            for currency in ["EUR", "JPY", "KWD", "CLF", "XQZ"] {
                let item = format!(r#""items":[{{"product_id":"p","category":"c","price":1,"{name}":{spelling}}}]"#);
                let priced = format!(r#"{},{item},"currency":"{currency}"}}"#, &VALID[..VALID.len() - 1]);
                accepted += usize::from(is_scanned(priced.as_bytes()));
            }
        }
        for name in ["os", "country", "unknown"] {
            let device = format!(r#"{},"device":{{"{name}":{spelling}}}}}"#, &VALID[..VALID.len() - 1]);
            accepted += usize::from(is_scanned(device.as_bytes()));
        }
    }
    assert!(accepted > 500, "only {accepted}");
}

#[test]
fn the_fuzzers_corpora_are_observed_as_they_are_decoded() {
    for format in Format::READABLE {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(format.name());
        let files = std::fs::read_dir(corpus).unwrap();
        let values: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        assert!(values.iter().any(|value| is_scanned(value)), "{}", format.name());
    }
}

#[test]
fn values_that_are_not_one_object_are_left_to_the_general_decoder() {
    for value in [&b""[..], b"\0\0\0\0\x07{}", b"\x95\xa1", b"[]", b"\xff{}", b"{", b"{}x", b"  ", b"\xef\xbb\xbf{}"] {
        assert!(!is_scanned(value));
    }
    assert!(!is_scanned(format!("{VALID}{VALID}").as_bytes()));
    let nested = VALID.replace('}', &format!(",\"unknown\":{}{}}}", "[".repeat(500), "]".repeat(500)));
    assert!(!is_scanned(nested.as_bytes()));
}

/// One MessagePack value of each marker that producers use, and some that are wrong.
fn markers() -> Vec<Vec<u8>> {
    let mut markers: Vec<Vec<u8>> = vec![
        vec![0xc0],
        vec![0xc1],
        vec![0xc2],
        vec![0x00],
        vec![0x05],
        vec![0x7f],
        vec![0xff],
        vec![0xcc, 200],
        vec![0xcd, 0x10, 0],
        vec![0xce, 0, 1, 0, 0],
        [&[0xcf][..], &1_760_000_007_920_u64.to_be_bytes()].concat(),
        [&[0xcf][..], &u64::MAX.to_be_bytes()].concat(),
        vec![0xd0, 0x80],
        vec![0xd1, 0x7f, 0xff],
        vec![0xd1, 0x80, 0],
        vec![0xd2, 0x7f, 0, 0, 0],
        [&[0xd3][..], &1_760_000_007_920_i64.to_be_bytes()].concat(),
        [&[0xd3][..], &(-1_i64).to_be_bytes()].concat(),
        [&[0xca][..], &32.01_f32.to_be_bytes()].concat(),
        vec![0xa0],
        b"\xa1x".to_vec(),
        b"\xa1 ".to_vec(),
        b"\xa1\xff".to_vec(),
        b"\xa6mobile".to_vec(),
        b"\xa3EUR".to_vec(),
        b"\xb8".iter().chain(b"2025-10-09T08:53:27.920Z").copied().collect(),
        b"\xd9\x01x".to_vec(),
        b"\xda\x00\x01x".to_vec(),
        b"\xdb\x00\x00\x00\x01x".to_vec(),
        b"\xc4\x01x".to_vec(),
        vec![0x80],
        vec![0x90],
        vec![0x91, 0xc0],
        vec![0xdc, 0, 0],
        b"\x91\x94\xa1p\xa1c\x05\xc0".to_vec(),
        b"\x91\x93\xa1p\xa1c\x05".to_vec(),
        b"\x91\x92\xa1p\xa1c".to_vec(),
        b"\x96\xa1x\xc0\xc0\xc0\xc0\xc0".to_vec(),
        b"\x97\xa1x\xc0\xc0\xc0\xc0\xc0\xc0".to_vec(),
        vec![0xd4, 1, 1],
    ];
    for price in [
        0.0,
        -0.0,
        f64::NAN,
        f64::MIN_POSITIVE,
        19.99,
        f64::from_bits(19.99_f64.to_bits() - 1),
        19.985,
        0.0001,
        1e9,
        1.1e9,
    ] {
        let item = [&b"\x91\x94\xa1p\xa1c\xcb"[..], &f64::to_be_bytes(price), &[1]].concat();
        markers.push(item);
        markers.push([&[0xcb][..], &f64::to_be_bytes(price)].concat());
    }
    markers
}

#[test]
fn every_messagepack_marker_of_every_field_is_observed_as_it_is_decoded() {
    let plain: [&[u8]; 5] = [b"\xa1e", b"\xa9page_view", b"\xa6mobile", b"\x05", b"\xa1v"];
    let mut accepted = 0;
    for (field, marker) in (0..16).flat_map(|field| markers().into_iter().map(move |marker| (field, marker))) {
        for length in [field + 1, 16, 17] {
            let element = |index: usize| match plain.get(index) {
                _ if index == field => marker.clone(),
                Some(element) => element.to_vec(),
                None => vec![0xc0],
            };
            let elements: Vec<u8> = (0..length).flat_map(element).collect();
            let header = u16::try_from(length).unwrap().to_be_bytes();
            let value = [&[0xdc], &header[..], &elements].concat();
            accepted += usize::from(is_scanned(&value));
            assert!(!is_scanned(&[&value[..], &[0xc0]].concat()), "a second value follows");
        }
    }
    assert!(accepted > 150, "only {accepted}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_event_is_observed_with_any_order_any_space_and_any_unknown_fields(
        order in Just(fields(FULL)).prop_shuffle(),
        space in "[ \n\r\t]{0,3}",
        unknown in proptest::collection::vec(("[a-z]{3,9}", 0..7_usize), 0..10),
    ) {
        let company = [r#""text""#, "17", "-1.25", "true", "null", r#"{"a":[1,{"b":"c"}],"d":{}}"#, r#"["\n\\"]"#];
        let others = unknown.iter().map(|(name, value)| format!(r#""x_{name}":{}"#, company[*value]));
        let all: Vec<_> = others.chain(order).collect();
        let value = format!("{space}{{{space}{}{space}}}{space}", all.join(&format!("{space},{space}")));
        prop_assert!(is_scanned(value.as_bytes()), "{}", value);
    }

    #[test]
    fn a_changed_event_is_observed_as_it_is_decoded(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0..3_u8, any::<u8>()), 0..4),
        symbols in proptest::collection::vec(proptest::sample::select(b"\"\\{}[]:,.eE+-019 nut\n\x1f\x7f\xc3\xbc".to_vec()), 4),
    ) {
        for format in Format::READABLE {
        let mut value = Vec::new();
        encode(&decode(FULL.as_bytes()).unwrap(), format, &mut value);
        for (place, kind, byte) in &changes {
            let at = place.index(value.len());
            let byte = if byte % 2 == 0 { symbols[usize::from(*byte) % symbols.len()] } else { *byte };
            match *kind {
                0 => value[at] = byte,
                1 => value.insert(at, byte),
                _ => { value.remove(at); }
            }
        }
        prop_assert!(is_scanned(&value) || !changes.is_empty());
        }
    }

    #[test]
    fn a_price_is_observed_as_it_is_decoded(
        major in prop_oneof![0..100_u64, 0..=1_000_000_001_u64], fraction in "[0-9]{0,6}", currency in proptest::sample::select(vec!["EUR", "JPY", "KWD", "CLF"]),
    ) {
        let dot = if fraction.is_empty() { "" } else { "." };
        let item = format!(r#"[{{"product_id":"p","category":"c","price":{major}{dot}{fraction}}}]"#);
        let value = format!(r#"{},"items":{item},"currency":"{currency}"}}"#, &VALID[..VALID.len() - 1]);
        let is_common = is_scanned(value.as_bytes());
        prop_assert!(is_common || fraction.len() > 4 || decode(value.as_bytes()).is_err(), "{}", value);
        if let Ok(event) = decode(value.as_bytes()) {
            let mut packed = Vec::new();
            encode(&event, Format::Msgpack, &mut packed);
            prop_assert!(is_scanned(&packed), "{}", value);
        }
    }
}
