//! Records of the outgoing topics, dead letters and results: each is one byte array that joins a key and a value.
//!
//! [`crate::fold`] and [`crate::result`] write them. The Java `KeyedSerializer` splits them into key and value again.
//! The layout is `| key length u32, little-endian | key | value |`.

use std::hash::BuildHasher as _;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use rustc_hash::FxBuildHasher;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::aggregate::Partial;
use crate::pack::Record;
use crate::part;
use crate::reject::{Reason, Reject};

/// Version of the dead letter's layout.
pub const DEAD_LETTER_VERSION: u32 = 1;

/// Most bytes that a dead letter needs besides its base64 text: for names, numbers and what was expected.
pub const LETTER_OVERHEAD_BYTES: usize = 4_096;

/// How many bytes a dead letter of at most `max_letter_bytes` can hold in base64.
#[must_use]
pub fn room_bytes(max_letter_bytes: usize) -> usize {
    max_letter_bytes.saturating_sub(LETTER_OVERHEAD_BYTES) / 4 * 3
}

/// Joins key and value in one byte array.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<String>,
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    raw_base64: Option<String>,
    #[serde(flatten)]
    cut: Option<Cut>,
}

/// Describes bytes that do not fit into a dead letter.
#[derive(Serialize)]
struct Cut {
    is_truncated: bool,
    size_bytes: usize,
    sha256: String,
}

impl Cut {
    fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { is_truncated: true, size_bytes: bytes.len(), sha256: digest }
    }
}

/// The dead letter of one refused record, with its key. The key is `topic-partition-offset`: if the job writes the dead
/// letter again after a recovery, the key is the same; a second event has another key. The value is a JSON object with
/// the record's value in base64 (null for a null value). If the record's value does not fit into `max_letter_bytes`,
/// the dead letter has its first bytes, its size and its SHA-256, and the topic has the whole value. `places` says where an
/// event map looks for the field.
#[must_use]
pub fn dead_letter(
    reject: &Reject,
    places: Option<String>,
    topic: &str,
    partition: i32,
    record: &Record<'_>,
    max_letter_bytes: usize,
) -> Vec<u8> {
    let room = room_bytes(max_letter_bytes);
    let letter = DeadLetter {
        version: DEAD_LETTER_VERSION,
        reason: reject.reason.code(),
        field: reject.field,
        expected: reject.expected,
        places,
        topic,
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        raw_base64: record.value.map(|value| STANDARD.encode(&value[..value.len().min(room)])),
        cut: record.value.filter(|value| value.len() > room).map(Cut::of),
    };
    let Ok(value) = serde_json::to_vec(&letter) else { unreachable!("plain fields always serialize") };
    keyed(format!("{topic}-{partition}-{}", record.offset).as_bytes(), &value)
}

#[derive(Serialize)]
struct LateLetter<'a> {
    version: u32,
    reason: &'static str,
    topic: &'a str,
    window_start_ms: i64,
    events: u64,
    /// Null when even this part of the partial does not fit.
    partial_base64: Option<String>,
    #[serde(flatten)]
    cut: Option<Cut>,
}

/// The dead letters of late events, with their keys. Late events reach the window as a partial aggregate, so a dead
/// letter has their number and the bytes of the partial. If the partial does not fit into `max_letter_bytes`, it is
/// split: the first dead letter has the number of events, and the others have the number zero. The key names the window
/// and the content. After a recovery, the batches may be cut differently, so a repeated dead letter of late events may
/// have another key, unlike other dead letters.
#[must_use]
pub fn late_letters(partial: Partial, topic: &str, max_letter_bytes: usize) -> Vec<Vec<u8>> {
    let room = room_bytes(max_letter_bytes);
    part::split(partial, room).iter().map(|part| late_letter(part, topic, room)).collect()
}

fn late_letter(part: &Partial, topic: &str, room: usize) -> Vec<u8> {
    let bytes = part.to_bytes();
    let fits = bytes.len() <= room;
    let letter = LateLetter {
        version: DEAD_LETTER_VERSION,
        reason: Reason::Late.code(),
        topic,
        window_start_ms: part.window_start_ms,
        events: part.events(),
        partial_base64: fits.then(|| STANDARD.encode(&bytes)),
        cut: (!fits).then(|| Cut::of(&bytes)),
    };
    let Ok(value) = serde_json::to_vec(&letter) else { unreachable!("plain fields always serialize") };
    let digest = FxBuildHasher.hash_one(&value);
    keyed(format!("{topic}-late-{}-{digest:016x}", part.window_start_ms).as_bytes(), &value)
}
