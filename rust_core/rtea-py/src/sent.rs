//! The events that a topic already has, for Python; `rtea_gen.resume` uses them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use rtea_generator::sent::Sent;

use crate::errors::Error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SentNumbers>()
}

#[pyclass(frozen, module = "rtea._core")]
struct SentNumbers {
    seed: u64,
    sent: Mutex<Sent>,
}

impl SentNumbers {
    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl SentNumbers {
    #[new]
    #[pyo3(signature = (*, seed))]
    fn new(seed: u64) -> Self {
        Self { seed, sent: Mutex::default() }
    }

    fn add_value(&self, value: &Bound<'_, PyBytes>) -> bool {
        self.lock().add_value(value.as_bytes(), self.seed)
    }

    fn add(&self, number: u64, is_copy: bool) {
        self.lock().add(number, is_copy);
    }

    fn contains(&self, number: u64, is_copy: bool) -> bool {
        self.lock().contains(number, is_copy)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.lock().to_bytes())
    }

    #[staticmethod]
    fn from_bytes(bytes: &[u8], seed: u64) -> PyResult<Self> {
        let sent = Sent::from_bytes(bytes)
            .ok_or_else(|| Error::Argument("numbers are damaged: expected bytes of to_bytes".into()))?;
        Ok(Self { seed, sent: Mutex::new(sent) })
    }
}
