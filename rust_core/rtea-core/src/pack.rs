//! The layout of a packed batch: what the Java `PackOperator` writes and [`crate::fold`] reads.
//!
//! A batch is a row of frames, little-endian, without padding or header:
//!
//! ```text
//! | partition i32 | offset i64 | timestamp ms i64 | length i32, -1 = null | value bytes |
//! ```
//!
//! The partition of a record from the future is stored as its bitwise complement, a negative number. The operator puts
//! only frames of one window into a batch, apart from those of the future.

/// Bytes of a frame before its value.
pub const FRAME_HEADER_BYTES: usize = 24;

/// One Kafka record within a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Partition of the source topic.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// The record's timestamp: the event time, ms since the epoch.
    pub timestamp_ms: i64,
    /// Whether the timestamp was further ahead than `max_skew_ms` when the record was read.
    pub is_future: bool,
    /// The record's value; `None` for a null value.
    pub value: Option<&'a [u8]>,
}

/// A batch whose bytes break the layout: a bug in the job, never an effect of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBatch {
    /// Where in the batch the broken frame starts.
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

/// Iterates over the frames of a batch without copying.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    batch: &'a [u8],
    at: usize,
}

/// The frames of a batch.
///
/// ```
/// use rtea_core::pack::{frames, write_frame, Frame};
/// let frame = Frame { partition: 1, offset: 7, timestamp_ms: 60_000, is_future: false, value: Some(b"{}") };
/// let mut batch = Vec::new();
/// write_frame(&frame, &mut batch);
/// assert_eq!(frames(&batch).next(), Some(Ok(frame)));
/// ```
#[must_use]
pub fn frames(batch: &[u8]) -> Frames<'_> {
    Frames { batch, at: 0 }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, InvalidBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.batch.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at_byte = self.at;
        let broken = |problem| Some(Err(InvalidBatch { at_byte, problem }));
        let Some((header, after)) = rest.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            self.at = self.batch.len();
            return broken("frame header cut off");
        };
        let [p0, p1, p2, p3, o0, o1, o2, o3, o4, o5, o6, o7, t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, l2, l3] = *header;
        let value = match i32::from_le_bytes([l0, l1, l2, l3]) {
            -1 => None,
            length => match usize::try_from(length).ok().and_then(|length| after.get(..length)) {
                Some(value) => Some(value),
                None => {
                    self.at = self.batch.len();
                    return broken("value cut off");
                }
            },
        };
        self.at += FRAME_HEADER_BYTES + value.map_or(0, <[u8]>::len);
        let partition = i32::from_le_bytes([p0, p1, p2, p3]);
        Some(Ok(Frame {
            partition: if partition < 0 { !partition } else { partition },
            is_future: partition < 0,
            offset: i64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            timestamp_ms: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            value,
        }))
    }
}

/// Appends one frame to a batch. The job's batches come from Java; this writer serves benchmarks
/// and tests. Values longer than 2 GiB are not representable, as in Kafka.
pub fn write_frame(frame: &Frame<'_>, batch: &mut Vec<u8>) {
    let partition = if frame.is_future { !frame.partition } else { frame.partition };
    batch.extend_from_slice(&partition.to_le_bytes());
    batch.extend_from_slice(&frame.offset.to_le_bytes());
    batch.extend_from_slice(&frame.timestamp_ms.to_le_bytes());
    let length = frame.value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
    batch.extend_from_slice(&length.to_le_bytes());
    batch.extend_from_slice(frame.value.unwrap_or_default());
}
