//! Promises: the stream has the visitors, products and sessions that its parameters ask for, on fixed seeds and within
//! stated tolerances. `model.rs` tests pauses and rhythm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss)]

use std::collections::{BTreeMap, HashMap, HashSet};

use rtea_core::event::Event;
use rtea_core::source::Source;
use rtea_generator::behaviour::{Action, Behaviour, Walker, ACTIONS};
use rtea_generator::clock::Rhythm;
use rtea_generator::mixes::{Country, Device, Mixes};
use rtea_generator::population::{Population, Shares};
use rtea_generator::session::Step;
use rtea_generator::stream::{EventWriter, Moment, Settings, Stream};
use rtea_generator::weighted::Weighted;

const EVENTS: u64 = 1_500_000;

fn settings(population: Population) -> Settings {
    Settings {
        seed: 11,
        start_ms: 1_760_000_000_000,
        rate_hz: 10_000,
        rhythm: Rhythm::FLAT,
        lanes: 20_000,
        pause_sigma: 1.0,
        population,
    }
}

fn moments(settings: Settings, count: u64) -> Vec<Moment> {
    let mut stream = Stream::new(settings);
    (0..count).map(|number| stream.moment(number)).collect()
}

/// The steps of each session that is seen from its start, in order.
fn sessions(moments: &[Moment]) -> Vec<Vec<Step>> {
    let mut found: HashMap<u64, Vec<Step>> = HashMap::new();
    for moment in moments {
        let steps = found.entry(moment.step.session).or_default();
        if usize::try_from(moment.step.position) == Ok(steps.len()) {
            steps.push(moment.step);
        }
    }
    found.into_values().filter(|steps| !steps.is_empty()).collect()
}

fn default_population() -> Population {
    Population::new(200_000, 5_000, 0.5, 0.9)
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found:.4}, expected {expected:.4} within {tolerance}");
}

fn walker(step: &Step) -> Walker {
    match step.source {
        _ if step.visitor.is_bot => Walker::Bot,
        Source::MOBILE => Walker::Mobile,
        _ => Walker::Website,
    }
}

/// Weights of the next action, without leaving: a session may also end at the border of its epoch.
fn continuing(walker: Walker, state: usize) -> Vec<f64> {
    let weights = Behaviour::default().table(walker)[state];
    let total: u32 = weights[..ACTIONS].iter().sum();
    weights[..ACTIONS].iter().map(|weight| f64::from(*weight) / f64::from(total)).collect()
}

#[test]
fn sessions_continue_as_their_weights_say() {
    let mut seen: HashMap<(usize, usize), [f64; ACTIONS]> = HashMap::new();
    for session in sessions(&moments(settings(default_population()), EVENTS)) {
        for pair in session.windows(2) {
            let state = if pair[0].position == 0 { ACTIONS } else { pair[0].action as usize };
            seen.entry((walker(&pair[0]) as usize, state)).or_default()[pair[1].action as usize] += 1.0;
        }
    }
    // Rows that do not depend on the cart: if it is empty or full, other actions replace some of the wanted ones.
    let rows = [ACTIONS, Action::Search as usize, Action::BeginCheckout as usize, Action::AddPaymentInfo as usize];
    for walker in [Walker::Mobile, Walker::Website] {
        for row in rows {
            let counts = seen[&(walker as usize, row)];
            let total: f64 = counts.iter().sum();
            assert!(total > 2_000.0, "too few to judge: {total}");
            for (action, expected) in continuing(walker, row).into_iter().enumerate() {
                close(counts[action] / total, expected, 0.025, &format!("{walker:?}, row {row}, action {action}"));
            }
        }
    }
}

