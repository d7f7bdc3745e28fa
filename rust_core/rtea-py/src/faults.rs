//! The faults of a stream for Python; `rtea_gen.plan` makes them.

use pyo3::prelude::*;

use rtea_generator::fault;

use crate::errors::Error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Faults>()
}

/// Shares and sizes of the faults.
#[pyclass(frozen, module = "rtea._core")]
pub(crate) struct Faults(pub(crate) fault::Faults);

#[pymethods]
impl Faults {
    #[new]
    #[pyo3(signature = (
        *, duplicate = 0.0, disorder = 0.0, late = 0.0, future = 0.0, malformed = 0.0, hot_key = 0.0,
        disorder_ms = 1, late_ms = 0, future_ms = 0, huge_bytes = 0, orders_once = false
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        duplicate: f64,
        disorder: f64,
        late: f64,
        future: f64,
        malformed: f64,
        hot_key: f64,
        disorder_ms: i64,
        late_ms: i64,
        future_ms: i64,
        huge_bytes: usize,
        orders_once: bool,
    ) -> PyResult<Self> {
        let shares = [duplicate, disorder, late, future, malformed];
        let in_range = shares.iter().chain([&hot_key]).all(|share| (0.0..=1.0).contains(share));
        if !in_range || shares.iter().sum::<f64>() > 1.0 {
            return Err(
                Error::Argument(format!("shares of faults {shares:?}: expected 0 to 1, and at most 1 in all")).into()
            );
        }
        Ok(Self(fault::Faults {
            duplicate,
            disorder,
            late,
            future,
            malformed,
            hot_key,
            disorder_ms,
            late_ms,
            future_ms,
            huge_bytes,
            orders_once,
        }))
    }

    /// How long after its end a window may still get events or faults.
    #[getter]
    fn hold_ms(&self) -> i64 {
        self.0.hold_ms()
    }
}
