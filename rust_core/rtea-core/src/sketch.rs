//! HyperLogLog++ sketches in the ZetaSketch format, which BigQuery's `HLL_COUNT` functions read.
//!
//! The only module that knows the `zetasketch` crate. Precision 15 and sparse precision 20
//! never change: sketches of other precisions would not merge with those already in tables.
//!
//! Source: Heule, Nunkesser, Hall, "HyperLogLog in Practice" (EDBT 2013); byte format of
//! google/zetasketch, held by the vectors in `tests/vectors/hll`.

use zetasketch::{HyperLogLogPlusPlus, ValueKind};

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

/// A sketch of distinct strings. At most 32 KiB; sparse, and smaller, up to about 13,000 distinct.
#[derive(Debug, Clone)]
pub struct Sketch(HyperLogLogPlusPlus);

impl Default for Sketch {
    fn default() -> Self {
        Self::new()
    }
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
        let Ok(inner) = HyperLogLogPlusPlus::new(PRECISION, SPARSE_PRECISION, ValueKind::BytesOrString) else {
            unreachable!("the fixed precisions lie within the crate's range")
        };
        Self(inner)
    }

    /// Reads a serialized sketch, refusing other precisions and value types.
    ///
    /// # Errors
    /// [`InvalidSketch`] when the bytes are corrupt or describe another kind of sketch.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSketch> {
        let inner = HyperLogLogPlusPlus::from_bytes(bytes)?;
        let found = (inner.normal_precision(), inner.sparse_precision(), inner.value_kind());
        if found != (PRECISION, SPARSE_PRECISION, Some(ValueKind::BytesOrString)) {
            return Err(InvalidSketch(format!("found precision {}, sparse {}, {:?}", found.0, found.1, found.2)));
        }
        Ok(Self(inner))
    }

    /// Adds one value, byte for byte.
    pub fn add(&mut self, value: &[u8]) {
        let Ok(()) = self.0.add_bytes(value) else { unreachable!("the sketch takes strings") };
    }

    /// Merges another sketch into this one: registers by maximum, numbers of adds by sum.
    pub fn merge(&mut self, other: &Self) {
        let Ok(()) = self.0.merge(other.0.clone()) else { unreachable!("every sketch has the same precisions") };
    }

    /// The estimate BigQuery's `HLL_COUNT.EXTRACT` gives for these bytes.
    #[must_use]
    pub fn estimate(&self) -> i64 {
        self.0.cardinality()
    }

    /// The serialized sketch, as BigQuery stores it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.clone().serialize()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.num_values() == 0
    }
}