#[test]
fn the_funnel_narrows_as_in_real_shops() {
    let mut reached = [[0_u32; ACTIONS]; 2];
    let mut all = [0_u32; 2];
    for session in sessions(&moments(settings(default_population()), EVENTS)) {
        if session[0].visitor.is_bot {
            continue;
        }
        let source = session[0].source.index();
        all[source] += 1;
        let actions: HashSet<usize> = session.iter().map(|step| step.action as usize).collect();
        actions.into_iter().for_each(|action| reached[source][action] += 1);
    }
    let share = |source: Source, action: Action| {
        f64::from(reached[source.index()][action as usize]) / f64::from(all[source.index()])
    };
    // Published conversion rates lie between 1 and 5 %, abandoned carts between 60 and 90 %.
    close(share(Source::MOBILE, Action::Purchase), 0.045, 0.005, "conversion in the app");
    close(share(Source::WEBSITE, Action::Purchase), 0.017, 0.004, "conversion on the website");
    for source in Source::OWN {
        let steps =
            [Action::ProductView, Action::AddToCart, Action::BeginCheckout, Action::AddPaymentInfo, Action::Purchase];
        assert!(steps.windows(2).all(|pair| share(source, pair[0]) > share(source, pair[1])), "{source:?}");
        let abandoned = 1.0 - share(source, Action::Purchase) / share(source, Action::AddToCart);
        close(abandoned, 0.8, 0.1, "carts abandoned");
    }
}

/// Slope of log count over log rank, in bins whose ranks double: minus the exponent of the power law.
fn slope(counts: &[f64], ranks: std::ops::Range<usize>) -> f64 {
    let mut points = Vec::new();
    let mut start = ranks.start;
    while start * 2 <= ranks.end {
        let mean = counts[start - 1..start * 2 - 1].iter().sum::<f64>() / start as f64;
        points.push(((start as f64 * std::f64::consts::SQRT_2).ln(), mean.ln()));
        start *= 2;
    }
    let count = points.len() as f64;
    let (mean_x, mean_y) =
        (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count);
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    covariance / points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

#[test]
fn products_and_visitors_follow_their_power_laws() {
    for (activity, popularity) in [(0.5, 0.9), (0.8, 0.6), (0.0, 0.73)] {
        let population = Population::new(4_096, 4_096, activity, popularity);
        let (mut products, mut visitors) = (vec![0.0; 4_096], vec![0.0; 4_096]);
        for session in sessions(&moments(settings(population), EVENTS)) {
            if !session[0].visitor.is_bot {
                visitors[session[0].visitor.person as usize] += 1.0;
            }
            for step in session.iter().filter(|step| step.action == Action::ProductView) {
                products[step.product as usize] += 1.0;
            }
        }
        // The rank is a rounded draw, so the first few ranks are less exact than the law.
        close(-slope(&products, 8..4_096), popularity, 0.05, "popularity");
        close(-slope(&visitors, 8..4_096), activity, 0.05, "activity");
    }
}

#[test]
fn the_population_has_the_shares_of_its_settings() {
    let mut population = default_population();
    population.shares = Shares {
        mobile: 0.3,
        both: 0.2,
        account: 0.5,
        second_device: 0.4,
        login: 0.6,
        bot: 0.05,
        campaign: 0.3,
        hot: 0.0,
    };
    let settings = settings(population.clone());
    let moments = moments(settings, EVENTS);
    let mut event_writer = EventWriter::default();
    let (mut bots, mut landings, mut campaigns) = (0.0, 0.0, 0.0);
    let (mut sources, mut accounts) = (HashMap::<u32, HashSet<Source>>::new(), HashMap::<u32, HashSet<u32>>::new());
    let (mut logins, mut account_sessions, mut holders) = (0.0, 0.0, HashSet::new());
    for moment in moments.iter().filter(|moment| moment.step.position == 0) {
        let step = &moment.step;
        landings += 1.0;
        let event = event_writer.write(moment, 11, &population);
        assert_eq!(event.user_id.is_some(), step.logged_in);
        campaigns += f64::from(u8::from(event.campaign.is_some()));
        if step.visitor.is_bot {
            bots += 1.0;
            assert_eq!((step.source, event.campaign, event.referrer), (Source::WEBSITE, None, None));
            continue;
        }
        sources.entry(step.visitor.id()).or_default().insert(step.source);
        accounts.entry(step.visitor.person).or_default().insert(step.visitor.id());
        if step.visitor.has_account(&population.shares) {
            account_sessions += 1.0;
            holders.insert(step.visitor.person);
            logins += f64::from(u8::from(step.logged_in));
        }
    }
    close(bots / landings, 0.05, 0.005, "sessions of bots");
    close(campaigns / (landings - bots), 0.3, 0.01, "sessions of campaigns");
    close(logins / account_sessions, 0.6, 0.01, "logins");
    close(holders.len() as f64 / accounts.len() as f64, 0.5, 0.01, "accounts");
    // Only people that are seen often enough show both devices and both sources.
    let mut often: HashMap<u32, u32> = HashMap::new();
    for moment in moments.iter().filter(|moment| moment.step.position == 0 && !moment.step.visitor.is_bot) {
        *often.entry(moment.step.visitor.person).or_default() += 1;
    }
    let regulars: Vec<u32> =
        often.into_iter().filter(|(_, sessions)| *sessions >= 12).map(|(person, _)| person).collect();
    assert!(regulars.len() > 500, "{}", regulars.len());
    let two = regulars.iter().filter(|person| accounts[person].len() == 2).count() as f64;
    close(two / regulars.len() as f64, 0.5 * 0.4, 0.04, "people on two devices");
    let first = |person: &u32| sources.get(&(person * 2));
    let mixed = regulars.iter().filter(|person| first(person).is_some_and(|found| found.len() == 2)).count() as f64;
    close(mixed / regulars.len() as f64, 0.2, 0.04, "visitors of both sources");
}

/// The share of each value.
fn shares(values: impl Iterator<Item = String>) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0.0) += 1.0);
    let total: f64 = counts.values().sum();
    counts.into_iter().map(|(value, count)| (value, count / total)).collect()
}

