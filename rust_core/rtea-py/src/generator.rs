//! The generator's model for Python. Behind `rtea_gen.shard` and `rtea_gen.manifest`.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use rtea_core::codec;
use rtea_core::event::{Source, KNOWN_TYPES};
use rtea_generator::clock::{self, Clock};
use rtea_generator::session::Population;
use rtea_generator::stream::{Scribe, Settings, Stream};
use rtea_generator::truth::{Ledger, Window};

use crate::errors::Error;
use crate::events::format_named;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EventStream>()?;
    module.add_class::<EventClock>()?;
    module.add_class::<Rhythm>()?;
    module.add_function(wrap_pyfunction!(merge_truth, module)?)
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

/// Event times by number, and back.
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
struct EventStream {
    seed: u64,
    state: Mutex<State>,
}

struct State {
    stream: Stream,
    scribe: Scribe,
    ledger: Ledger,
}

/// Where key and value of an event lie in a batch's buffer, and its time.
struct Place {
    key: Range<usize>,
    value: Range<usize>,
    time_ms: i64,
}

/// Keys, values, timestamps in ms.
type Batch<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

#[pymethods]
impl EventStream {
    #[new]
    #[pyo3(signature = (*, seed, start_ms, rate_hz, window_ms, lanes, visitors, products, pause_sigma = 1.0, rhythm = None))]
    // Named arguments in Python, where a structure would only be in the way.
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
        rhythm: Option<&Rhythm>,
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
        let population = Population::new(visitors, products);
        let rhythm = rhythm.map_or(clock::Rhythm::FLAT, |rhythm| rhythm.0);
        let stream = Stream::new(Settings { seed, start_ms, rate_hz, rhythm, lanes, pause_sigma, population });
        let state = Mutex::new(State { stream, scribe: Scribe::default(), ledger: Ledger::new(window_ms) });
        Ok(Self { seed, state })
    }

    fn time_ms(&self, number: u64) -> i64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stream.time_ms(number)
    }

    fn batch<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        stride: usize,
        count: usize,
        format: &str,
    ) -> PyResult<Batch<'py>> {
        let format = format_named(format)?;
        if stride == 0 {
            return Err(Error::Argument("stride is 0: expected a positive number".into()).into());
        }
        let (buffer, places) = py.detach(|| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let State { stream, scribe, ledger } = &mut *state;
            let mut buffer = Vec::with_capacity(count * 400);
            let mut places = Vec::with_capacity(count);
            for number in (first..).step_by(stride).take(count) {
                let moment = stream.moment(number);
                ledger.add(&moment);
                let event = scribe.write(&moment, self.seed);
                let key_start = buffer.len();
                buffer.extend_from_slice(event.visitor_id.as_bytes());
                let value_start = buffer.len();
                codec::encode(&event, format, &mut buffer);
                let (key, value) = (key_start..value_start, value_start..buffer.len());
                places.push(Place { key, value, time_ms: moment.time_ms });
            }
            (buffer, places)
        });
        let bytes = |range: &Range<usize>| PyBytes::new(py, &buffer[range.clone()]);
        Ok((
            PyList::new(py, places.iter().map(|place| bytes(&place.key)))?,
            PyList::new(py, places.iter().map(|place| bytes(&place.value)))?,
            PyList::new(py, places.iter().map(|place| place.time_ms))?,
        ))
    }

    fn take_truth<'py>(&self, py: Python<'py>, until_ms: i64) -> Vec<(i64, Bound<'py, PyBytes>)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = state.ledger.take_until(until_ms);
        windows.into_iter().map(|(start_ms, window)| (start_ms, PyBytes::new(py, &window.to_bytes()))).collect()
    }
}

/// Number of events; counts by dimension; revenue by category, currency and minor units; exact
/// visitors of all sources and of each.
type Truth = (u64, Vec<(String, u64)>, Vec<(&'static str, String, i64)>, Vec<(&'static str, u64)>);

#[pyfunction]
fn merge_truth(shards: Vec<Bound<'_, PyBytes>>) -> PyResult<Truth> {
    let mut merged = Window::default();
    for shard in &shards {
        let window = Window::from_bytes(shard.as_bytes())
            .ok_or_else(|| Error::Argument("a shard's window is damaged: expected bytes of take_truth".into()))?;
        merged.merge(&window);
    }
    let counts = Source::ALL.iter().flat_map(|source| {
        KNOWN_TYPES
            .iter()
            .zip(merged.counts[*source as usize])
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (format!("{name}_{}", source.name()), count))
    });
    let revenue = merged.revenue.iter().map(|((category, currency), minor)| {
        (Window::category_name(*category), String::from_utf8_lossy(currency).into_owned(), *minor)
    });
    let visitors = Source::ALL.iter().map(|source| (source.name(), merged.visitors[*source as usize].len()));
    let all = std::iter::once(("all", merged.all_visitors()));
    let uniques = all.chain(visitors).filter(|(_, count)| *count > 0).collect();
    Ok((merged.events, counts.collect(), revenue.collect(), uniques))
}
