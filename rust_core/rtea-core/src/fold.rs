//! Folds one packed batch: decode, check, aggregate. The job's hot path.
//!
//! Batches come from the Java `Packer` through the Python UDF `rtea.flink.fold`; partials go on to the window operator,
//! dead letters to the dead letter topic, the progress to the watermark operator.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};

use rustc_hash::FxBuildHasher;

use crate::aggregate::Partial;
use crate::codec::map::{EventMap, Scratch};
use crate::codec::{self, Format};
use crate::dimension::Policy;
use crate::event::Event;
use crate::letter;
use crate::observation::Observation;
use crate::pack::{Batch, InvalidBatch, Record};
use crate::progress::{Latest, Progress};
use crate::refused::{Refused, SKIPPED};
use crate::reject::{Reason, Reject};

const FUTURE: Reject = Reject {
    reason: Reason::FutureTimestamp,
    field: "event_time",
    expected: "a time at most max_skew_ms ahead of the clock",
};

const PANIC: Reject = Reject {
    reason: Reason::InternalError,
    field: "",
    expected: "a value that the decoder survives: please report it",
};

/// What the fold needs to know of the job's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Length of a window in ms, positive.
    pub window_ms: i64,
    /// How far `event_time` may be ahead of the clock, in ms.
    pub max_skew_ms: i64,
    /// Events with other times are left out, as are refused records with other timestamps.
    pub span_ms: Range<i64>,
    /// Longest value that is decoded, in bytes.
    pub max_event_bytes: usize,
    /// Longest dead letter, in bytes: what its topic takes.
    pub max_letter_bytes: usize,
    /// The source topic, named in dead letters.
    pub topic: String,
    /// Which dimensions are kept, and how orders count.
    pub policy: Policy,
    /// Where our fields are in the events; `None` for our own layout.
    pub map: Option<EventMap>,
    /// The format of the events; `None` if each event's first byte shows it.
    pub format: Option<Format>,
}

/// The span of a live job: all of it.
pub const ALL_TIME: Range<i64> = i64::MIN..i64::MAX;

/// What one batch gave.
#[derive(Debug)]
pub struct Folded {
    /// One partial for each window of the batch's events, in the order in which they came.
    pub partials: Vec<Partial>,
    /// One framed dead letter a refused record, in batch order.
    pub dead_letters: Vec<Vec<u8>>,
    /// How many of them there are, by window.
    pub refused: Vec<Refused>,
    /// How far the batch's partition has come.
    pub progress: Progress,
}

/// Reads one event from a value, of one format or of any.
pub type Decode<'a> = fn(&'a [u8], Option<Format>) -> Result<Event<'a>, Reject>;

/// Folds a batch that is read at `now_ms`. Linear in its bytes; memory with its windows and dimensions.
///
/// An event counts in the window of its own time. A refused record counts in the window of its timestamp, or of `now_ms`
/// where that is no time up to now, or where the event's own time was refused.
///
/// # Errors
/// [`InvalidBatch`] when the layout is broken.
pub fn fold(batch: &[u8], now_ms: i64, settings: &Settings) -> Result<Folded, InvalidBatch> {
    match &settings.map {
        None => fold_with(batch, now_ms, settings, codec::decode_as),
        Some(map) => fold_mapped(batch, now_ms, settings, map),
    }
}

/// Folds a batch with another general decoder, for values that the scanner leaves to it: to test what happens when it
/// panics.
///
/// # Errors
/// As [`fold`].
pub fn fold_with<'a>(
    batch: &'a [u8],
    now_ms: i64,
    settings: &Settings,
    decode: Decode<'a>,
) -> Result<Folded, InvalidBatch> {
    let batch = Batch::of(batch)?;
    let mut folding = Folding::new(batch.partition, now_ms, settings);
    let mut observation = Observation::blank();
    for record in batch {
        let record = record?;
        // A panic changes nothing that is used afterwards: the next event overwrites the observation.
        let is_common = catch_unwind(AssertUnwindSafe(|| scanned(&record, settings, &mut observation)));
        if is_common.unwrap_or(false) {
            folding.add(&observation, &record);
            continue;
        }
        let decoded = catch_unwind(AssertUnwindSafe(|| decoded(&record, settings, decode)));
        match decoded.unwrap_or(Err(PANIC)) {
            Ok(event) => folding.add(&Observation::of(&event), &record),
            Err(reject) => folding.refuse(&reject, &record),
        }
    }
    Ok(folding.finish(batch.next_offset))
}

