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
use crate::event::Source;
use crate::letter;
use crate::refused::Refused;
use crate::sketch::Sketch;

/// Version of the result record's layout.
pub const RESULT_VERSION: u32 = 3;

/// The dimension of the unique visitors of all sources together.
pub const ALL_SOURCES: &str = "all";

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

/// The result of a window, with its key. The key is the window's start in decimal ms and the writer's name. So the
/// compacted topic keeps the newest result of each window and writer, because each writer writes its own revisions in
/// order. Rows are sorted by metric, then dimension and currency. The result is final when the watermark has passed the
/// window's end.
#[must_use]
pub fn encode(partial: Partial, submission: &Submission, is_final: bool) -> Vec<u8> {
    let partial = &partial.with_orders_counted();
    let mut rows = event_counts(partial);
    rows.extend(revenue(partial));
    rows.extend(unique_visitors(partial));
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

fn event_counts(partial: &Partial) -> Vec<Row<'_>> {
    let mut rows: Vec<_> = partial
        .counts()
        .flat_map(|(name, counts)| {
            Source::ALL.map(|source| (format!("{name}_{}", source.name()), counts[source as usize]))
        })
        .filter(|(_, count)| *count > 0)
        .map(|(dimension, count)| Row { metric: "event_count", dimension, event_count: Some(count), ..Row::default() })
        .collect();
    rows.sort_unstable_by(|a, b| a.dimension.cmp(&b.dimension));
    rows
}

fn revenue(partial: &Partial) -> Vec<Row<'_>> {
    let mut rows: Vec<_> = partial
        .revenue()
        .map(|(currency, category, minor)| Row {
            metric: "revenue",
            dimension: category.to_owned(),
            currency,
            revenue_minor: Some(minor.to_string()),
            ..Row::default()
        })
        .collect();
    rows.sort_unstable_by(|a, b| (&a.dimension, a.currency).cmp(&(&b.dimension, b.currency)));
    rows
}

fn unique_visitors(partial: &Partial) -> Vec<Row<'static>> {
    let mut all = Sketch::new();
    Source::ALL.iter().for_each(|source| all.merge(partial.visitors(*source)));
    let per_source = Source::ALL.iter().map(|source| (source.name(), partial.visitors(*source)));
    std::iter::once((ALL_SOURCES, &all))
        .chain(per_source)
        .filter(|(_, sketch)| !sketch.is_empty())
        .map(|(dimension, sketch)| Row {
            metric: "unique_visitors",
            dimension: dimension.to_owned(),
            unique_visitors: Some(sketch.estimate()),
            visitors_sketch: Some(ByteBuf::from(sketch.to_bytes())),
            ..Row::default()
        })
        .collect()
}
