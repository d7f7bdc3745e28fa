//! A valid event, copies of it with one changed field, and a check of what a refusal names. The tests of decoding share
//! them.

use rtea_core::codec::decode;
use rtea_core::reject::Reason;

pub(crate) const VALID: &str =
    r#"{"event_id":"e","event_type":"page_view","source":"mobile","event_time":5,"visitor_id":"v"}"#;

pub(crate) fn with(field: &str, value: &str) -> String {
    let mut json: serde_json::Value = serde_json::from_str(VALID).unwrap();
    json[field] = serde_json::from_str(value).unwrap();
    json.to_string()
}

pub(crate) fn without(field: &str) -> String {
    let mut json: serde_json::Value = serde_json::from_str(VALID).unwrap();
    json.as_object_mut().unwrap().remove(field);
    json.to_string()
}

#[track_caller]
pub(crate) fn assert_refused(value: impl AsRef<[u8]>, reason: Reason, field: &str) {
    let value = value.as_ref();
    let refused = decode(value).expect_err(&String::from_utf8_lossy(value));
    assert_eq!((refused.reason, refused.field), (reason, field), "{}", String::from_utf8_lossy(value));
}
