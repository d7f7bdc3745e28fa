//! Folding, merging and sketches for Python; `rtea.aggregate` wraps them.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use rtea_core::aggregate::Partial;
use rtea_core::codec::map::EventMap;
use rtea_core::dimension::Policy;
use rtea_core::fold::{self, Settings};
use rtea_core::letter;
use rtea_core::metrics::{Metrics, Series};
use rtea_core::pack::{self, Record};
use rtea_core::refused::Refused;
use rtea_core::result::{self, Submission};
use rtea_core::sketch::{self, InvalidSketch, Sketch};
use rtea_core::state;

use crate::errors::Error;
use crate::events::format_named;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SKETCH_STANDARD_ERROR", sketch::STANDARD_ERROR)?;
    module.add("METRICS", registry())?;
    module.add_class::<Folder>()?;
    module.add_function(wrap_pyfunction!(pack_records, module)?)?;
    module.add_function(wrap_pyfunction!(merge_partials, module)?)?;
    module.add_function(wrap_pyfunction!(accumulate, module)?)?;
    module.add_function(wrap_pyfunction!(split_orders, module)?)?;
    module.add_function(wrap_pyfunction!(describe_partial, module)?)?;
    module.add_function(wrap_pyfunction!(encode_result, module)?)?;
    module.add_function(wrap_pyfunction!(encode_late, module)?)?;
    module.add_function(wrap_pyfunction!(count_late, module)?)?;
    module.add_function(wrap_pyfunction!(merge_refused, module)?)?;
    module.add_function(wrap_pyfunction!(describe_refused, module)?)?;
    module.add_function(wrap_pyfunction!(encode_refused, module)?)?;
    module.add_function(wrap_pyfunction!(build_sketch, module)?)?;
    module.add_function(wrap_pyfunction!(merge_sketches, module)?)?;
    module.add_function(wrap_pyfunction!(estimate_sketch, module)?)
}

type Described = (&'static str, &'static str, &'static str, &'static str);

/// Name of each metric, with name, dimension, unit and description of its series.
fn registry() -> Vec<(&'static str, Vec<Described>)> {
    let described = |series: &Series| (series.name, series.dimension, series.unit.name(), series.description);
    Metrics::LIST.iter().map(|(name, series)| (*name, series.iter().map(described).collect())).collect()
}

#[pyclass(frozen, module = "rtea._core")]
struct Folder(Settings);

