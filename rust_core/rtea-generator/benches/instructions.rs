//! The hot path on a packed batch of 1,000 events, for Valgrind to count its instructions: the number is the same in
//! every run, so `bench.gate` sees 3 %. Clocks differ by more between equal trees.
//!
//! Without an argument it prints the names of its measurements. With a name it prepares that one and runs it once, in a
//! function of the module `measured`, which is all that Callgrind counts.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::path::Path;

use rtea_core::aggregate::Partial;
use rtea_core::codec::map::EventMap;
use rtea_core::codec::Format;
use rtea_core::fold::Settings;
use rtea_core::metrics::Metrics;
use rtea_core::observation::Observation;
use rtea_core::result::Submission;
use rtea_core::source::Source;

mod load;
#[path = "load/segment.rs"]
mod segment;

use load::{foreign, packed, settings, DEFAULT, WINDOW_MS};

const EVENTS: u64 = 1_000;
const VISITORS: u32 = 60_000;

/// What is counted.
mod measured {
    use rtea_core::aggregate::Partial;
    use rtea_core::fold::{self, Folded, Settings};
    use rtea_core::result::{self, Submission};

    #[inline(never)]
    pub(crate) fn fold(batch: &[u8], settings: &Settings) -> Folded {
        fold::fold(batch, super::load::NOW_MS, settings).unwrap()
    }

    #[inline(never)]
    pub(crate) fn merge(window: &[u8], part: &[u8]) -> Vec<u8> {
        let mut merged = Partial::from_bytes(window).unwrap();
        merged.merge(&Partial::from_bytes(part).unwrap()).unwrap();
        merged.to_bytes()
    }

    #[inline(never)]
    pub(crate) fn encode(window: &[u8], submission: &Submission) -> Vec<u8> {
        result::encode(Partial::from_bytes(window).unwrap(), submission, true)
    }
}

fn values(format: Format, first: u64) -> Vec<Vec<u8>> {
    load::encoded(format, first, EVENTS, 20_000, 200_000)
}

fn partial(first: u64, settings: &Settings) -> Partial {
    let batch = packed(&values(Format::Json, first));
    rtea_core::fold::fold(&batch, load::NOW_MS, settings).unwrap().partials.remove(0)
}

/// The state of a window with so many visitors that its sketches are dense.
fn dense() -> Vec<u8> {
    let settings = settings(DEFAULT);
    let mut window = partial(0, &settings);
    for number in 0..VISITORS {
        let visitor = format!("v{number}");
        let mut event = Observation::blank();
        event.event_type = "page_view";
        event.source = if number % 2 == 0 { Source::MOBILE } else { Source::WEBSITE };
        event.visitor_id = &visitor;
        window.add(&event, &settings.policy);
    }
    window.to_bytes()
}

fn fold(values: &[Vec<u8>], settings: &Settings) {
    let batch = packed(values);
    black_box(measured::fold(black_box(&batch), black_box(settings)));
}

fn merge(window: &[u8], part: &Partial) {
    black_box(measured::merge(black_box(window), black_box(&part.to_bytes())));
}

fn all() -> Settings {
    settings(Metrics::LIST.iter().map(|(name, _)| *name))
}

fn segment_map() -> EventMap {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/rtea/maps/segment.toml");
    EventMap::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn encode() {
    let submission = Submission { window_ms: WINDOW_MS, generation: 1, settings: String::new(), writer: String::new() };
    black_box(measured::encode(black_box(&dense()), &submission));
}

fn main() {
    rtea_core::dimension::fix_hash_keys();
    let measurements: [(&str, fn()); 9] = [
        ("fold_json", || fold(&values(Format::Json, 0), &settings(DEFAULT))),
        ("fold_msgpack", || fold(&values(Format::Msgpack, 0), &settings(DEFAULT))),
        ("fold_foreign", || fold(&foreign(&values(Format::Json, 0), 10), &settings(DEFAULT))),
        ("fold_all", || fold(&values(Format::Json, 0), &all())),
        ("fold_segment", || {
            fold(&segment::encoded(EVENTS), &Settings { map: Some(segment_map()), ..settings(DEFAULT) })
        }),
        ("merge_small", || merge(&partial(0, &settings(DEFAULT)).to_bytes(), &partial(EVENTS, &settings(DEFAULT)))),
        ("merge_dense", || merge(&dense(), &partial(0, &settings(DEFAULT)))),
        ("merge_all", || merge(&partial(0, &all()).to_bytes(), &partial(EVENTS, &all()))),
        ("encode_dense", encode),
    ];
    match std::env::args().nth(1).filter(|argument| !argument.starts_with("--")) {
        None => measurements.iter().for_each(|(name, _)| println!("{name}")),
        Some(wanted) => measurements.iter().filter(|(name, _)| *name == wanted).for_each(|(_, run)| run()),
    }
}
