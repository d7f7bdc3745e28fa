//! The rows of a window: turns a partial aggregate into one record of the results topic.
//!
//! The window operator (`rtea.flink.merge`) calls it when a window fires. Every sink reads the record through
//! `rtea.sinks.result`.
//!
//! The record's value is one MessagePack array,
//! `[version, window_start_ms, window_end_ms, generation, revision, settings, rows, is_final]`, each row
//! `[metric, dimension, currency, event_count, revenue_minor, unique_visitors, sketch]`
//! with nil where a metric has no such value; `revenue_minor` is a decimal string, since a sum may
//! exceed 64 bits. Version 1 had neither generation nor settings, version 2 had no `is_final`.

use serde::Serialize;
use serde_bytes::ByteBuf;

use crate::aggregate::Partial;
use crate::letter;
use crate::metrics::{self, Value};
use crate::refused::Refused;

/// Version of the result record's layout.
pub const RESULT_VERSION: u32 = 3;

/// What a submission adds to each of its results. A result of a newer generation replaces one of an older generation,
/// whatever their revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Length of a window in ms.
    pub window_ms: i64,
    /// When a job with these settings was first submitted, ms since the epoch.
    pub generation: i64,
    /// Digest of the settings that decide the rows.
    pub settings: String,
    /// The name of a writer besides the live job, such as a backfill; empty for the live job.
    pub writer: String,
}

#[derive(Serialize)]
struct WindowResult<'a>(u32, i64, i64, i64, u64, &'a str, Vec<Row<'a>>, bool);

#[derive(Serialize, Default)]
struct Row<'a> {
    metric: &'static str,
    dimension: String,
    currency: &'a str,
    event_count: Option<u64>,
    revenue_minor: Option<String>,
    unique_visitors: Option<i64>,
    visitors_sketch: Option<ByteBuf>,
}

impl<'a> From<metrics::Row<'a>> for Row<'a> {
    fn from(row: metrics::Row<'a>) -> Self {
        let metrics::Row { metric, dimension, currency, value } = row;
        let blank = Self { metric, dimension, currency, ..Self::default() };
        match value {
            Value::Count(count) => Self { event_count: Some(count), ..blank },
            Value::Money(minor) => Self { revenue_minor: Some(minor.to_string()), ..blank },
            Value::Distinct(estimate, sketch) => {
                Self { unique_visitors: Some(estimate), visitors_sketch: Some(ByteBuf::from(sketch)), ..blank }
            }
        }
    }
}

/// The result of a window, with its key. The key is the window's start in decimal ms and the writer's name. So the
/// compacted topic keeps the newest result of each window and writer, because each writer writes its own revisions in
/// order. Rows are sorted by metric, then dimension and currency. The result is final when the watermark has passed the
/// window's end.
#[must_use]
pub fn encode(partial: Partial, submission: &Submission, is_final: bool) -> Vec<u8> {
    let partial = &partial.with_orders_counted();
    let rows = partial.rows().into_iter().map(Row::from).collect();
    let start_ms = partial.window_start_ms;
    let result = Finding { start_ms, revision: partial.events(), rows, is_final };
    keyed_result(&start_ms.to_string(), submission, result)
}

/// The counts of refused events of a window, with their key: one row of the metric `dead_letters` for each reason. The
/// key differs from the key of the window's other rows, because those are written at other times.
#[must_use]
pub fn encode_refused(refused: &Refused, submission: &Submission, is_final: bool) -> Vec<u8> {
    let row = |(reason, count): (&String, &u64)| Row {
        metric: "dead_letters",
        dimension: reason.clone(),
        event_count: Some(*count),
        ..Row::default()
    };
    let start_ms = refused.window_start_ms;
    let rows = refused.counts.iter().map(row).collect();
    let result = Finding { start_ms, revision: refused.counts.values().sum(), rows, is_final };
    keyed_result(&format!("dead_letters-{start_ms}"), submission, result)
}

/// What is known of a window.
struct Finding<'a> {
    start_ms: i64,
    revision: u64,
    rows: Vec<Row<'a>>,
    is_final: bool,
}

fn keyed_result(key: &str, submission: &Submission, found: Finding<'_>) -> Vec<u8> {
    let Submission { window_ms, generation, settings, writer } = submission;
    let Finding { start_ms, revision, rows, is_final } = found;
    let key = if writer.is_empty() { key.to_owned() } else { format!("{key}-{writer}") };
    let end_ms = start_ms.saturating_add(*window_ms);
    let result = WindowResult(RESULT_VERSION, start_ms, end_ms, *generation, revision, settings, rows, is_final);
    let Ok(value) = rmp_serde::to_vec(&result) else { unreachable!("plain fields always serialize") };
    letter::keyed(key.as_bytes(), &value)
}
