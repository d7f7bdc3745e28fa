//! Measures how long each part of the way from bytes to a window's partial takes, in nanoseconds per event. It prints
//! one JSON object. Run it with `cargo bench --bench fold`. ARCHITECTURE.md has the figures on which decisions were
//! based.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use rtea_core::aggregate::Partial;
use rtea_core::codec::{self, Format};
use rtea_core::fold::fold;
use rtea_core::observation::Observation;

mod load;

use load::{foreign, settings, DEFAULT, NOW_MS};

const EVENTS: usize = 100_000;
const BATCH: usize = 4_000;
const ROUNDS: usize = 9;

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
    load::encoded(format, 0, EVENTS as u64, 200_000, 2_000_000)
}

fn packed(values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    values.chunks(BATCH).map(load::packed).collect()
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
        let (batches, settings) = (packed(values), settings(DEFAULT));
        let folded = measure(|| batches.iter().for_each(|batch| drop(black_box(fold(batch, NOW_MS, &settings)))));
        figures.push(format!(
            "\"{name}\": {{\"scanned\": {:.3}, \"scan_ns\": {scan:.1}, \"decode_ns\": {decode:.1}, \"fold_ns\": {folded:.1}}}",
            scanned as f64 / EVENTS as f64
        ));
    }
    let settings = settings(DEFAULT);
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
