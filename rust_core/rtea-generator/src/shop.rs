//! The ground truth of orders, sessions, the funnel, products and audience, counted from the model itself.
//!
//! Part of [`crate::truth`]'s windows, if the job counts such metrics. Like that module, it shares no code with the
//! aggregation: it keeps exact sets of numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rtea_core::source::Source;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::behaviour::Action;
use crate::population::Population;
use crate::stream::{self, Moment};

/// The actions on the way to the purchase, with the names of their events.
const STEPS: [(Action, &str); 5] = [
    (Action::ProductView, "product_view"),
    (Action::AddToCart, "add_to_cart"),
    (Action::BeginCheckout, "begin_checkout"),
    (Action::AddPaymentInfo, "add_payment_info"),
    (Action::Purchase, "purchase"),
];

type Set<T> = HashSet<T, FxBuildHasher>;
type Map<K, V> = HashMap<K, V, FxBuildHasher>;
type Currency = [u8; 3];

/// Metric, dimension, currency and value: a count, minor units, or the size of a set.
pub type Row = (&'static str, String, String, i64);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Group {
    events: u64,
    visitors: Set<u32>,
    revenue: BTreeMap<Currency, i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Product {
    /// Views, carts and units.
    counts: [u64; 3],
    revenue: BTreeMap<Currency, i64>,
}

/// What the events of one window add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shop {
    /// Orders and units, by source.
    sold: [(u64, u64); 2],
    sessions: [Set<u64>; 2],
    steps: [[Set<u64>; 2]; STEPS.len()],
    products: Map<u32, Product>,
    campaigns: Map<String, Group>,
    countries: Map<String, Group>,
    devices: Map<String, Group>,
}

impl Shop {
    /// Counts one moment.
    pub fn count(&mut self, moment: &Moment, population: &Population) {
        let step = &moment.step;
        let (source, catalogue) = (step.source.index(), &population.catalogue);
        let session = stream::session_of(step);
        self.sessions[source].insert(session);
        if let Some(place) = STEPS.iter().position(|(action, _)| *action == step.action) {
            self.steps[place][source].insert(session);
        }
        let country = step.visitor.country(&population.mixes.countries);
        let currency = country.currency_code();
        let mut total = None;
        if step.action == Action::Purchase {
            let minor = |line: &crate::session::Line| catalogue.price_minor(line.product) * i64::from(line.quantity);
            total = Some((currency, step.lines().iter().map(minor).sum()));
            self.sold[source].0 += 1;
            self.sold[source].1 += step.lines().iter().map(|line| u64::from(line.quantity)).sum::<u64>();
            for line in step.lines() {
                let product = self.products.entry(line.product).or_default();
                product.counts[2] += u64::from(line.quantity);
                *product.revenue.entry(currency).or_default() += minor(line);
            }
        }
        if let Action::ProductView | Action::AddToCart = step.action {
            for line in step.lines() {
                let product = self.products.entry(line.product).or_default();
                product.counts[usize::from(step.action == Action::AddToCart)] += 1;
            }
        }
        let visitor = step.visitor.id();
        if let Some(campaign) = stream::campaign_of(step, population) {
            add(&mut self.campaigns, campaign, visitor, total);
        }
        if !step.visitor.is_bot {
            add(&mut self.countries, &country.code, visitor, total);
        }
        if let Some(class) = class_of(step.source, stream::os_of(step, population)) {
            add(&mut self.devices, class, visitor, total);
        }
    }

