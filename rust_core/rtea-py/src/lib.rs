//! The Python extension `rtea._core`: conversions and error mapping, nothing else.
//!
//! Python code uses it through `rtea.events`, `rtea.aggregate` and `rtea_gen`; `rtea/_core.pyi` documents every name.
//! Work on bytes runs without the interpreter's lock.

mod aggregate;
mod errors;
mod events;
mod faults;
mod generator;
mod map;
mod population;
mod sent;

use std::ffi::CStr;

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;

const SLOW: &CStr = c"rtea._core is a debug build, about ten times slower: build it with `maturin develop --release`";

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
    if cfg!(debug_assertions) {
        let category = module.py().get_type::<PyRuntimeWarning>();
        PyErr::warn(module.py(), &category, SLOW, 1)?;
    }
    events::register(module)?;
    map::register(module)?;
    aggregate::register(module)?;
    generator::register(module)?;
    population::register(module)?;
    faults::register(module)?;
    sent::register(module)
}
