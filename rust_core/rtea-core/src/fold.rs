//! Folds one packed batch: decode, check, aggregate. The job's hot path.
//!
//! Batches come from the Java `PackOperator` through the Python UDF `rtea.flink.fold`; the partial
//! goes on to the window operator, dead letters to the dead letter topic.

use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::aggregate::Partial;
use crate::codec;
use crate::dimension::Policy;
use crate::event::{self, Event};
use crate::letter;
use crate::observation::Observation;
use crate::pack::{self, Frame, InvalidBatch};
use crate::refused::Refused;
use crate::reject::{Reason, Reject};

const FUTURE: Reject = Reject {
    reason: Reason::FutureTimestamp,
    field: "",
    expected: "a record's timestamp at most max_skew_ms ahead of the clock",
};

const IMPOSSIBLE: Reject =
    Reject { reason: Reason::TimestampMismatch, field: "", expected: "a record's timestamp from 1970 to 9998, in ms" };

const PANIC: Reject = Reject {
    reason: Reason::InternalError,
    field: "",
    expected: "a value that the decoder survives: please report it",
};

/// What the fold needs to know of the job's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Length of a window in ms, positive.
    pub window_ms: i64,
    /// How far `event_time` may be from the record's timestamp, in ms.
    pub timestamp_tolerance_ms: u64,
    /// Longest value that is decoded, in bytes.
    pub max_event_bytes: usize,
    /// Longest dead letter, in bytes: what its topic takes.
    pub max_letter_bytes: usize,
    /// The source topic, named in dead letters.
    pub topic: String,
    /// Which dimensions are kept, and how orders count.
    pub policy: Policy,
}

/// What one batch gave.
#[derive(Debug, Default)]
pub struct Folded {
    /// The partial of the batch's window; `None` when every record was refused.
    pub partial: Option<Partial>,
    /// One framed dead letter a refused record, in batch order.
    pub dead_letters: Vec<Vec<u8>>,
    /// How many of them there are, by window.
    pub refused: Vec<Refused>,
}

impl Folded {
    fn refuse(&mut self, reject: &Reject, window_start_ms: i64, settings: &Settings, frame: &Frame<'_>) {
        self.dead_letters.push(letter::dead_letter(reject, &settings.topic, frame, settings.max_letter_bytes));
        let reason = reject.reason.code();
        match self.refused.iter_mut().find(|refused| refused.window_start_ms == window_start_ms) {
            Some(refused) => refused.add(reason, 1),
            None => {
                let mut refused = Refused::new(window_start_ms);
                refused.add(reason, 1);
                self.refused.push(refused);
            }
        }
    }
}

/// Reads one event from a value.
pub type Decode<'a> = fn(&'a [u8]) -> Result<Event<'a>, Reject>;

/// Folds a batch that arrived at `arrival_ms`. Linear in its bytes; memory with its dimensions, which are bounded.
///
/// A record whose timestamp is in the future or no time that a table can hold is refused, and counted in the window
/// of its arrival.
///
/// # Errors
/// [`InvalidBatch`] when the layout is broken or the frames lie in different windows.
pub fn fold(batch: &[u8], arrival_ms: i64, settings: &Settings) -> Result<Folded, InvalidBatch> {
    fold_with(batch, arrival_ms, settings, codec::decode)
}

/// Folds a batch with another general decoder, for values that the scanner leaves to it: to test what happens when it
/// panics.
///
/// # Errors
/// As [`fold`].
pub fn fold_with<'a>(
    batch: &'a [u8],
    arrival_ms: i64,
    settings: &Settings,
    decode: Decode<'a>,
) -> Result<Folded, InvalidBatch> {
    let mut folded = Folded::default();
    let arrival_window_ms = window_start(arrival_ms, settings.window_ms);
    let mut window_start_ms = None;
    let mut observation = Observation::blank();
    for frame in pack::frames(batch) {
        let frame = frame?;
        if frame.is_future {
            folded.refuse(&FUTURE, arrival_window_ms, settings, &frame);
            continue;
        }
        if !(0..event::MAX_TIME_MS).contains(&frame.timestamp_ms) {
            folded.refuse(&IMPOSSIBLE, arrival_window_ms, settings, &frame);
            continue;
        }
        let start_ms = window_start(frame.timestamp_ms, settings.window_ms);
        if *window_start_ms.get_or_insert(start_ms) != start_ms {
            return Err(InvalidBatch { at_byte: 0, problem: "frames of more than one window" });
        }
        let mut add = |event: &Observation<'_>| {
            let partial = folded.partial.get_or_insert_with(|| Partial::new(start_ms, &settings.policy));
            partial.add(event, &settings.policy);
        };
        // A panic changes nothing that is used afterwards: the next event overwrites the observation.
        let is_common = catch_unwind(AssertUnwindSafe(|| scanned(&frame, settings, &mut observation)));
        if is_common.unwrap_or(false) {
            add(&observation);
            continue;
        }
        let decoded = catch_unwind(AssertUnwindSafe(|| checked(&frame, settings, decode)));
        match decoded.unwrap_or(Err(PANIC)) {
            Ok(event) => add(&Observation::of(&event)),
            Err(reject) => folded.refuse(&reject, start_ms, settings, &frame),
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

/// Whether the record is an event in a common spelling, and valid.
fn scanned<'a>(frame: &Frame<'a>, settings: &Settings, found: &mut Observation<'a>) -> bool {
    frame.value.is_some_and(|value| value.len() <= settings.max_event_bytes && codec::scan(value, found))
        && found.event_time_ms.abs_diff(frame.timestamp_ms) <= settings.timestamp_tolerance_ms
}

fn checked<'a>(frame: &Frame<'a>, settings: &Settings, decode: Decode<'a>) -> Result<Event<'a>, Reject> {
    let value = frame.value.ok_or(Reject::whole(Reason::NullValue, "an event, not a tombstone"))?;
    if value.len() > settings.max_event_bytes {
        return Err(Reject::whole(Reason::TooLarge, "a value of at most max_event_bytes"));
    }
    let event = decode(value)?;
    if event.event_time_ms.abs_diff(frame.timestamp_ms) > settings.timestamp_tolerance_ms {
        return Err(Reject::of(
            Reason::TimestampMismatch,
            "event_time",
            "the record's timestamp, give or take timestamp_tolerance_ms",
        ));
    }
    Ok(event)
}