/// Window start and bytes of the batch's partials, its dead letters, the bytes of their counts, and its progress:
/// partition, next offset and event time.
type FoldedBytes<'py> =
    (Vec<(i64, Bound<'py, PyBytes>)>, Bound<'py, PyList>, Bound<'py, PyList>, (i32, i64, Option<i64>));

#[pymethods]
impl Folder {
    #[new]
    #[pyo3(signature = (*, window_ms, max_skew_ms, span_ms, max_event_bytes, max_letter_bytes, topic, max_dimensions, event_types, categories, currencies, deduplicate_orders, metrics, top_products, event_map, format))]
    #[expect(clippy::too_many_arguments, reason = "each is named by its caller")]
    fn new(
        window_ms: i64,
        max_skew_ms: i64,
        span_ms: Option<(i64, i64)>,
        max_event_bytes: usize,
        max_letter_bytes: usize,
        topic: String,
        max_dimensions: u32,
        event_types: Vec<String>,
        categories: Vec<String>,
        currencies: Vec<String>,
        deduplicate_orders: bool,
        metrics: Vec<String>,
        top_products: u32,
        event_map: Option<&str>,
        format: Option<&str>,
    ) -> PyResult<Self> {
        if window_ms <= 0 {
            return Err(Error::Argument(format!("window_ms is {window_ms}: expected a positive number")).into());
        }
        let bits = Metrics::bits(metrics.iter().map(String::as_str))
            .ok_or_else(|| Error::Argument(format!("metrics is {metrics:?}: expected names in METRICS")))?;
        let policy = Policy {
            limit: max_dimensions,
            event_types: event_types.into_iter().collect(),
            categories: categories.into_iter().collect(),
            currencies: currencies.into_iter().collect(),
            deduplicate_orders,
            metrics: bits,
            top_products,
        };
        let span_ms = span_ms.map_or(fold::ALL_TIME, |(from_ms, to_ms)| from_ms..to_ms);
        let map = event_map.map(EventMap::parse).transpose().map_err(Error::Map)?;
        let format = format.map(format_named).transpose()?;
        Ok(Self(Settings {
            window_ms,
            max_skew_ms,
            span_ms,
            max_event_bytes,
            max_letter_bytes,
            topic,
            policy,
            map,
            format,
        }))
    }

    fn fold<'py>(&self, py: Python<'py>, batch: &[u8], now_ms: i64) -> PyResult<FoldedBytes<'py>> {
        let folded = py.detach(|| {
            let folded = fold::fold(batch, now_ms, &self.0)?;
            let partials: Vec<_> = folded.partials.iter().map(|each| (each.window_start_ms, each.to_bytes())).collect();
            let refused: Vec<_> = folded.refused.iter().map(Refused::to_bytes).collect();
            Ok((partials, folded.dead_letters, refused, folded.progress))
        });
        let (partials, dead_letters, refused, progress) = folded.map_err(Error::Batch)?;
        let partials = partials.iter().map(|(start_ms, bytes)| (*start_ms, PyBytes::new(py, bytes))).collect();
        let progress = (progress.partition, progress.next_offset, progress.event_time_ms);
        Ok((partials, list(py, &dead_letters)?, list(py, &refused)?, progress))
    }
}

fn list<'py>(py: Python<'py>, values: &[Vec<u8>]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, values.iter().map(|value| PyBytes::new(py, value)))
}

#[pyfunction]
fn pack_records<'py>(
    py: Python<'py>,
    partition: i32,
    next_offset: i64,
    records: Vec<(i64, i64, Option<Bound<'py, PyBytes>>)>,
) -> Bound<'py, PyBytes> {
    let mut batch = Vec::new();
    pack::write_header(partition, next_offset, &mut batch);
    for (offset, timestamp_ms, value) in &records {
        let value = value.as_ref().map(|value| value.as_bytes());
        pack::write_record(&Record { offset: *offset, timestamp_ms: *timestamp_ms, value }, &mut batch);
    }
    PyBytes::new(py, &batch)
}

#[pyfunction]
fn merge_partials<'py>(py: Python<'py>, partials: Vec<Bound<'py, PyBytes>>) -> PyResult<Bound<'py, PyBytes>> {
    let bytes: Vec<&[u8]> = partials.iter().map(|partial| partial.as_bytes()).collect();
    let merged = py.detach(|| {
        let (first, rest) = bytes.split_first().ok_or_else(|| Error::Argument("no partials to merge".to_owned()))?;
        let mut merged = Partial::from_bytes(first).map_err(Error::State)?;
        for partial in rest {
            let other = Partial::from_bytes(partial).map_err(Error::State)?;
            merged.merge(&other).map_err(|other| Error::State(other.into()))?;
        }
        Ok::<_, Error>(merged.to_bytes())
    });
    Ok(PyBytes::new(py, &merged?))
}

#[pyfunction]
fn accumulate<'py>(py: Python<'py>, window: &[u8], partial: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let accumulated = py.detach(|| state::accumulate(window, partial));
    Ok(PyBytes::new(py, &accumulated.map_err(Error::State)?))
}

#[pyfunction]
fn split_orders<'py>(py: Python<'py>, partial: &[u8]) -> PyResult<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)> {
    let mut partial = Partial::from_bytes(partial).map_err(Error::State)?;
    let orders = partial.take_orders().map(|orders| PyBytes::new(py, &orders.to_bytes()));
    Ok((PyBytes::new(py, &partial.to_bytes()), orders))
}

