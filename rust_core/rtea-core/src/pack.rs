//! The layout of a packed batch: what the Java `Packer` writes and [`crate::fold`] reads.
//!
//! A batch holds records of one partition, in their order. Little-endian, without padding:
//!
//! ```text
//! | partition i32 | next offset i64 | record, record, ... |
//! record: | offset i64 | timestamp ms i64 | length i32, -1 = null | value bytes |
//! ```
//!
//! The next offset is the one that the source reads after this batch. It may lie beyond the last record, since the marks of
//! transactions take offsets as well, and a batch may hold no record.

/// Bytes before the first record.
pub const BATCH_HEADER_BYTES: usize = 12;

/// Bytes of a record before its value.
pub const RECORD_HEADER_BYTES: usize = 20;

/// One Kafka record within a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset within the partition.
    pub offset: i64,
    /// The record's timestamp, ms since the epoch: whatever its producer or broker wrote.
    pub timestamp_ms: i64,
    /// The record's value; `None` for a null value.
    pub value: Option<&'a [u8]>,
}

/// A batch whose bytes break the layout: a bug in the job, never an effect of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBatch {
    /// Where in the batch the broken part starts.
    pub at_byte: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl std::fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "packed batch broken at byte {}: {}", self.at_byte, self.problem)
    }
}

impl std::error::Error for InvalidBatch {}

/// Records of one partition; iterates over them without copying.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Partition of the source topic.
    pub partition: i32,
    /// The offset that the source reads next.
    pub next_offset: i64,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Batch<'a> {
    /// Reads the header of a batch.
    ///
    /// # Errors
    /// [`InvalidBatch`] when it is cut off.
    ///
    /// ```
    /// use rtea_core::pack::{write_header, write_record, Batch, Record};
    /// let record = Record { offset: 7, timestamp_ms: 60_000, value: Some(b"{}") };
    /// let mut bytes = Vec::new();
    /// write_header(1, 8, &mut bytes);
    /// write_record(&record, &mut bytes);
    /// let mut batch = Batch::of(&bytes).unwrap();
    /// assert_eq!((batch.partition, batch.next_offset), (1, 8));
    /// assert_eq!(batch.next(), Some(Ok(record)));
    /// ```
    pub fn of(bytes: &'a [u8]) -> Result<Self, InvalidBatch> {
        let Some((&[p0, p1, p2, p3, n0, n1, n2, n3, n4, n5, n6, n7], _)) =
            bytes.split_first_chunk::<BATCH_HEADER_BYTES>()
        else {
            return Err(InvalidBatch { at_byte: 0, problem: "batch header cut off" });
        };
        Ok(Self {
            partition: i32::from_le_bytes([p0, p1, p2, p3]),
            next_offset: i64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            bytes,
            at: BATCH_HEADER_BYTES,
        })
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Record<'a>, InvalidBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at_byte = self.at;
        let broken = |problem| Some(Err(InvalidBatch { at_byte, problem }));
        let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            self.at = self.bytes.len();
            return broken("record header cut off");
        };
        let [o0, o1, o2, o3, o4, o5, o6, o7, t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, l2, l3] = *header;
        let value = match i32::from_le_bytes([l0, l1, l2, l3]) {
            -1 => None,
            length => match usize::try_from(length).ok().and_then(|length| after.get(..length)) {
                Some(value) => Some(value),
                None => {
                    self.at = self.bytes.len();
                    return broken("value cut off");
                }
            },
        };
        self.at += RECORD_HEADER_BYTES + value.map_or(0, <[u8]>::len);
        Some(Ok(Record {
            offset: i64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            timestamp_ms: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            value,
        }))
    }
}

/// Begins a batch. The job's batches come from Java; these writers serve benchmarks and tests.
pub fn write_header(partition: i32, next_offset: i64, batch: &mut Vec<u8>) {
    batch.extend_from_slice(&partition.to_le_bytes());
    batch.extend_from_slice(&next_offset.to_le_bytes());
}

/// Appends one record to a batch. Values longer than 2 GiB are not representable, as in Kafka.
pub fn write_record(record: &Record<'_>, batch: &mut Vec<u8>) {
    batch.extend_from_slice(&record.offset.to_le_bytes());
    batch.extend_from_slice(&record.timestamp_ms.to_le_bytes());
    let length = record.value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
    batch.extend_from_slice(&length.to_le_bytes());
    batch.extend_from_slice(record.value.unwrap_or_default());
}
