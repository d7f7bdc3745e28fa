//! Who takes part in a stream, and its faults, from Python. Behind `rtea_gen.plan`.

use std::collections::HashMap;

use pyo3::prelude::*;

use rtea_core::event::Source;
use rtea_generator::behaviour::{Behaviour, Walker, ACTIONS, LEAVE, STATES};
use rtea_generator::fault;
use rtea_generator::population::{Population, Shares};
use rtea_generator::visitor::Device;

use crate::errors::Error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Cast>()?;
    module.add_class::<Faults>()?;
    module.add_function(wrap_pyfunction!(transitions, module)?)
}

const WALKERS: [(&str, Walker); 3] = [("mobile", Walker::Mobile), ("website", Walker::Website), ("bot", Walker::Bot)];

type Rows = HashMap<String, HashMap<String, HashMap<String, u32>>>;

/// Devices by source: operating system, app version or browser, screen, weight.
type Devices = HashMap<String, Vec<(String, String, String, u32)>>;

/// Shares, transitions and devices of a population.
#[pyclass(frozen, module = "rtea._core")]
pub(crate) struct Cast {
    shares: Shares,
    behaviour: Behaviour,
    devices: [Vec<Device>; 2],
    hot_products: u32,
}

impl Cast {
    pub(crate) fn join(&self, population: &mut Population) {
        population.shares = self.shares;
        population.behaviour = self.behaviour.clone();
        population.hot_products = self.hot_products;
        for (devices, given) in population.devices.iter_mut().zip(&self.devices) {
            if !given.is_empty() {
                devices.clone_from(given);
            }
        }
    }
}

#[pymethods]
impl Cast {
    #[new]
    #[pyo3(signature = (
        *, mobile_share, both_share, account_share, second_device_share, login_share, bot_share, campaign_share,
        hot_share, hot_products, transitions, devices
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        mobile_share: f64,
        both_share: f64,
        account_share: f64,
        second_device_share: f64,
        login_share: f64,
        bot_share: f64,
        campaign_share: f64,
        hot_share: f64,
        hot_products: u32,
        transitions: Rows,
        devices: Devices,
    ) -> PyResult<Self> {
        let shares = Shares {
            mobile: mobile_share,
            both: both_share,
            account: account_share,
            second_device: second_device_share,
            login: login_share,
            bot: bot_share,
            campaign: campaign_share,
            hot: hot_share,
        };
        Ok(Self { shares, behaviour: behaviour(transitions)?, devices: devices_by_source(devices)?, hot_products })
    }
}

fn behaviour(rows: Rows) -> PyResult<Behaviour> {
    let mut behaviour = Behaviour::default();
    for (name, states) in rows {
        let walker = WALKERS.iter().find(|(known, _)| *known == name).map(|(_, walker)| *walker);
        let walker = walker.ok_or_else(|| unknown("walker", &name, &WALKERS.map(|(known, _)| known)))?;
        for (state, weights) in states {
            let row = STATES.iter().position(|known| *known == state);
            let row = row.ok_or_else(|| unknown("state", &state, &STATES))?;
            let mut found = [0; ACTIONS + 1];
            for (next, weight) in weights {
                let mut columns = STATES;
                columns[ACTIONS] = LEAVE;
                let column = columns.iter().position(|known| *known == next);
                found[column.ok_or_else(|| unknown("next state", &next, &columns))?] = weight;
            }
            if !behaviour.replace(walker, row, found) {
                let place = format!("transitions.{name}.{state}");
                return Err(Error::Argument(format!(
                    "{place}: expected a positive weight at least, and a sum of 32 bits"
                ))
                .into());
            }
        }
    }
    Ok(behaviour)
}

fn devices_by_source(devices: Devices) -> PyResult<[Vec<Device>; 2]> {
    let mut found = [Vec::new(), Vec::new()];
    for (name, rows) in devices {
        let source = Source::from_name(&name).ok_or_else(|| unknown("source", &name, &["mobile", "website"]))?;
        if rows.iter().all(|(.., weight)| *weight == 0) {
            return Err(Error::Argument(format!("devices.{name}: expected a positive weight at least")).into());
        }
        found[source as usize] =
            rows.into_iter().map(|(os, program, screen, weight)| Device { os, program, screen, weight }).collect();
    }
    Ok(found)
}

fn unknown(what: &str, found: &str, expected: &[&str]) -> PyErr {
    Error::Argument(format!("{what} {found:?} is unknown: expected one of {}", expected.join(", "))).into()
}

/// The default weights: by walker, state and next state; zeros are left out.
#[pyfunction]
fn transitions() -> HashMap<&'static str, HashMap<&'static str, HashMap<&'static str, u32>>> {
    let behaviour = Behaviour::default();
    let row = |weights: &[u32]| {
        let names = STATES[..ACTIONS].iter().chain([&LEAVE]).copied();
        names.zip(weights.iter().copied()).filter(|(_, weight)| *weight > 0).collect()
    };
    let table = |walker| STATES.into_iter().zip(behaviour.table(walker)).map(|(state, weights)| (state, row(weights)));
    WALKERS.into_iter().map(|(name, walker)| (name, table(walker).collect())).collect()
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

    /// How long after its end a window may still gain events or faults.
    #[getter]
    fn hold_ms(&self) -> i64 {
        self.0.hold_ms()
    }
}
