//! Measures how long each part of the way from bytes to a window's partial takes, in nanoseconds per event. It prints
//! one JSON object. Run it with `cargo bench --bench fold`. ARCHITECTURE.md has the figures on which decisions were
//! based.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use rtea_core::aggregate::Partial;
use rtea_core::codec::{self, Format};
use rtea_core::dimension::Policy;
use rtea_core::fold::{fold, Settings as FoldSettings, ALL_TIME};
use rtea_core::observation::Observation;
use rtea_core::pack::{write_header, write_record, Record};
use rtea_generator::clock::Rhythm;
use rtea_generator::population::Population;
use rtea_generator::stream::{EventWriter, Settings, Stream};

const EVENTS: usize = 100_000;
const BATCH: usize = 4_000;
const ROUNDS: usize = 9;
const WINDOW_MS: i64 = 3_600_000;
const NOW_MS: i64 = 1 << 41;

fn stream() -> Stream {
    Stream::new(Settings {
        seed: 1,
        start_ms: 1_759_968_000_000,
        rate_hz: 50_000,
        rhythm: Rhythm::FLAT,
        lanes: 200_000,
        pause_sigma: 1.0,
        population: Population::new(2_000_000, 20_000, 0.5, 0.9),
    })
}

/// Nanoseconds per event in the best round. Each round does all events.
fn measure(mut round: impl FnMut()) -> f64 {
    let time = |_| {
        let started = Instant::now();
        round();
        started.elapsed().as_secs_f64() * 1e9 / EVENTS as f64
    };
    (0..ROUNDS).map(time).fold(f64::INFINITY, f64::min)
}

fn encoded(format: Format) -> Vec<Vec<u8>> {
    let (mut stream, mut writer) = (stream(), EventWriter::default());
    let moments: Vec<_> = (0..EVENTS as u64).map(|number| stream.moment(number)).collect();
    let one = |moment| {
        let mut value = Vec::new();
        codec::encode(&writer.write(moment, 1, stream.pattern().population()), format, &mut value);
        value
    };
    moments.iter().map(one).collect()
}

/// The same events with their fields in alphabetical order, and with unknown fields added.
fn foreign(values: &[Vec<u8>], unknown: usize) -> Vec<Vec<u8>> {
    let rewritten = |value: &Vec<u8>| {
        let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(value).unwrap();
        for field in 0..unknown {
            event.insert(format!("x_field_{field}"), serde_json::json!(format!("value {field}")));
        }
        serde_json::to_vec(&event).unwrap()
    };
    values.iter().map(rewritten).collect()
}

fn packed(values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let batch = |values: &[Vec<u8>]| {
        let mut batch = Vec::new();
        write_header(0, 0, &mut batch);
        for (offset, value) in (0..).zip(values) {
            let timestamp_ms = codec::decode(value).unwrap().event_time_ms;
            write_record(&Record { offset, timestamp_ms, value: Some(value) }, &mut batch);
        }
        batch
    };
    values.chunks(BATCH).map(batch).collect()
}

fn fold_settings() -> FoldSettings {
    FoldSettings {
        window_ms: WINDOW_MS,
        max_skew_ms: 0,
        span_ms: ALL_TIME,
        max_event_bytes: 1 << 20,
        max_letter_bytes: 1 << 20,
        topic: "events".into(),
        policy: Policy { limit: 1_000, ..Policy::default() },
    }
}

fn main() {
    let json = encoded(Format::Json);
    let forms = [
        ("json", json.clone()),
        ("shuffled", foreign(&json, 0)),
        ("unknown", foreign(&json, 10)),
        ("msgpack", encoded(Format::Msgpack)),
    ];
    let mut figures = Vec::new();
    for (name, values) in &forms {
        let mut scanned = 0;
        let scan = measure(|| {
            let mut found = Observation::blank();
            scanned = values.iter().filter(|value| codec::scan(black_box(value), &mut found)).count();
        });
        let decode = measure(|| values.iter().for_each(|value| drop(black_box(codec::decode(black_box(value))))));
        let (batches, settings) = (packed(values), fold_settings());
        let folded = measure(|| batches.iter().for_each(|batch| drop(black_box(fold(batch, NOW_MS, &settings)))));
        figures.push(format!(
            "\"{name}\": {{\"scanned\": {:.3}, \"scan_ns\": {scan:.1}, \"decode_ns\": {decode:.1}, \"fold_ns\": {folded:.1}}}",
            scanned as f64 / EVENTS as f64
        ));
    }
    let settings = fold_settings();
    let partials: Vec<Partial> =
        packed(&json).iter().map(|batch| fold(batch, NOW_MS, &settings).unwrap().partials.remove(0)).collect();
    let bytes = measure(|| partials.iter().for_each(|partial| drop(black_box(partial.to_bytes()))));
    let states: Vec<Vec<u8>> = partials.iter().map(Partial::to_bytes).collect();
    let merge = measure(|| {
        let mut window = states[0].clone();
        for state in &states[1..] {
            let mut merged = Partial::from_bytes(&window).unwrap();
            merged.merge(&Partial::from_bytes(state).unwrap()).unwrap();
            window = merged.to_bytes();
        }
        black_box(window);
    });
    figures.push(format!("\"to_bytes_ns\": {bytes:.1}, \"merge_ns\": {merge:.1}"));
    println!("{{{}}}", figures.join(", "));
}