fn assert_mix<T>(found: &BTreeMap<String, f64>, mix: &Weighted<T>, name: impl Fn(&T) -> String) {
    let mut expected = BTreeMap::new();
    for (thing, weight) in mix.entries() {
        *expected.entry(name(thing)).or_insert(0.0) += f64::from(*weight) / mix.total() as f64;
    }
    expected.retain(|_, share| *share > 0.0);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    expected.into_iter().for_each(|(name, share)| close(found[&name], share, 0.02, &name));
}

/// What the first event of a session tells about its visitor and session.
struct Landing {
    source: Source,
    country: String,
    device: String,
    campaign: Option<String>,
    referrer: String,
}

impl Landing {
    fn of(event: Event<'_>) -> Self {
        let device = event.device.unwrap();
        let program = device.app_version.or(device.browser).unwrap();
        Self {
            source: event.source,
            country: device.country.unwrap().into(),
            device: format!("{}/{program}/{}", device.os.unwrap(), device.screen.unwrap()),
            campaign: event.campaign.map(Into::into),
            referrer: event.referrer.unwrap_or_default().into(),
        }
    }
}

fn assert_mixes_hold(population: &Population) {
    let mut event_writer = EventWriter::default();
    let mut wanted = settings(population.clone());
    wanted.lanes = 200_000;
    let moments = moments(wanted, EVENTS);
    let landings = moments.iter().filter(|moment| moment.step.position == 0 && !moment.step.visitor.is_bot);
    let landings: Vec<_> = landings.map(|moment| Landing::of(event_writer.write(moment, 11, population))).collect();
    let mixes = &population.mixes;
    assert_mix(&shares(landings.iter().map(|found| found.country.clone())), &mixes.countries, |c| c.code.clone());
    for source in Source::OWN {
        let of_source = || landings.iter().filter(|found| found.source == source);
        let device = |found: &Device| format!("{}/{}/{}", found.os, found.program, found.screen);
        assert_mix(&shares(of_source().map(|found| found.device.clone())), &mixes.devices[source.index()], device);
        let campaigns = shares(of_source().filter_map(|found| found.campaign.clone()));
        assert_mix(&campaigns, &mixes.campaigns[source.index()], Clone::clone);
        let referrers = shares(of_source().map(|found| found.referrer.clone()));
        match source {
            Source::MOBILE => assert_eq!(referrers.into_keys().collect::<Vec<_>>(), [""]),
            _ => assert_mix(&referrers, &mixes.referrers, |page| page.clone().unwrap_or_default()),
        }
    }
    let searches = moments.iter().filter(|moment| moment.step.action == Action::Search);
    let terms: HashSet<String> =
        searches.map(|moment| event_writer.write(moment, 11, population).search_term.unwrap().into_owned()).collect();
    assert_eq!(terms, mixes.search_terms.iter().cloned().collect());
}

#[test]
fn devices_countries_and_campaigns_follow_the_models_weights() {
    assert_mixes_hold(&default_population());
}

