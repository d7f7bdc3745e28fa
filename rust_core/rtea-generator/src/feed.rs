//! What a shard sends: the events of the stream as records, in the order of sending, with their faults.
//!
//! The events come from [`crate::stream`]. [`crate::truth`] counts each event when it is due. `rtea_gen.shard` sends
//! the records.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use rtea_core::codec::{self, Format};

use crate::fault::{Fault, Faults, Injection};
use crate::stream::{EventWriter, Moment, Settings, Stream};
use crate::truth::Ledger;

/// The key of the records with [`Injection::has_hot_key`].
pub const HOT_KEY: &str = "hot";

/// One record. Its ranges point into the buffer of its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of its event.
    pub number: u64,
    /// The key.
    pub key: Range<usize>,
    /// The value; `None` for a tombstone.
    pub value: Option<Range<usize>>,
    /// The timestamp, ms since the epoch.
    pub time_ms: i64,
    /// Its fault. Of a duplicate, only the second copy has the fault.
    pub fault: Option<Fault>,
}

/// An event that is held back until it is due.
#[derive(Debug)]
struct Held {
    due_ms: i64,
    moment: Moment,
    injection: Injection,
}

impl Held {
    fn order(&self) -> Reverse<(i64, u64)> {
        Reverse((self.due_ms, self.moment.number))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

/// Makes the records of one shard. In memory, it keeps the counts of open windows and the events that it holds back.
#[derive(Debug)]
pub struct Feed {
    stream: Stream,
    event_writer: EventWriter,
    ledger: Ledger,
    faults: Option<Faults>,
    window_ms: i64,
    held: BinaryHeap<Held>,
}

impl Feed {
    /// A feed of the stream with these settings. `window_ms` is the length of its windows and must be positive;
    /// [`Ledger::new`] says what `has_shop` means.
    #[must_use]
    pub fn new(settings: Settings, window_ms: i64, has_shop: bool, faults: Option<Faults>) -> Self {
        let (stream, ledger) = (Stream::new(settings), Ledger::new(window_ms, has_shop));
        Self { stream, event_writer: EventWriter::default(), ledger, faults, window_ms, held: BinaryHeap::new() }
    }

    /// Appends only the values, for files: JSON with one value per line, MessagePack without separators. In JSON, a
    /// tombstone and an empty value are both an empty line. In MessagePack, a tombstone is nil, and an empty value is
    /// no bytes.
    pub fn write_values(&mut self, numbers: (u64, usize, usize), format: Format, out: &mut Vec<u8>) {
        let (mut buffer, mut records) = (Vec::new(), Vec::new());
        self.write(numbers, format, &mut buffer, &mut records);
        append_values(&records, &buffer, format, out);
    }

    /// Appends the values of [`Feed::finish`] as [`Feed::write_values`] does.
    pub fn finish_values(&mut self, end_ms: i64, format: Format, out: &mut Vec<u8>) {
        let (mut buffer, mut records) = (Vec::new(), Vec::new());
        self.finish(end_ms, format, &mut buffer, &mut records);
        append_values(&records, &buffer, format, out);
    }

    /// The ground truth of the records that were written so far.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Appends the records of `count` events: number `first` and then every `stride`-th number. Also appends the
    /// held-back events that are due by then.
    pub fn write(
        &mut self,
        (first, stride, count): (u64, usize, usize),
        format: Format,
        buffer: &mut Vec<u8>,
        records: &mut Vec<Record>,
    ) {
        for number in (first..).step_by(stride).take(count) {
            let moment = self.stream.moment(number);
            let Some(faults) = self.faults else {
                self.put(&moment, Injection::NONE, format, buffer, records);
                continue;
            };
            self.release(moment.time_ms, format, buffer, records);
            let injection = faults.on_event(self.stream.settings().seed, number);
            let due_ms = match injection.fault {
                Some(Fault::Disorder) => moment.time_ms + injection.delay_ms,
                Some(Fault::Late) => self.window_end_ms(moment.time_ms) + faults.late_ms,
                _ => moment.time_ms,
            };
            if due_ms > moment.time_ms {
                self.held.push(Held { due_ms, moment, injection });
            } else {
                self.put(&moment, injection, format, buffer, records);
            }
        }
    }

    /// Appends the events that are still held back when the stream ends at `end_ms`. Events that are only out of order
    /// are sent now. Events that would not be late yet are neither sent nor counted.
    pub fn finish(&mut self, end_ms: i64, format: Format, buffer: &mut Vec<u8>, records: &mut Vec<Record>) {
        self.release(end_ms, format, buffer, records);
        while let Some(Held { moment, injection, .. }) = self.held.pop() {
            if injection.fault == Some(Fault::Disorder) {
                self.put(&moment, injection, format, buffer, records);
            }
        }
    }

    fn window_end_ms(&self, time_ms: i64) -> i64 {
        (time_ms.div_euclid(self.window_ms) + 1) * self.window_ms
    }

    fn release(&mut self, time_ms: i64, format: Format, buffer: &mut Vec<u8>, records: &mut Vec<Record>) {
        while self.held.peek().is_some_and(|held| held.due_ms <= time_ms) {
            if let Some(Held { moment, injection, .. }) = self.held.pop() {
                self.put(&moment, injection, format, buffer, records);
            }
        }
    }

    fn put(
        &mut self,
        moment: &Moment,
        injection: Injection,
        format: Format,
        buffer: &mut Vec<u8>,
        records: &mut Vec<Record>,
    ) {
        let population = self.stream.pattern().population();
        self.ledger.add(moment, injection, population);
        let event = self.event_writer.write(moment, self.stream.settings().seed, population);
        let start = buffer.len();
        let key = if injection.has_hot_key { HOT_KEY } else { &event.visitor_id };
        buffer.extend_from_slice(key.as_bytes());
        let (key, value_start) = (start..buffer.len(), buffer.len());
        let has_value = match (injection.fault, self.faults) {
            (Some(fault), Some(faults)) => faults.write(fault, event, format, buffer),
            _ => {
                codec::encode(&event, format, buffer);
                true
            }
        };
        let value = has_value.then_some(value_start..buffer.len());
        let is_duplicate = injection.fault == Some(Fault::Duplicate);
        let fault = if is_duplicate { None } else { injection.fault };
        let record = Record { number: moment.number, key, value, time_ms: moment.time_ms, fault };
        if is_duplicate {
            records.push(record.clone());
        }
        records.push(if is_duplicate { Record { fault: injection.fault, ..record } } else { record });
    }
}

fn append_values(records: &[Record], buffer: &[u8], format: Format, out: &mut Vec<u8>) {
    out.reserve(buffer.len());
    for record in records {
        match (&record.value, format) {
            (Some(range), _) => out.extend_from_slice(&buffer[range.clone()]),
            (None, Format::Msgpack) => out.push(0xc0),
            (None, _) => {}
        }
        if format != Format::Msgpack {
            out.push(b'\n');
        }
    }
}
