//! HyperLogLog++ sketches in the ZetaSketch format, which BigQuery's `HLL_COUNT` functions read.
//!
//! The only module that knows the `zetasketch` crate. Precision 15 and sparse precision 20
//! never change: sketches of other precisions would not merge with those already in tables.
//!
//! Source: Heule, Nunkesser, Hall, "HyperLogLog in Practice" (EDBT 2013); byte format of
//! google/zetasketch, held by the vectors in `tests/vectors/hll`.

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

/// Values that wait before they go into the sketch together.
const MOST_WAITING: usize = 8_192;

/// A sketch of distinct strings. At most 32 KiB, and as much for values that wait; sparse, and smaller, up to about
/// 13,000 distinct.
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
        // A sketch of numbers does not merge with one of strings.
        counted.add_bytes(&SHAPE.1)?;
        Ok(Self { counted, waiting: Vec::new() })
    }

    /// Adds one value, byte for byte.
    pub fn add(&mut self, value: &[u8]) {
        self.waiting.push(sparse_form(fingerprint2011(value)));
        if self.waiting.len() == MOST_WAITING {
            self.count_waiting();
        }
    }

    fn count_waiting(&mut self) {
        let Ok(()) = self.counted.add_single_values(&SHAPE.0, &self.waiting) else {
            unreachable!("the sketch takes strings of its own precisions")
        };
        self.waiting.clear();
    }

    /// All that was added, in one place.
    fn whole(&self) -> std::borrow::Cow<'_, Accumulator> {
        if self.waiting.is_empty() {
            return std::borrow::Cow::Borrowed(&self.counted);
        }
        let mut whole = self.clone();
        whole.count_waiting();
        std::borrow::Cow::Owned(whole.counted)
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

/// How the sparse form stores a hash: its first 20 bits. If the last five of them are zero, it stores a mark, the first
/// 15 bits, and one more than the number of zeros after the 20th bit (Heule et al., section 5.3, figure 8).
fn sparse_form(hash: u64) -> u32 {
    const RHO_BITS: u32 = 6;
    const MARK: u32 = 1 << (PRECISION as u32 + RHO_BITS);
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