#[test]
fn devices_countries_and_campaigns_follow_weights_from_the_settings() {
    let mut population = default_population();
    let names = |names: [(&str, u32); 2]| Weighted::new(names.map(|(name, weight)| (name.into(), weight)).to_vec());
    let countries = [("NZ", "NZD", 1), ("AU", "AUD", 1), ("FJ", "FJD", 2), ("AQ", "USD", 0)];
    let countries = countries.map(|(code, money, weight)| (Country::new(code, "en", money).unwrap(), weight));
    let device = |os: &str| Device { os: os.into(), program: "1".into(), screen: "800x600".into() };
    population.mixes = Mixes {
        devices: [vec![(device("Sailfish"), 7)], vec![(device("BeOS"), 1), (device("Plan 9"), 3)]]
            .map(|rows| Weighted::new(rows).unwrap()),
        countries: Weighted::new(countries.to_vec()).unwrap(),
        referrers: Weighted::new(vec![(Some("https://a.example/".into()), 1), (None, 4)]).unwrap(),
        campaigns: [names([("one", 1), ("two", 3)]).unwrap(), names([("three", 2), ("four", 2)]).unwrap()],
        search_terms: vec!["kiwi".into(), "wool".into()],
    };
    assert_mixes_hold(&population);
}

#[test]
fn two_devices_of_a_person_share_the_user_id_and_nothing_else() {
    let mut population = default_population();
    population.shares.account = 1.0;
    population.shares.second_device = 1.0;
    population.shares.login = 1.0;
    population.shares.bot = 0.0;
    let mut event_writer = EventWriter::default();
    let mut ids: HashMap<String, HashSet<(String, Source)>> = HashMap::new();
    for moment in moments(settings(population.clone()), 300_000) {
        let event = event_writer.write(&moment, 11, &population);
        ids.entry(event.user_id.unwrap().into_owned())
            .or_default()
            .insert((event.visitor_id.into_owned(), event.source));
    }
    let both: Vec<_> = ids.values().filter(|found| found.len() == 2).collect();
    assert!(both.len() > 1_000);
    let visitors: HashSet<&String> = ids.values().flatten().map(|(visitor, _)| visitor).collect();
    let pairs: HashSet<(&String, &String)> =
        ids.iter().flat_map(|(user, found)| found.iter().map(move |(visitor, _)| (user, visitor))).collect();
    assert_eq!(visitors.len(), pairs.len(), "a visitor id belongs to one person");
}

#[test]
fn bots_look_and_never_buy() {
    let moments = moments(settings(default_population()), EVENTS);
    let mut lengths = (0.0, 0.0);
    for session in sessions(&moments) {
        if session[0].visitor.is_bot {
            assert!(session.iter().all(|step| step.action as usize <= Action::ProductView as usize && !step.logged_in));
            lengths.0 += session.len() as f64;
            lengths.1 += 1.0;
        }
    }
    // Five in a hundred leave after each step; epochs cut some short.
    assert!(lengths.0 / lengths.1 > 8.0, "bots stay for {} steps", lengths.0 / lengths.1);
}

#[test]
fn a_flash_sale_makes_its_products_hot_while_it_lasts() {
    let mut wanted = settings(default_population());
    wanted.rhythm = Rhythm { sale_every_ms: 60_000, sale_length_ms: 20_000, sale_factor: 3.0, ..Rhythm::FLAT };
    let hot: HashSet<u32> = (0..20).map(|rank| wanted.population.hot_product(1, rank)).collect();
    let start_ms = wanted.start_ms;
    let (mut during, mut otherwise) = ((0.0, 0.0), (0.0, 0.0));
    for moment in moments(wanted, EVENTS) {
        if moment.step.action != Action::ProductView || moment.step.visitor.is_bot {
            continue;
        }
        let since_ms = moment.time_ms - start_ms;
        let is_hot = f64::from(u8::from(hot.contains(&moment.step.product)));
        if (60_000..80_000).contains(&since_ms) {
            during = (during.0 + is_hot, during.1 + 1.0);
        } else {
            otherwise = (otherwise.0 + is_hot, otherwise.1 + 1.0);
        }
    }
    assert!(during.1 > 10_000.0, "the sale was missed");
    let usual = otherwise.0 / otherwise.1;
    assert!(usual < 0.05, "hot products outside of their sale: {usual}");
    close(during.0 / during.1, 0.5 + 0.5 * usual, 0.02, "hot products in the sale");
}
