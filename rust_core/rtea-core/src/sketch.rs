//! HyperLogLog++ sketches in the ZetaSketch format, which BigQuery's `HLL_COUNT` functions read.
//!
//! The only module that knows the `zetasketch` crate. Precision 15 and sparse precision 20
//! never change: sketches of other precisions would not merge with those already in tables.
//!
//! Source: Heule, Nunkesser, Hall, "HyperLogLog in Practice" (EDBT 2013); byte format of
//! google/zetasketch, held by the vectors in `tests/vectors/hll`.

use std::borrow::Cow;
use std::sync::LazyLock;

use zetasketch::hash::fingerprint2011;
use zetasketch::{Accumulator, HyperLogLogPlusPlus, SparseHeader, ValueKind};

/// Precision of the dense form: 2^15 registers of one byte.
pub const PRECISION: i32 = 15;

/// Precision of the sparse form.
pub const SPARSE_PRECISION: i32 = 20;

/// Relative standard error of a dense estimate: 1.04 / sqrt(2^15), about 0.575 %.
pub const STANDARD_ERROR: f64 = 0.005_745_242_597_140_698;

/// Sketch bytes that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSketch(pub String);

impl std::fmt::Display for InvalidSketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not an HLL++ sketch of strings with precision {PRECISION}: {}", self.0)
    }
}

impl std::error::Error for InvalidSketch {}

impl From<zetasketch::Error> for InvalidSketch {
    fn from(error: zetasketch::Error) -> Self {
        Self(error.to_string())
    }
}

/// What every sketch has in common, and the bytes of one to which nothing was added.
static SHAPE: LazyLock<(SparseHeader, Vec<u8>)> = LazyLock::new(|| {
    let Ok(mut empty) = HyperLogLogPlusPlus::new(PRECISION, SPARSE_PRECISION, ValueKind::BytesOrString) else {
        unreachable!("the fixed precisions lie within the crate's range")
    };
    let Ok(header) = SparseHeader::new(BYTES_OR_STRING, PRECISION, SPARSE_PRECISION) else {
        unreachable!("the same kind and precisions as above")
    };
    (header, empty.serialize())
});

/// The number of this kind of values in the format.
const BYTES_OR_STRING: i32 = 11;

/// In the sparse form: bits of a number of zeros, and the mark of values that have one.
const RHO_BITS: u32 = 6;
const MARK: u32 = 1 << (PRECISION as u32 + RHO_BITS);

/// A value as a sketch counts it.
///
/// ```
/// use rtea_core::sketch::{Hashed, Sketch};
/// let visitor = Hashed::of(b"visitor-1");
/// let (mut of_germany, mut of_phones) = (Sketch::new(), Sketch::new());
/// of_germany.add_hashed(visitor);
/// of_phones.add_hashed(visitor);
/// of_phones.add(b"visitor-1");
/// assert_eq!((of_germany.estimate(), of_phones.estimate()), (1, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed(u32);

impl Hashed {
    /// Hashes a value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Self(sparse_form(fingerprint2011(value)))
    }
}

/// Values that wait before they go into the sketch together.
const MOST_WAITING: usize = 8_192;

/// A sketch of distinct strings. Its bytes are at most 32 KiB. They are sparse, and smaller, up to about 22,500 distinct
/// strings. In memory it takes up to 256 KiB more for values that wait and for merges.
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    counted: Accumulator,
    /// Added values in the sparse form that are not in `counted` yet.
    waiting: Vec<u32>,
}

