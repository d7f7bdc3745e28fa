//! The events that a topic already has: a resumed run must not send them again.

use roaring::RoaringTreemap;

use crate::stream::number_of;

/// The numbers of the events that were sent, and of those whose second copy was sent. In a dense range, a number takes
/// little more than a bit.
#[derive(Debug, Default)]
pub struct Sent {
    numbers: [RoaringTreemap; 2],
}

impl Sent {
    /// Adds the event that a value holds. Returns `false` if the event is not from a stream with this seed.
    pub fn add_value(&mut self, value: &[u8], seed: u64) -> bool {
        let number = id_in(value).and_then(|id| number_of(id, seed));
        number.is_some_and(|number| {
            self.add(number, false);
            true
        })
    }

    /// Adds an event, or its second copy.
    pub fn add(&mut self, number: u64, is_copy: bool) {
        self.numbers[usize::from(is_copy)].insert(number);
    }

    /// Whether an event, or its second copy, was added.
    #[must_use]
    pub fn contains(&self, number: u64, is_copy: bool) -> bool {
        self.numbers[usize::from(is_copy)].contains(number)
    }

    /// The numbers as bytes, to pass to the shards of one run.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for numbers in &self.numbers {
            let Ok(()) = numbers.serialize_into(&mut bytes) else { unreachable!("a vector takes every write") };
        }
        bytes
    }

    /// Reads [`Sent::to_bytes`]; `None` when the bytes are damaged.
    #[must_use]
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let numbers =
            [RoaringTreemap::deserialize_from(&mut bytes).ok()?, RoaringTreemap::deserialize_from(&mut bytes).ok()?];
        bytes.is_empty().then_some(Self { numbers })
    }
}

/// The event id within a value of any format that the generator writes.
fn id_in(value: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"event_id\":\"";
    const ID_BYTES: usize = 36;
    let start = if value.first() == Some(&0xdc) {
        // In a MessagePack array, the id comes first: after 3 bytes of array header and 2 bytes of string header.
        5
    } else {
        value.windows(KEY.len()).position(|window| window == KEY)? + KEY.len()
    };
    std::str::from_utf8(value.get(start..start + ID_BYTES)?).ok()
}
