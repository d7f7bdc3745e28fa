//! Converts the settings of a population from Python and back; `rtea_gen.plan` uses it.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use rtea_core::source::Source;
use rtea_generator::behaviour::{Behaviour, Walker, ACTIONS, LEAVE, STATES};
use rtea_generator::catalogue::{Catalogue, Category, HIGHEST_MINOR, MOST_CATEGORIES};
use rtea_generator::mixes::{Country, Device, Mixes};
use rtea_generator::population::{Population, Shares};
use rtea_generator::weighted::Weighted;

use crate::errors::Error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PopulationSettings>()
}

const WALKERS: [(&str, Walker); 3] = [("mobile", Walker::Mobile), ("website", Walker::Website), ("bot", Walker::Bot)];

type Rows = HashMap<String, HashMap<String, HashMap<String, u32>>>;

/// Operating system, app version or browser, screen, weight.
type DeviceRow = (String, String, String, u32);

/// Code, locale, currency, weight.
type CountryRow = (String, String, String, u32);

/// Name, lowest and highest price in minor units.
type CategoryRow = (String, u32, u32);

/// Name or address, weight.
type NameRow = (String, u32);

/// All settings of a population except its size. Settings that are not given keep the model's own values.
#[pyclass(frozen, module = "rtea._core")]
pub(crate) struct PopulationSettings {
    shares: Shares,
    behaviour: Behaviour,
    mixes: Mixes,
    catalogue: Arc<Catalogue>,
    hot_products: u32,
}

impl PopulationSettings {
    pub(crate) fn join(&self, population: &mut Population) {
        population.shares = self.shares;
        population.behaviour = self.behaviour.clone();
        population.mixes = self.mixes.clone();
        population.catalogue = Arc::clone(&self.catalogue);
        population.hot_products = self.hot_products;
    }
}

#[pymethods]
impl PopulationSettings {
    #[new]
    #[pyo3(signature = (
        *, mobile_share, both_share, account_share, second_device_share, login_share, bot_share, campaign_share,
        hot_share, hot_products, transitions, devices, countries, referrers, campaigns, search_terms, categories
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
        devices: HashMap<String, Vec<DeviceRow>>,
        countries: Vec<CountryRow>,
        referrers: Vec<NameRow>,
        campaigns: HashMap<String, Vec<NameRow>>,
        search_terms: Vec<String>,
        categories: Vec<CategoryRow>,
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
        let mixes = mixes(devices, &countries, referrers, campaigns, search_terms)?;
        let catalogue = catalogue(&categories)?;
        Ok(Self { shares, behaviour: behaviour(transitions)?, mixes, catalogue, hot_products })
    }

    /// The values in use, by the names of their settings. Transitions with weight zero are left out.
    fn model<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = PyDict::new(py);
        let mixes = &self.mixes;
        let device = |(device, weight): &(Device, u32)| {
            (device.os.clone(), device.program.clone(), device.screen.clone(), *weight)
        };
        let country = |(country, weight): &(Country, u32)| {
            (country.code.clone(), country.locale.clone(), country.currency().to_owned(), *weight)
        };
        let referrer = |(page, weight): &(Option<String>, u32)| (page.clone().unwrap_or_default(), *weight);
        let category = |found: &Category| (found.name.clone(), found.lowest_minor, found.highest_minor);
        model.set_item("transitions", transitions(&self.behaviour))?;
        model.set_item("devices", by_source(&mixes.devices, device))?;
        model.set_item("countries", listed(&mixes.countries, country))?;
        model.set_item("referrers", listed(&mixes.referrers, referrer))?;
        model.set_item("campaigns", by_source(&mixes.campaigns, Clone::clone))?;
        model.set_item("search_terms", &mixes.search_terms)?;
        model.set_item("categories", self.catalogue.categories().iter().map(category).collect::<Vec<_>>())?;
        Ok(model)
    }
}

fn listed<T, R>(mix: &Weighted<T>, row: impl Fn(&(T, u32)) -> R) -> Vec<R> {
    mix.entries().iter().map(row).collect()
}

