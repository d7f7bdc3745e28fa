//! The generator's model for Python; `rtea_gen.plan`, `rtea_gen.outlet` and `rtea_gen.truth` use it.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use rtea_core::event::KNOWN_TYPES;
use rtea_core::source::Source;
use rtea_generator::clock::{self, Clock};
use rtea_generator::fault::Fault;
use rtea_generator::feed::{Feed, Record};
use rtea_generator::partition;
use rtea_generator::population::{Population, MOST_VISITORS};
use rtea_generator::shop::Row;
use rtea_generator::stream::Settings;
use rtea_generator::truth::Window;

use crate::errors::Error;
use crate::events::format_named;
use crate::faults::Faults;
use crate::population::PopulationSettings;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EventStream>()?;
    module.add_class::<EventClock>()?;
    module.add_class::<Rhythm>()?;
    module.add_function(wrap_pyfunction!(partition_of, module)?)?;
    module.add_function(wrap_pyfunction!(merge_truth, module)?)
}

/// The partition that Kafka's producers choose for a key.
#[pyfunction]
fn partition_of(key: &[u8], partitions: u32) -> u32 {
    partition::partition_of(key, partitions)
}

/// How the rate changes over time.
#[pyclass(frozen, module = "rtea._core")]
struct Rhythm(clock::Rhythm);

#[pymethods]
impl Rhythm {
    #[new]
    #[pyo3(signature = (*, daily, peak_hour, weekly, sale_every_ms, sale_length_ms, sale_factor, ramp_ms))]
    fn new(
        daily: f64,
        peak_hour: f64,
        weekly: f64,
        sale_every_ms: i64,
        sale_length_ms: i64,
        sale_factor: f64,
        ramp_ms: i64,
    ) -> Self {
        Self(clock::Rhythm { daily, peak_hour, weekly, sale_every_ms, sale_length_ms, sale_factor, ramp_ms })
    }
}

/// The times of event numbers, and the numbers of times.
#[pyclass(frozen, module = "rtea._core")]
struct EventClock(Mutex<Clock>);

#[pymethods]
impl EventClock {
    #[new]
    #[pyo3(signature = (*, start_ms, rate_hz, rhythm))]
    fn new(start_ms: i64, rate_hz: u64, rhythm: &Rhythm) -> PyResult<Self> {
        if rate_hz == 0 {
            return Err(Error::Argument("rate_hz 0: expected a positive number".into()).into());
        }
        Ok(Self(Mutex::new(Clock::new(start_ms, rate_hz, rhythm.0))))
    }

    fn time_ms(&self, number: u64) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).time_ms(number)
    }

    fn number_at(&self, time_ms: i64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).number_at(time_ms)
    }
}

#[pyclass(frozen, module = "rtea._core")]
struct EventStream(Mutex<Feed>);

/// Keys, values, timestamps in ms.
type Batch<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

/// Key, value, timestamp in ms, event number, fault.
type PyRecord<'py> = (Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>, i64, u64, Option<&'static str>);

impl EventStream {
    /// Lets the feed work without the interpreter's lock, and returns what it wrote.
    fn fill(&self, py: Python<'_>, work: impl FnOnce(&mut Feed, &mut Vec<u8>, &mut Vec<Record>) + Send) -> Filled {
        py.detach(|| {
            let mut feed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut filled = Filled::default();
            work(&mut feed, &mut filled.buffer, &mut filled.records);
            filled
        })
    }
}

#[derive(Default)]
struct Filled {
    buffer: Vec<u8>,
    records: Vec<Record>,
}

impl Filled {
    fn bytes<'py>(&self, py: Python<'py>, range: &Range<usize>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.buffer[range.clone()])
    }

    fn records<'py>(&self, py: Python<'py>) -> Vec<PyRecord<'py>> {
        let record = |record: &Record| {
            let value = record.value.as_ref().map(|range| self.bytes(py, range));
            (self.bytes(py, &record.key), value, record.time_ms, record.number, record.fault.map(Fault::name))
        };
        self.records.iter().map(record).collect()
    }
}

fn checked_stride(stride: usize) -> PyResult<usize> {
    if stride == 0 {
        return Err(Error::Argument("stride is 0: expected a positive number".into()).into());
    }
    Ok(stride)
}

