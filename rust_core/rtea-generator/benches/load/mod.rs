//! The events and settings that the benches of the hot path share.

use rtea_core::codec::{self, Format};
use rtea_core::dimension::Policy;
use rtea_core::fold::{Settings as FoldSettings, ALL_TIME};
use rtea_core::metrics::Metrics;
use rtea_core::pack::{write_header, write_record, Record};
use rtea_generator::clock::Rhythm;
use rtea_generator::population::Population;
use rtea_generator::stream::{EventWriter, Settings, Stream};

/// All events lie in one window of an hour.
pub(crate) const WINDOW_MS: i64 = 3_600_000;

/// A clock that is ahead of all events.
pub(crate) const NOW_MS: i64 = 1 << 41;

const START_MS: i64 = 1_759_968_000_000;

/// Events of a stream from the first one on, encoded.
pub(crate) fn encoded(format: Format, first: u64, events: u64, lanes: u64, visitors: u32) -> Vec<Vec<u8>> {
    let mut stream = Stream::new(Settings {
        seed: 1,
        start_ms: START_MS,
        rate_hz: 50_000,
        rhythm: Rhythm::FLAT,
        lanes,
        pause_sigma: 1.0,
        population: Population::new(visitors, 20_000, 0.5, 0.9),
    });
    let mut writer = EventWriter::default();
    let moments: Vec<_> = (first..first + events).map(|number| stream.moment(number)).collect();
    let one = |moment| {
        let mut value = Vec::new();
        codec::encode(&writer.write(moment, 1, stream.pattern().population()), format, &mut value);
        value
    };
    moments.iter().map(one).collect()
}

/// The same events with their fields in alphabetical order, and with unknown fields added.
pub(crate) fn foreign(values: &[Vec<u8>], unknown: usize) -> Vec<Vec<u8>> {
    let rewritten = |value: &Vec<u8>| {
        let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(value).unwrap();
        for field in 0..unknown {
            event.insert(format!("x_field_{field}"), serde_json::json!(format!("value {field}")));
        }
        serde_json::to_vec(&event).unwrap()
    };
    values.iter().map(rewritten).collect()
}

/// One packed batch.
pub(crate) fn packed(values: &[Vec<u8>]) -> Vec<u8> {
    let mut batch = Vec::new();
    write_header(0, 0, &mut batch);
    for (offset, value) in (0..).zip(values) {
        write_record(&Record { offset, timestamp_ms: START_MS, value: Some(value) }, &mut batch);
    }
    batch
}

/// What a job counts by default.
pub(crate) const DEFAULT: [&str; 3] = ["event_count", "revenue", "unique_visitors"];

/// Settings of the job's fold that count some metrics.
pub(crate) fn settings<'a>(metrics: impl IntoIterator<Item = &'a str>) -> FoldSettings {
    FoldSettings {
        window_ms: WINDOW_MS,
        max_skew_ms: 0,
        span_ms: ALL_TIME,
        max_event_bytes: 1 << 20,
        max_letter_bytes: 1 << 20,
        topic: "events".into(),
        policy: Policy { limit: 1_000, metrics: Metrics::bits(metrics).unwrap(), ..Policy::default() },
        map: None,
        format: None,
    }
}