fn by_source<T, R>(mixes: &[Weighted<T>; 2], row: impl Fn(&(T, u32)) -> R) -> HashMap<&'static str, Vec<R>> {
    Source::OWN.into_iter().map(|source| (source.name(), listed(&mixes[source.index()], &row))).collect()
}

fn transitions(behaviour: &Behaviour) -> HashMap<&str, HashMap<&str, HashMap<&str, u32>>> {
    let row = |weights: &[u32]| {
        let names = STATES[..ACTIONS].iter().chain([&LEAVE]).copied();
        names.zip(weights.iter().copied()).filter(|(_, weight)| *weight > 0).collect()
    };
    let table = |walker| STATES.into_iter().zip(behaviour.table(walker)).map(|(state, weights)| (state, row(weights)));
    WALKERS.into_iter().map(|(name, walker)| (name, table(walker).collect())).collect()
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
                    "{place}: expected a positive weight, and a sum of weights below 2^32"
                ))
                .into());
            }
        }
    }
    Ok(behaviour)
}

fn mixes(
    devices: HashMap<String, Vec<DeviceRow>>,
    countries: &[CountryRow],
    referrers: Vec<NameRow>,
    campaigns: HashMap<String, Vec<NameRow>>,
    search_terms: Vec<String>,
) -> PyResult<Mixes> {
    let mut mixes = Mixes::default();
    for (name, rows) in devices {
        let found = rows.into_iter().map(|(os, program, screen, weight)| (Device { os, program, screen }, weight));
        mixes.devices[source_named(&name)?.index()] = weighted(&format!("devices.{name}"), found.collect())?;
    }
    for (name, rows) in campaigns {
        mixes.campaigns[source_named(&name)?.index()] = weighted(&format!("campaigns.{name}"), rows)?;
    }
    if !countries.is_empty() {
        mixes.countries = weighted("countries", countries.iter().map(country).collect::<PyResult<_>>()?)?;
    }
    if !referrers.is_empty() {
        let found = referrers.into_iter().map(|(page, weight)| ((!page.is_empty()).then_some(page), weight));
        mixes.referrers = weighted("referrers", found.collect())?;
    }
    if !search_terms.is_empty() {
        mixes.search_terms = search_terms;
    }
    Ok(mixes)
}

fn country((code, locale, currency, weight): &CountryRow) -> PyResult<(Country, u32)> {
    let country = Country::new(code, locale, currency);
    let problem =
        || Error::Argument(format!("countries: currency {currency:?} of {code:?}: expected three capital letters"));
    Ok((country.ok_or_else(problem)?, *weight))
}

fn catalogue(rows: &[CategoryRow]) -> PyResult<Arc<Catalogue>> {
    if rows.is_empty() {
        return Ok(Catalogue::of_the_model());
    }
    let category = |(name, lowest, highest): &CategoryRow| {
        let problem = || {
            Error::Argument(format!(
                "categories: {name:?} from {lowest} to {highest}: expected a name of 1 to 64 characters, and prices \
                 from 1 to {HIGHEST_MINOR}, the lowest first"
            ))
        };
        Ok(Category::new(name, *lowest, *highest).ok_or_else(problem)?)
    };
    let categories = rows.iter().map(category).collect::<PyResult<_>>()?;
    let problem = || Error::Argument(format!("categories: expected at most {MOST_CATEGORIES}, each name once"));
    Ok(Arc::new(Catalogue::new(categories).ok_or_else(problem)?))
}

fn weighted<T>(place: &str, entries: Vec<(T, u32)>) -> PyResult<Weighted<T>> {
    let problem = || Error::Argument(format!("{place}: expected a positive weight")).into();
    Weighted::new(entries).ok_or_else(problem)
}

fn source_named(name: &str) -> PyResult<Source> {
    Source::own(name).ok_or_else(|| unknown("source", name, &["mobile", "website"]))
}

fn unknown(what: &str, found: &str, expected: &[&str]) -> PyErr {
    Error::Argument(format!("{what} {found:?} is unknown: expected one of {}", expected.join(", "))).into()
}
