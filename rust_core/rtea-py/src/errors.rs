//! Turns Rust's errors into Python exceptions; no other module does. The classes of the exceptions are in
//! `rtea.errors`.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use rtea_core::codec::map::InvalidMap;
use rtea_core::pack::InvalidBatch;
use rtea_core::reject::Reject;
use rtea_core::sketch::InvalidSketch;
use rtea_core::state::StateError;

/// Every error the extension raises.
pub(crate) enum Error {
    Event(Reject),
    Map(InvalidMap),
    Batch(InvalidBatch),
    State(StateError),
    Sketch(InvalidSketch),
    Argument(String),
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        Python::attach(|py| match error {
            Error::Event(reject) => {
                raise(py, "InvalidEventError", (reject.reason.code(), reject.field, reject.expected))
            }
            Error::Map(InvalidMap { line, problem }) => raise(py, "InvalidMapError", (line, problem)),
            Error::Batch(problem) => raise(py, "InvalidBatchError", (problem.to_string(),)),
            Error::State(problem) => raise(py, "StateError", (problem.to_string(),)),
            Error::Sketch(problem) => raise(py, "StateError", (problem.to_string(),)),
            Error::Argument(problem) => pyo3::exceptions::PyValueError::new_err(problem),
        })
    }
}

fn raise<'py>(py: Python<'py>, class: &str, arguments: impl PyCallArgs<'py>) -> PyErr {
    let class = py.import("rtea.errors").and_then(|errors| errors.getattr(class));
    match class.and_then(|class| class.call1(arguments)) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}