impl Sketch {
    /// An empty sketch.
    ///
    /// ```
    /// let mut sketch = rtea_core::sketch::Sketch::new();
    /// sketch.add(b"visitor-1");
    /// sketch.add(b"visitor-1");
    /// assert_eq!(sketch.estimate(), 1);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a serialized sketch, refusing other precisions and value types.
    ///
    /// # Errors
    /// [`InvalidSketch`] when the bytes are corrupt or describe another kind of sketch.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSketch> {
        let mut counted = Accumulator::new();
        counted.add_bytes(bytes)?;
        if counted.precisions() != Some((PRECISION, SPARSE_PRECISION)) {
            return Err(InvalidSketch(format!("found precisions {:?}", counted.precisions())));
        }
        // A sketch without a type would take the type of whatever it merges with.
        if !begins_with_our_type(bytes) {
            let found = HyperLogLogPlusPlus::from_bytes(bytes)?.value_kind();
            if found != Some(ValueKind::BytesOrString) {
                return Err(InvalidSketch(format!("found values of type {found:?}")));
            }
        }
        Ok(Self { counted, waiting: Vec::new() })
    }

    /// Adds one value, byte for byte.
    pub fn add(&mut self, value: &[u8]) {
        self.add_hashed(Hashed::of(value));
    }

    /// Adds one value that may go into several sketches.
    pub fn add_hashed(&mut self, Hashed(value): Hashed) {
        self.waiting.push(value);
        if self.waiting.len() == MOST_WAITING {
            self.count_waiting();
        }
    }

    fn count_waiting(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        count(&mut self.counted, &mut waiting);
        waiting.clear();
        self.waiting = waiting;
    }

    /// All that was added, in one place.
    fn whole(&self) -> Cow<'_, Accumulator> {
        if self.waiting.is_empty() {
            return Cow::Borrowed(&self.counted);
        }
        let mut counted = self.counted.clone();
        count(&mut counted, &mut self.waiting.clone());
        Cow::Owned(counted)
    }

    /// Merges another sketch into this one: registers by maximum, numbers of adds by sum.
    pub fn merge(&mut self, other: &Self) {
        self.count_waiting();
        let Ok(()) = self.counted.merge(&other.whole()) else { unreachable!("every sketch has the same precisions") };
    }

    /// The estimate BigQuery's `HLL_COUNT.EXTRACT` gives for these bytes.
    #[must_use]
    pub fn estimate(&self) -> i64 {
        self.whole().cardinality()
    }

    /// The serialized sketch, as BigQuery stores it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.whole().serialize().unwrap_or_else(|| SHAPE.1.clone())
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.counted.num_values() == 0
    }
}

/// Adds values in the sparse form. Each counts as an add, also one that is there already.
fn count(counted: &mut Accumulator, values: &mut Vec<u32>) {
    let adds = values.len();
    values.sort_unstable();
    // Of values with a mark and the same first bits, the sketch has the one with the most zeros: the last one here.
    values.dedup_by(|later, kept| {
        let is_same = if *kept & MARK == 0 { later == kept } else { *later >> RHO_BITS == *kept >> RHO_BITS };
        if is_same {
            *kept = *later;
        }
        is_same
    });
    // One by one, repeats would cost a pass over the whole sketch each while it is nearly dense.
    let Ok(()) = counted.add_sparse_values(&SHAPE.0, values) else {
        unreachable!("the sketch takes strings of its own precisions")
    };
    if adds > values.len() {
        let Ok(()) = counted.add_bytes(&repeats((adds - values.len()) as u64)) else {
            unreachable!("an empty sketch merges with every sketch of its kind")
        };
    }
}

/// The bytes of an empty sketch to which values were added, so many in all: of a repeated field of a message, the last
/// one counts (Protocol Buffers, "Encoding").
fn repeats(mut adds: u64) -> Vec<u8> {
    const NUMBER_OF_ADDS: u8 = 2 << 3;
    let mut bytes = SHAPE.1.clone();
    bytes.push(NUMBER_OF_ADDS);
    while adds > 0x7f {
        bytes.push((adds & 0x7f) as u8 | 0x80);
        adds >>= 7;
    }
    bytes.push(adds as u8);
    bytes
}

/// Whether the numbers at the start of a sketch's bytes say that it is one of strings; other bytes may say so further on.
/// To read the whole sketch for that would take as long as to merge it.
fn begins_with_our_type(bytes: &[u8]) -> bool {
    const VALUE_TYPE: u8 = 4 << 3;
    let mut rest = bytes;
    while let [tag @ (0x08 | 0x10 | 0x18 | VALUE_TYPE), after @ ..] = rest {
        let length = 1 + after.iter().take_while(|byte| **byte > 0x7f).count();
        if *tag == VALUE_TYPE {
            return after.first().is_some_and(|kind| i32::from(*kind) == BYTES_OR_STRING);
        }
        rest = after.get(length..).unwrap_or_default();
    }
    false
}

/// How the sparse form stores a hash: its first 20 bits. If the last five of them are zero, it stores a mark, the first
/// 15 bits, and one more than the number of zeros after the 20th bit (Heule et al., section 5.3, figure 8).
fn sparse_form(hash: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation)]
    let index = (hash >> (64 - SPARSE_PRECISION)) as u32;
    let below = SPARSE_PRECISION as u32 - PRECISION as u32;
    if index & ((1 << below) - 1) != 0 {
        return index;
    }
    // The 44 bits after the index, with a one behind them as a stop.
    let rho = ((hash << SPARSE_PRECISION) | 1 << (SPARSE_PRECISION - 1)).leading_zeros() + 1;
    MARK | (index >> below) << RHO_BITS | rho
}
