//! Validation and transcoding of events for Python; `rtea.events` wraps them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use rtea_core::codec::{self, Format};
use rtea_core::event;
use rtea_core::reject::Reason;

use crate::errors::Error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("REASONS", Reason::ALL.map(Reason::code).to_vec())?;
    module.add_function(wrap_pyfunction!(minor_digits, module)?)?;
    module.add_function(wrap_pyfunction!(transcode, module)?)
}

pub(crate) fn format_named(name: &str) -> Result<Format, Error> {
    Format::from_name(name).ok_or_else(|| {
        let known = Format::ALL.map(Format::name).join(" or ");
        Error::Argument(format!("format {name:?} is unknown: expected {known}"))
    })
}

#[pyfunction]
fn minor_digits(currency: &str) -> u32 {
    event::minor_digits(currency)
}

#[pyfunction]
fn transcode<'py>(py: Python<'py>, value: &[u8], format: &str) -> PyResult<Bound<'py, PyBytes>> {
    let format = format_named(format)?;
    let written = py.detach(|| {
        let event = codec::decode(value)?;
        let mut written = Vec::with_capacity(value.len() + 64);
        codec::encode(&event, format, &mut written);
        Ok(written)
    });
    Ok(PyBytes::new(py, &written.map_err(Error::Event)?))
}
