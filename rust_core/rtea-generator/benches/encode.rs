//! Measures how long each part of making an event takes, in nanoseconds. It prints one JSON object.
//! `bench/generator.py` runs it with `cargo bench` and checks the figures.

#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use rtea_core::codec::{self, Format};
use rtea_generator::clock::Rhythm;
use rtea_generator::fault::Injection;
use rtea_generator::feed::Feed;
use rtea_generator::population::Population;
use rtea_generator::stream::{EventWriter, Moment, Settings, Stream};
use rtea_generator::truth::Ledger;

const EVENTS: u32 = 400_000;
const BATCH: u32 = 2_000;
const ROUNDS: usize = 7;

fn settings() -> Settings {
    Settings {
        seed: 1,
        start_ms: 1_760_000_000_000,
        rate_hz: 50_000,
        rhythm: Rhythm::FLAT,
        lanes: 200_000,
        pause_sigma: 1.0,
        population: Population::new(2_000_000, 20_000, 0.5, 0.9),
    }
}

/// Nanoseconds per event in the median round. Each round does all events.
fn measure(mut round: impl FnMut()) -> f64 {
    let mut nanos: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            round();
            started.elapsed().as_secs_f64() * 1e9 / f64::from(EVENTS)
        })
        .collect();
    nanos.sort_by(f64::total_cmp);
    nanos[ROUNDS / 2]
}

fn encode_all(moments: &[Moment], format: Format, population: &Population) -> u64 {
    let (mut event_writer, mut out, mut size) = (EventWriter::default(), Vec::new(), 0);
    for batch in moments.chunks(BATCH as usize) {
        out.clear();
        for moment in batch {
            codec::encode(&event_writer.write(moment, 1, population), format, &mut out);
        }
        size += black_box(&out).len() as u64;
    }
    size
}

fn main() {
    let population = settings().population;
    let mut stream = Stream::new(settings());
    let moments: Vec<Moment> = (0..u64::from(EVENTS)).map(|number| stream.moment(number)).collect();
    let mut figures = Vec::new();
    for format in Format::ALL {
        let mut size = 0;
        let nanos = measure(|| size = encode_all(&moments, format, &population));
        figures.push(format!("\"{}_ns\": {nanos:.1}, \"{0}_bytes\": {}", format.name(), size / u64::from(EVENTS)));
    }
    let mut next = u64::from(EVENTS);
    let model = measure(|| {
        for _ in 0..EVENTS {
            black_box(stream.moment(next));
            next += 1;
        }
    });
    figures.push(format!("\"model_ns\": {model:.1}"));
    let truth = measure(|| {
        let mut ledger = Ledger::new(60_000, false);
        moments.iter().for_each(|moment| ledger.add(moment, Injection::NONE, &population));
        black_box(ledger);
    });
    figures.push(format!("\"truth_ns\": {truth:.1}"));
    let (mut feed, mut next) = (Feed::new(settings(), 60_000, false, None), 0);
    let all = measure(|| {
        for _ in 0..EVENTS / BATCH {
            let (mut buffer, mut records) = (Vec::with_capacity(BATCH as usize * 400), Vec::new());
            feed.write((next, 1, BATCH as usize), Format::Json, &mut buffer, &mut records);
            black_box((buffer, records));
            next += u64::from(BATCH);
        }
        feed.ledger().take_until(i64::MAX);
    });
    figures.push(format!("\"feed_ns\": {all:.1}"));
    println!("{{{}}}", figures.join(", "));
}
