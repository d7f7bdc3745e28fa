//! The Python extension `rtea._core`: conversions and error mapping, nothing else.
//!
//! Its Python faces are `rtea.events`, `rtea.aggregate` and `rtea_gen.shard`; `rtea/_core.pyi`
//! documents every name. Work on bytes runs with the interpreter released.

mod aggregate;
mod cast;
mod errors;
mod events;
mod faults;
mod generator;
mod sent;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
    events::register(module)?;
    aggregate::register(module)?;
    generator::register(module)?;
    cast::register(module)?;
    faults::register(module)?;
    sent::register(module)
}