#[pymethods]
impl EventStream {
    #[new]
    #[pyo3(signature = (
        *, seed, start_ms, rate_hz, window_ms, lanes, visitors, products,
        pause_sigma = 1.0, activity = 0.5, popularity = 0.9, rhythm = None, population_settings = None, faults = None, has_shop = false
    ))]
    // Python passes these as named arguments; a structure would add nothing.
    #[allow(clippy::too_many_arguments)]
    fn new(
        seed: u64,
        start_ms: i64,
        rate_hz: u64,
        window_ms: i64,
        lanes: u64,
        visitors: u32,
        products: u32,
        pause_sigma: f64,
        activity: f64,
        popularity: f64,
        rhythm: Option<&Rhythm>,
        population_settings: Option<&PopulationSettings>,
        faults: Option<&Faults>,
        has_shop: bool,
    ) -> PyResult<Self> {
        if !(0.0..=3.0).contains(&pause_sigma) {
            return Err(Error::Argument(format!("pause_sigma {pause_sigma}: expected 0 to 3")).into());
        }
        if rate_hz == 0 || window_ms <= 0 || lanes == 0 || visitors == 0 || products == 0 {
            let found = format!(
                "rate_hz {rate_hz}, window_ms {window_ms}, lanes {lanes}, visitors {visitors}, products {products}"
            );
            return Err(Error::Argument(format!("{found}: expected positive numbers")).into());
        }
        if visitors > MOST_VISITORS {
            return Err(Error::Argument(format!("visitors {visitors}: expected at most {MOST_VISITORS}")).into());
        }
        let mut population = Population::new(visitors, products, activity, popularity);
        if let Some(population_settings) = population_settings {
            population_settings.join(&mut population);
        }
        let rhythm = rhythm.map_or(clock::Rhythm::FLAT, |rhythm| rhythm.0);
        let settings = Settings { seed, start_ms, rate_hz, rhythm, lanes, pause_sigma, population };
        Ok(Self(Mutex::new(Feed::new(settings, window_ms, has_shop, faults.map(|faults| faults.0)))))
    }

    fn batch<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        stride: usize,
        count: usize,
        format: &str,
    ) -> PyResult<Batch<'py>> {
        let (format, stride) = (format_named(format)?, checked_stride(stride)?);
        let filled = self.fill(py, |feed, buffer, records| {
            buffer.reserve(count * 400);
            records.reserve(count);
            feed.write((first, stride, count), format, buffer, records);
        });
        let records = &filled.records;
        let value = |record: &Record| record.value.as_ref().map(|range| filled.bytes(py, range));
        Ok((
            PyList::new(py, records.iter().map(|record| filled.bytes(py, &record.key)))?,
            PyList::new(py, records.iter().map(value))?,
            PyList::new(py, records.iter().map(|record| record.time_ms))?,
        ))
    }

    fn records<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        stride: usize,
        count: usize,
        format: &str,
    ) -> PyResult<Vec<PyRecord<'py>>> {
        let (format, stride) = (format_named(format)?, checked_stride(stride)?);
        let filled = self.fill(py, |feed, buffer, records| feed.write((first, stride, count), format, buffer, records));
        Ok(filled.records(py))
    }

    fn values<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        stride: usize,
        count: usize,
        format: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (format, stride) = (format_named(format)?, checked_stride(stride)?);
        let filled = self.fill(py, |feed, buffer, _| feed.write_values((first, stride, count), format, buffer));
        Ok(PyBytes::new(py, &filled.buffer))
    }

    fn finish_values<'py>(&self, py: Python<'py>, end_ms: i64, format: &str) -> PyResult<Bound<'py, PyBytes>> {
        let format = format_named(format)?;
        let filled = self.fill(py, |feed, buffer, _| feed.finish_values(end_ms, format, buffer));
        Ok(PyBytes::new(py, &filled.buffer))
    }

    fn finish<'py>(&self, py: Python<'py>, end_ms: i64, format: &str) -> PyResult<Vec<PyRecord<'py>>> {
        let format = format_named(format)?;
        Ok(self.fill(py, |feed, buffer, records| feed.finish(end_ms, format, buffer, records)).records(py))
    }

    fn take_truth<'py>(&self, py: Python<'py>, until_ms: i64) -> Vec<(i64, Bound<'py, PyBytes>)> {
        let mut feed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = feed.ledger().take_until(until_ms);
        windows.into_iter().map(|(start_ms, window)| (start_ms, PyBytes::new(py, &window.to_bytes()))).collect()
    }
}

type Counts<T> = Vec<(T, u64)>;

/// Number of events; counts by dimension; revenue by category and currency, in minor units; exact number of visitors,
/// of all sources and of each; counts of faults; the rows of other metrics.
type Truth = (u64, Counts<String>, Vec<(String, String, i64)>, Counts<&'static str>, Counts<&'static str>, Vec<Row>);

#[pyfunction]
fn merge_truth(shards: Vec<Bound<'_, PyBytes>>, categories: Vec<String>, top_products: usize) -> PyResult<Truth> {
    let mut merged = Window::default();
    for shard in &shards {
        let window = Window::from_bytes(shard.as_bytes())
            .ok_or_else(|| Error::Argument("a shard's window is damaged: expected bytes of take_truth".into()))?;
        merged.merge(&window);
    }
    let counts = Source::OWN.iter().flat_map(|source| {
        KNOWN_TYPES
            .iter()
            .zip(merged.counts[source.index()])
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (format!("{name}_{}", source.name()), count))
    });
    let revenue = merged.revenue.iter().map(|((category, currency), minor)| {
        let name = categories.get(*category as usize).ok_or_else(|| {
            Error::Argument(format!("category {category}: expected one of the {} of the stream", categories.len()))
        })?;
        Ok((name.clone(), String::from_utf8_lossy(currency).into_owned(), *minor))
    });
    let revenue = revenue.collect::<PyResult<_>>()?;
    let visitors = Source::OWN.iter().map(|source| (source.name(), merged.visitors[source.index()].len()));
    let all = std::iter::once(("all", merged.all_visitors()));
    let uniques = all.chain(visitors).filter(|(_, count)| *count > 0).collect();
    let others = merged.shop.as_ref().map_or_else(Vec::new, |shop| shop.rows(top_products));
    Ok((merged.events, counts.collect(), revenue, uniques, merged.fault_counts().collect(), others))
}
