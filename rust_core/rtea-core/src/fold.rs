//! Folds one packed batch: decode, check, aggregate. The job's hot path.
//!
//! Batches come from the Java `PackOperator` through the Python UDF `rtea.flink.fold`; the partial
//! goes on to the window operator, dead letters to the dead letter topic.

use crate::aggregate::Partial;
use crate::codec;
use crate::event::Event;
use crate::pack::{self, Frame, InvalidBatch};
use crate::record;
use crate::reject::{Reason, Reject};

/// What the fold needs to know of the job's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Length of a window in ms, positive.
    pub window_ms: i64,
    /// How far `event_time` may be from the record's timestamp, in ms.
    pub timestamp_tolerance_ms: u64,
    /// Longest value that is decoded, in bytes.
    pub max_event_bytes: usize,
    /// The source topic, named in dead letters.
    pub topic: String,
}

/// What one batch gave.
#[derive(Debug)]
pub struct Folded {
    /// The partial of the batch's window; `None` when every record was refused.
    pub partial: Option<Partial>,
    /// One framed dead letter a refused record, in batch order.
    pub dead_letters: Vec<Vec<u8>>,
}

/// Folds a batch. Linear in its bytes; memory grows with the distinct dimensions of the batch only.
///
/// # Errors
/// [`InvalidBatch`] when the layout is broken or the frames lie in different windows.
pub fn fold(batch: &[u8], settings: &Settings) -> Result<Folded, InvalidBatch> {
    let mut folded = Folded { partial: None, dead_letters: Vec::new() };
    let mut window_start_ms = None;
    for frame in pack::frames(batch) {
        let frame = frame?;
        let start_ms = window_start(frame.timestamp_ms, settings.window_ms);
        if *window_start_ms.get_or_insert(start_ms) != start_ms {
            return Err(InvalidBatch { at_byte: 0, problem: "frames of more than one window" });
        }
        match checked(&frame, settings) {
            Ok(event) => folded.partial.get_or_insert_with(|| Partial::new(start_ms)).add(&event),
            Err(reject) => folded.dead_letters.push(record::dead_letter(&reject, &settings.topic, &frame)),
        }
    }
    Ok(folded)
}

/// Start of the tumbling window that holds a time, both in ms since the epoch.
///
/// ```
/// use rtea_core::fold::window_start;
/// assert_eq!(window_start(119_999, 60_000), 60_000);
/// assert_eq!(window_start(-1, 60_000), -60_000);
/// ```
#[must_use]
pub fn window_start(time_ms: i64, window_ms: i64) -> i64 {
    time_ms.div_euclid(window_ms).saturating_mul(window_ms)
}

fn checked<'a>(frame: &Frame<'a>, settings: &Settings) -> Result<Event<'a>, Reject> {
    let value = frame.value.ok_or(Reject::whole(Reason::NullValue, "an event, not a tombstone"))?;
    if value.len() > settings.max_event_bytes {
        return Err(Reject::whole(Reason::TooLarge, "a value of at most max_event_bytes"));
    }
    let event = codec::decode(value)?;
    if event.event_time_ms.abs_diff(frame.timestamp_ms) > settings.timestamp_tolerance_ms {
        return Err(Reject::of(
            Reason::TimestampMismatch,
            "event_time",
            "the record's timestamp, give or take timestamp_tolerance_ms",
        ));
    }
    Ok(event)
}