#[pyfunction]
fn describe_partial(partial: &[u8]) -> PyResult<(i64, u64)> {
    let partial = Partial::from_bytes(partial).map_err(Error::State)?;
    Ok((partial.window_start_ms, partial.events()))
}

#[pyfunction]
#[pyo3(signature = (partial, *, window_ms, generation, settings, writer, is_final))]
fn encode_result<'py>(
    py: Python<'py>,
    partial: &[u8],
    window_ms: i64,
    generation: i64,
    settings: String,
    writer: String,
    is_final: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let submission = Submission { window_ms, generation, settings, writer };
    let encoded =
        py.detach(|| Partial::from_bytes(partial).map(|partial| result::encode(partial, &submission, is_final)));
    Ok(PyBytes::new(py, &encoded.map_err(Error::State)?))
}

#[pyfunction]
fn encode_late<'py>(
    py: Python<'py>,
    partial: &[u8],
    topic: &str,
    max_letter_bytes: usize,
) -> PyResult<Bound<'py, PyList>> {
    let partial = Partial::from_bytes(partial).map_err(Error::State)?;
    list(py, &letter::late_letters(partial, topic, max_letter_bytes))
}

#[pyfunction]
fn count_late<'py>(py: Python<'py>, partial: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let partial = Partial::from_bytes(partial).map_err(Error::State)?;
    Ok(PyBytes::new(py, &Refused::late(&partial).to_bytes()))
}

#[pyfunction]
fn merge_refused<'py>(py: Python<'py>, first: &[u8], second: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut merged = Refused::from_bytes(first).map_err(Error::State)?;
    merged.merge(&Refused::from_bytes(second).map_err(Error::State)?).map_err(Error::State)?;
    Ok(PyBytes::new(py, &merged.to_bytes()))
}

#[pyfunction]
fn describe_refused(refused: &[u8]) -> PyResult<(i64, BTreeMap<String, u64>)> {
    let refused = Refused::from_bytes(refused).map_err(Error::State)?;
    Ok((refused.window_start_ms, refused.counts))
}

#[pyfunction]
#[pyo3(signature = (refused, *, window_ms, generation, settings, writer, is_final))]
fn encode_refused<'py>(
    py: Python<'py>,
    refused: &[u8],
    window_ms: i64,
    generation: i64,
    settings: String,
    writer: String,
    is_final: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let refused = Refused::from_bytes(refused).map_err(Error::State)?;
    let submission = Submission { window_ms, generation, settings, writer };
    Ok(PyBytes::new(py, &result::encode_refused(&refused, &submission, is_final)))
}

#[pyfunction]
fn build_sketch<'py>(py: Python<'py>, values: Vec<Bound<'py, PyBytes>>) -> Bound<'py, PyBytes> {
    let mut sketch = Sketch::new();
    values.iter().for_each(|value| sketch.add(value.as_bytes()));
    PyBytes::new(py, &sketch.to_bytes())
}

#[pyfunction]
fn merge_sketches<'py>(py: Python<'py>, sketches: Vec<Bound<'py, PyBytes>>) -> PyResult<Bound<'py, PyBytes>> {
    let bytes: Vec<&[u8]> = sketches.iter().map(|sketch| sketch.as_bytes()).collect();
    let merged = py.detach(|| {
        let mut merged = Sketch::new();
        for sketch in bytes {
            merged.merge(&Sketch::from_bytes(sketch)?);
        }
        Ok::<_, InvalidSketch>(merged.to_bytes())
    });
    Ok(PyBytes::new(py, &merged.map_err(Error::Sketch)?))
}

#[pyfunction]
fn estimate_sketch(sketch: &[u8]) -> PyResult<i64> {
    Ok(Sketch::from_bytes(sketch).map_err(Error::Sketch)?.estimate())
}
