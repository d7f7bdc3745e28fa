//! Finds the partition of a key as Kafka's own producers do.
//!
//! Source: `org.apache.kafka.common.utils.Utils.murmur2` (Austin Appleby's MurmurHash2) and
//! `BuiltInPartitioner.partitionForKey`.

const FACTOR: u32 = 0x5bd1_e995;
const SEED: u32 = 0x9747_b28c;

/// The partition of a key. `partitions` is the number of partitions, at least 1.
///
/// ```
/// use rtea_generator::partition::partition_of;
/// assert!(partition_of(b"v1", 4) < 4);
/// ```
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

#[allow(clippy::cast_possible_truncation)]
fn murmur2(key: &[u8]) -> u32 {
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(FACTOR);
        hash = hash.wrapping_mul(FACTOR) ^ (word ^ word >> 24).wrapping_mul(FACTOR);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(FACTOR);
    hash ^ hash >> 15
}