fn fold_mapped(batch: &[u8], now_ms: i64, settings: &Settings, map: &EventMap) -> Result<Folded, InvalidBatch> {
    let batch = Batch::of(batch)?;
    let mut folding = Folding::new(batch.partition, now_ms, settings);
    let (mut scratch, mut observation) = (Scratch::default(), Observation::blank());
    for record in batch {
        let record = record?;
        // A panic changes nothing that is used afterwards: the next event overwrites both.
        let observed = catch_unwind(AssertUnwindSafe(|| {
            value(&record, settings)
                .is_ok_and(|value| map.observe(value, settings.format, &mut scratch, &mut observation))
        }));
        if observed.unwrap_or(false) {
            folding.add(&observation, &record);
            continue;
        }
        let mapped =
            catch_unwind(AssertUnwindSafe(|| map.decode_as(value(&record, settings)?, settings.format, &mut scratch)));
        match mapped.unwrap_or(Err(PANIC)) {
            Ok(Some(event)) => folding.add(&Observation::of(&event), &record),
            Ok(None) => {
                folding.count_refused(SKIPPED, &record, true);
            }
            Err(reject) => folding.refuse(&reject, &record),
        }
    }
    Ok(folding.finish(batch.next_offset))
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
fn scanned<'a>(record: &Record<'a>, settings: &Settings, found: &mut Observation<'a>) -> bool {
    record
        .value
        .is_some_and(|value| value.len() <= settings.max_event_bytes && codec::scan_as(value, settings.format, found))
}

fn decoded<'a>(record: &Record<'a>, settings: &Settings, decode: Decode<'a>) -> Result<Event<'a>, Reject> {
    decode(value(record, settings)?, settings.format)
}

/// The record's value, if it has one that is not too long.
fn value<'a>(record: &Record<'a>, settings: &Settings) -> Result<&'a [u8], Reject> {
    let value = record.value.ok_or(Reject::whole(Reason::NullValue, "an event, not a tombstone"))?;
    if value.len() > settings.max_event_bytes {
        return Err(Reject::whole(Reason::TooLarge, "a value of at most max_event_bytes"));
    }
    Ok(value)
}

/// A batch on its way.
struct Folding<'s> {
    settings: &'s Settings,
    partition: i32,
    now_ms: i64,
    latest: Latest,
    partials: Vec<Partial>,
    /// Places in `partials` by start of their window.
    places: HashMap<i64, usize, FxBuildHasher>,
    /// Start and place of the window that took the last event: nearly always the next one's, too.
    last: (i64, usize),
    dead_letters: Vec<Vec<u8>>,
    refused: Vec<Refused>,
}

impl<'s> Folding<'s> {
    fn new(partition: i32, now_ms: i64, settings: &'s Settings) -> Self {
        Self {
            settings,
            partition,
            now_ms,
            latest: Latest::new(now_ms, settings.max_skew_ms),
            partials: Vec::new(),
            places: HashMap::default(),
            last: (i64::MIN, 0),
            dead_letters: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn add(&mut self, event: &Observation<'_>, record: &Record<'_>) {
        let settings = self.settings;
        if event.event_time_ms > self.now_ms.saturating_add(settings.max_skew_ms) {
            return self.refuse(&FUTURE, record);
        }
        self.latest.add(event.event_time_ms, record.timestamp_ms);
        if !settings.span_ms.contains(&event.event_time_ms) {
            return;
        }
        let start_ms = window_start(event.event_time_ms, settings.window_ms);
        if self.last.0 != start_ms || self.partials.is_empty() {
            let partials = &mut self.partials;
            let place = *self.places.entry(start_ms).or_insert_with(|| {
                partials.push(Partial::new(start_ms, &settings.policy));
                partials.len() - 1
            });
            self.last = (start_ms, place);
        }
        self.partials[self.last.1].add(event, &settings.policy);
    }

    fn refuse(&mut self, reject: &Reject, record: &Record<'_>) {
        let settings = self.settings;
        if self.count_refused(reject.reason.code(), record, reject.reason != Reason::FutureTimestamp) {
            let places = settings.map.as_ref().and_then(|map| map.places(reject.field));
            let (topic, partition, most_bytes) = (&settings.topic, self.partition, settings.max_letter_bytes);
            self.dead_letters.push(letter::dead_letter(reject, places, topic, partition, record, most_bytes));
        }
    }

    /// Counts an event that is not added, in the window of its record's timestamp if that is to be trusted; whether the
    /// window is in the job's span.
    fn count_refused(&mut self, reason: &str, record: &Record<'_>, trusts_timestamp: bool) -> bool {
        let settings = self.settings;
        let has_time = (0..=self.now_ms).contains(&record.timestamp_ms) && trusts_timestamp;
        let time_ms = if has_time { record.timestamp_ms } else { self.now_ms };
        if settings.span_ms != ALL_TIME && !(has_time && settings.span_ms.contains(&time_ms)) {
            return false;
        }
        let start_ms = window_start(time_ms, settings.window_ms);
        match self.refused.iter_mut().find(|refused| refused.window_start_ms == start_ms) {
            Some(refused) => refused.add(reason, 1),
            None => {
                let mut refused = Refused::new(start_ms);
                refused.add(reason, 1);
                self.refused.push(refused);
            }
        }
        true
    }

    fn finish(self, next_offset: i64) -> Folded {
        let progress = Progress { partition: self.partition, next_offset, event_time_ms: self.latest.event_time_ms() };
        Folded { partials: self.partials, dead_letters: self.dead_letters, refused: self.refused, progress }
    }
}
