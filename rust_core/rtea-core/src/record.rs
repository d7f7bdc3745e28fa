//! Records for the outgoing topics: dead letters, and the key-value frame the Kafka sink splits.
//!
//! [`crate::fold`] and [`crate::result`] write them; the Java `FrameSerializer` takes the frame
//! apart again: `| key length u32, little-endian | key | value |`.

use std::hash::BuildHasher as _;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use rustc_hash::FxBuildHasher;
use serde::Serialize;

use crate::aggregate::Partial;
use crate::pack::Frame;
use crate::reject::Reject;

/// Version of the dead letter's layout.
pub const DEAD_LETTER_VERSION: u32 = 1;

/// Joins key and value into one frame.
#[must_use]
pub fn keyed(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(4 + key.len() + value.len());
    frame.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(key);
    frame.extend_from_slice(value);
    frame
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    version: u32,
    reason: &'static str,
    field: &'static str,
    expected: &'static str,
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    raw_base64: Option<String>,
}

/// The dead letter of one refused record, framed. Its key is `topic-partition-offset`, so that a
/// letter written again after a recovery can be told from a second event; its value is a JSON
/// object with the raw bytes in base64 (null for a null value).
#[must_use]
pub fn dead_letter(reject: &Reject, topic: &str, frame: &Frame<'_>) -> Vec<u8> {
    let letter = DeadLetter {
        version: DEAD_LETTER_VERSION,
        reason: reject.reason.code(),
        field: reject.field,
        expected: reject.expected,
        topic,
        partition: frame.partition,
        offset: frame.offset,
        timestamp_ms: frame.timestamp_ms,
        raw_base64: frame.value.map(|value| STANDARD.encode(value)),
    };
    let Ok(value) = serde_json::to_vec(&letter) else { unreachable!("plain fields always serialize") };
    keyed(format!("{topic}-{}-{}", frame.partition, frame.offset).as_bytes(), &value)
}

#[derive(Serialize)]
struct LateLetter<'a> {
    version: u32,
    reason: &'static str,
    topic: &'a str,
    window_start_ms: i64,
    events: u64,
    partial_base64: String,
}

/// The dead letter of events that came after their window's allowed lateness, framed. Late events
/// reach the window as a partial aggregate, so the letter holds its number of events and its bytes;
/// its key names the window and the content. After a recovery batches may be cut otherwise, so unlike
/// other letters a repeated late one cannot always be told from a second one.
#[must_use]
pub fn late_letter(partial: &Partial, topic: &str) -> Vec<u8> {
    let letter = LateLetter {
        version: DEAD_LETTER_VERSION,
        reason: "late",
        topic,
        window_start_ms: partial.window_start_ms,
        events: partial.events(),
        partial_base64: STANDARD.encode(partial.to_bytes()),
    };
    let Ok(value) = serde_json::to_vec(&letter) else { unreachable!("plain fields always serialize") };
    let digest = FxBuildHasher.hash_one(&value);
    keyed(format!("{topic}-late-{}-{digest:016x}", partial.window_start_ms).as_bytes(), &value)
}
