//! Event maps for Python; `rtea.maps` wraps them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use rtea_core::codec::map::{self, Scratch};
use rtea_core::codec::{self, Format};

use crate::errors::Error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EventMap>()
}

#[pyclass(frozen, module = "rtea._core")]
struct EventMap(map::EventMap);

/// The problem of a refused event: reason, field with its places, and what was expected.
type Problem = (&'static str, String, &'static str);

#[pymethods]
impl EventMap {
    #[new]
    fn new(text: &str) -> PyResult<Self> {
        Ok(Self(map::EventMap::parse(text).map_err(Error::Map)?))
    }

    fn transcode<'py>(&self, py: Python<'py>, value: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.0.decode(value, &mut Scratch::default()).map_err(Error::Event)? {
            None => Ok(None),
            Some(event) => {
                let mut written = Vec::with_capacity(value.len());
                codec::encode(&event, Format::Msgpack, &mut written);
                Ok(Some(PyBytes::new(py, &written)))
            }
        }
    }

    fn explain(&self, value: &[u8]) -> (bool, Option<Problem>, Vec<(&'static str, &'static str)>) {
        let (mapped, report) = self.0.explain(value);
        let fields = report.into_iter().map(|(field, how)| (field, how.name())).collect();
        match mapped {
            Ok(mapped) => (mapped.is_none(), None, fields),
            Err(reject) => {
                let places = self.0.places(reject.field).map(|places| format!(" at {places}")).unwrap_or_default();
                let field = format!("{}{places}", reject.field);
                (false, Some((reject.reason.code(), field, reject.expected)), fields)
            }
        }
    }
}