    /// Adds another shard's counts of the same window.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.sold.iter_mut().zip(other.sold) {
            *mine = (mine.0 + theirs.0, mine.1 + theirs.1);
        }
        for (mine, theirs) in self.sessions.iter_mut().zip(&other.sessions) {
            mine.extend(theirs);
        }
        for (mine, theirs) in self.steps.as_flattened_mut().iter_mut().zip(other.steps.as_flattened()) {
            mine.extend(theirs);
        }
        for (number, theirs) in &other.products {
            let mine = self.products.entry(*number).or_default();
            mine.counts.iter_mut().zip(theirs.counts).for_each(|(mine, count)| *mine += count);
            add_revenue(&mut mine.revenue, &theirs.revenue);
        }
        let mine = [&mut self.campaigns, &mut self.countries, &mut self.devices];
        for (mine, theirs) in mine.into_iter().zip([&other.campaigns, &other.countries, &other.devices]) {
            for (name, theirs) in theirs {
                let mine = mine.entry(name.clone()).or_default();
                mine.events += theirs.events;
                mine.visitors.extend(&theirs.visitors);
                add_revenue(&mut mine.revenue, &theirs.revenue);
            }
        }
    }

    /// The rows, in any order. In each series of products, the `top_products` greatest have rows of their own.
    #[must_use]
    pub fn rows(&self, top_products: usize) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut add = |metric, dimension: String, currency: &str, value: i64| {
            if value > 0 {
                rows.push((metric, dimension, currency.to_owned(), value));
            }
        };
        for source in Source::OWN {
            let ((orders, units), name) = (self.sold[source.index()], source.name().to_owned());
            add("orders", name.clone(), "", signed(orders));
            add("order_units", name.clone(), "", signed(units));
            add("sessions", name, "", size(&self.sessions[source.index()]));
            for ((_, step), sessions) in STEPS.iter().zip(&self.steps) {
                add("funnel", format!("{step}_{}", source.name()), "", size(&sessions[source.index()]));
            }
        }
        add("sessions", "all".to_owned(), "", size(&(&self.sessions[0] | &self.sessions[1])));
        for (place, metric) in ["product_views", "product_carts", "product_units"].into_iter().enumerate() {
            for (name, count) in self.greatest(top_products, |product| signed(product.counts[place])) {
                add(metric, name, "", count);
            }
        }
        let currencies: BTreeSet<_> = self.products.values().flat_map(|product| product.revenue.keys()).collect();
        for currency in currencies {
            for (name, minor) in self.greatest(top_products, |product| *product.revenue.get(currency).unwrap_or(&0)) {
                add("product_revenue", name, &code(*currency), minor);
            }
        }
        for (kind, groups) in [("campaign", &self.campaigns), ("country", &self.countries), ("device", &self.devices)] {
            for (name, group) in groups {
                let dimension = format!("{kind}:{name}");
                add("audience_events", dimension.clone(), "", signed(group.events));
                add("audience_visitors", dimension.clone(), "", size(&group.visitors));
                for (currency, minor) in &group.revenue {
                    add("audience_revenue", dimension.clone(), &code(*currency), *minor);
                }
            }
        }
        rows
    }

    fn greatest(&self, most: usize, amount: impl Fn(&Product) -> i64) -> Vec<(String, i64)> {
        let named = |(number, product): (&u32, &Product)| (format!("p{:06x}", number & 0xff_ffff), amount(product));
        let mut all: Vec<_> = self.products.iter().map(named).filter(|(_, amount)| *amount > 0).collect();
        all.sort_by(|(name, amount), (other_name, other)| other.cmp(amount).then(name.cmp(other_name)));
        let rest: i64 = all.iter().skip(most).map(|(_, amount)| amount).sum();
        all.truncate(most);
        all.push(("(other)".to_owned(), rest));
        all
    }
}

/// `app`, `phone` or `desktop`.
fn class_of(source: Source, os: &str) -> Option<&'static str> {
    match os {
        _ if source == Source::MOBILE => Some("app"),
        _ if os.starts_with("Android") || os.starts_with("iOS") => Some("phone"),
        _ if ["Windows", "macOS", "Linux", "ChromeOS"].iter().any(|name| os.starts_with(name)) => Some("desktop"),
        _ => None,
    }
}

fn add(groups: &mut Map<String, Group>, name: &str, visitor: u32, total: Option<(Currency, i64)>) {
    if !groups.contains_key(name) {
        groups.insert(name.to_owned(), Group::default());
    }
    if let Some(group) = groups.get_mut(name) {
        group.events += 1;
        group.visitors.insert(visitor);
        if let Some((currency, minor)) = total {
            *group.revenue.entry(currency).or_default() += minor;
        }
    }
}

fn add_revenue(mine: &mut BTreeMap<Currency, i64>, theirs: &BTreeMap<Currency, i64>) {
    for (currency, minor) in theirs {
        *mine.entry(*currency).or_default() += minor;
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn size<T>(set: &Set<T>) -> i64 {
    i64::try_from(set.len()).unwrap_or(i64::MAX)
}

fn code(currency: Currency) -> String {
    String::from_utf8_lossy(&currency).into_owned()
}
