//! Promises: the stream depends only on seed and number, sessions are causal, ids are unique, and the ground truth is
//! what the pipeline must count.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use rtea_core::aggregate::Partial;
use rtea_core::codec::{self, Format};
use rtea_core::dimension::Policy;
use rtea_core::event::KNOWN_TYPES;
use rtea_core::metrics::Value;
use rtea_core::observation::Observation;
use rtea_core::source::Source;
use rtea_generator::behaviour::Action;
use rtea_generator::catalogue::{Catalogue, Category};
use rtea_generator::clock::{Clock, Rhythm, CELL_MS};
use rtea_generator::fault::Injection;
use rtea_generator::mixes::Country;
use rtea_generator::population::Population;
use rtea_generator::session::Line;
use rtea_generator::shop::Shop;
use rtea_generator::stream::{EventWriter, Settings, Stream};
use rtea_generator::truth::{Ledger, Window};
use rtea_generator::weighted::Weighted;

fn stream(seed: u64, lanes: u64) -> Stream {
    let population = Population::new(5_000, 500, 0.5, 0.9);
    Stream::new(Settings {
        seed,
        start_ms: 1_760_000_000_000,
        rate_hz: 1_000,
        rhythm: Rhythm::FLAT,
        lanes,
        pause_sigma: 1.0,
        population,
    })
}

fn encoded(stream: &mut Stream, numbers: impl Iterator<Item = u64>) -> Vec<(u64, Vec<u8>)> {
    let mut event_writer = EventWriter::default();
    numbers
        .map(|number| {
            let mut value = Vec::new();
            let moment = stream.moment(number);
            codec::encode(
                &event_writer.write(&moment, stream.settings().seed, stream.pattern().population()),
                Format::Json,
                &mut value,
            );
            (number, value)
        })
        .collect()
}

/// A cart's content, sorted: if two lines are equal, it does not matter which one was removed.
fn sorted(lines: &[Line]) -> Vec<(u32, u32)> {
    let mut content: Vec<_> = lines.iter().map(|line| (line.product, line.quantity)).collect();
    content.sort_unstable();
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_union_of_the_shards_is_the_same_stream(seed in any::<u64>(), procs in 1..7_u64) {
        let whole = encoded(&mut stream(seed, 50), 0..20_000);
        let mut union: Vec<_> = (0..procs)
            .flat_map(|shard| encoded(&mut stream(seed, 50), (shard..20_000).step_by(usize::try_from(procs).unwrap())))
            .collect();
        union.sort_unstable();
        prop_assert_eq!(whole, union);
    }

    #[test]
    fn an_event_ignores_earlier_calls(seed in any::<u64>(), numbers in prop::collection::vec(0..40_000_u64, 1..20)) {
        let mut jumping = stream(seed, 700);
        for number in numbers {
            let fresh = encoded(&mut stream(seed, 700), std::iter::once(number));
            prop_assert_eq!(encoded(&mut jumping, std::iter::once(number)), fresh);
        }
    }

    #[test]
    fn sessions_are_causal(seed in any::<u64>()) {
        let mut stream = stream(seed, 7);
        let mut carts: HashMap<u64, Vec<Line>> = HashMap::new();
        let (mut checked_out, mut paid): (HashSet<u64>, HashSet<u64>) = Default::default();
        for number in 0..40_000 {
            let step = stream.moment(number).step;
            // The first events of a lane are in the middle of a session.
            if step.position > 0 && !carts.contains_key(&step.session) {
                continue;
            }
            let cart = carts.entry(step.session).or_default();
            match step.action {
                Action::AddToCart => cart.extend(step.lines()),
                Action::RemoveFromCart => {
                    let at = cart.iter().position(|line| *line == step.lines()[0]);
                    prop_assert!(at.is_some(), "removed what was not added");
                    cart.swap_remove(at.unwrap());
                }
                Action::BeginCheckout => {
                    prop_assert_eq!(sorted(cart), sorted(step.lines()));
                    prop_assert!(!cart.is_empty(), "checkout of an empty cart");
                    checked_out.insert(step.session);
                }
                Action::AddPaymentInfo => {
                    prop_assert!(checked_out.remove(&step.session), "payment without checkout");
                    prop_assert_eq!(sorted(cart), sorted(step.lines()));
                    paid.insert(step.session);
                }
                Action::Purchase => {
                    prop_assert!(paid.remove(&step.session), "purchase without payment");
                    prop_assert_eq!(sorted(cart), sorted(step.lines()));
                    cart.clear();
                }
                Action::PageView | Action::Search | Action::ProductView => {}
            }
        }
    }
}

#[test]
fn event_ids_are_unique_and_shaped_like_uuid_7() {
    let mut stream = stream(9, 100);
    let mut event_writer = EventWriter::default();
    let mut seen = HashSet::new();
    for number in 0..50_000 {
        let event = {
            let moment = stream.moment(number);
            event_writer.write(&moment, 9, stream.pattern().population())
        };
        let event_id = event.event_id.unwrap();
        assert_eq!((event_id.len(), &event_id[14..15]), (36, "7"));
        assert!("89ab".contains(&event_id[19..20]));
        assert!(seen.insert(event_id.into_owned()));
    }
}

#[test]
fn every_event_is_valid_and_decodes_to_what_was_meant() {
    let mut stream = stream(4, 300);
    let mut event_writer = EventWriter::default();
    for number in 0..20_000 {
        let event = {
            let moment = stream.moment(number);
            event_writer.write(&moment, 4, stream.pattern().population())
        };
        for format in Format::READABLE {
            let mut value = Vec::new();
            codec::encode(&event, format, &mut value);
            assert_eq!(codec::decode(&value).as_ref(), Ok(&event));
            let mut found = Observation::blank();
            assert!(codec::scan(&value, &mut found), "{}", String::from_utf8_lossy(&value));
            assert_eq!(found, Observation::of(&event));
        }
    }
}

#[test]
fn the_ledger_equals_the_fold_of_the_events() {
    assert_ledger_equals_fold(stream(3, 300));
}

#[test]
fn the_ledger_counts_categories_and_currencies_from_the_settings() {
    let mut settings = stream(3, 300).settings().clone();
    let categories = [("Wein & Käse", 1, 9), ("cars", 2_000_000, 4_000_000_000)];
    let categories = categories.map(|(name, lowest, highest)| Category::new(name, lowest, highest).unwrap());
    settings.population.catalogue = Arc::new(Catalogue::new(categories.to_vec()).unwrap());
    let countries = [("CH", "CHF"), ("SE", "SEK")];
    let countries = countries.map(|(code, currency)| (Country::new(code, "en", currency).unwrap(), 1));
    settings.population.mixes.countries = Weighted::new(countries.to_vec()).unwrap();
    let found = assert_ledger_equals_fold(Stream::new(settings));
    let expected = ["CHF", "SEK"].map(|currency| ["Wein & Käse", "cars"].map(|name| (currency.into(), name.into())));
    assert_eq!(found, expected.into_iter().flatten().collect());
}

/// Orders, sessions, the funnel, products and audience: the truth against the rows of the aggregation.
fn compare_shops(shop: &Shop, partial: &Partial) {
    let counted: HashSet<_> = ["event_count", "revenue", "unique_visitors"].into_iter().collect();
    let rows = partial.rows().into_iter().filter(|row| !counted.contains(row.metric));
    let found: HashMap<_, _> =
        rows.map(|row| ((row.metric, row.dimension, row.currency.to_owned()), row.value)).collect();
    let expected = shop.rows(100);
    assert_eq!(found.len(), expected.len());
    for (metric, dimension, currency, value) in expected {
        match &found[&(metric, dimension.clone(), currency)] {
            Value::Count(count) => assert_eq!(i64::try_from(*count).unwrap(), value, "{metric} {dimension}"),
            Value::Money(minor) => assert_eq!(*minor, i128::from(value), "{metric} {dimension}"),
            Value::Distinct(estimate, _) => {
                assert!((estimate - value).abs() <= 2 + value / 500, "{metric} {dimension}: {estimate} of {value}");
            }
        }
    }
}

/// Currencies and categories of the revenue.
fn assert_ledger_equals_fold(mut stream: Stream) -> HashSet<(String, String)> {
    let mut dimensions = HashSet::new();
    let catalogue = Arc::clone(&stream.settings().population.catalogue);
    let categories = catalogue.categories();
    let mut ledger = Ledger::new(10_000, true);
    let mut event_writer = EventWriter::default();
    let mut partials: HashMap<i64, Partial> = HashMap::new();
    for number in 0..30_000 {
        let moment = stream.moment(number);
        ledger.add(&moment, Injection::NONE, stream.pattern().population());
        let start_ms = moment.time_ms / 10_000 * 10_000;
        partials
            .entry(start_ms)
            .or_insert_with(|| Partial::new(start_ms, &Policy::default()))
            .add(&Observation::of(&event_writer.write(&moment, 3, stream.pattern().population())), &Policy::default());
    }
    let windows = ledger.take_until(i64::MAX);
    assert_eq!(windows.len(), partials.len());
    for (start_ms, window) in windows {
        assert_eq!(Window::from_bytes(&window.to_bytes()).as_ref(), Some(&window));
        let partial = &partials[&start_ms];
        assert_eq!(window.events, partial.events());
        let counts: HashMap<_, _> = partial.metrics.event_count.counts().collect();
        for (action, name) in KNOWN_TYPES.into_iter().enumerate() {
            let folded = Source::OWN.map(|source| counts[name].of(source));
            assert_eq!([window.counts[0][action], window.counts[1][action]], folded, "{name}");
        }
        let named = |((category, currency), minor): (&(u32, [u8; 3]), &i64)| {
            let name = categories[*category as usize].name.clone();
            ((String::from_utf8(currency.to_vec()).unwrap(), name), i128::from(*minor))
        };
        let expected: HashMap<_, _> = window.revenue.iter().map(named).collect();
        let folded = partial
            .metrics
            .revenue
            .sums()
            .map(|(currency, category, minor)| ((currency.into(), category.into()), minor));
        assert_eq!(folded.collect::<HashMap<_, _>>(), expected);
        dimensions.extend(expected.into_keys());
        compare_shops(window.shop.as_deref().unwrap(), partial);
        let visitors: HashMap<_, _> = partial.metrics.unique_visitors.by_source().named().into_iter().collect();
        for source in Source::OWN {
            let exact = i64::try_from(window.visitors[source.index()].len()).unwrap();
            let estimate = visitors.get(source.name()).map_or(0, |sketch| sketch.estimate());
            // A sparse sketch hashes to 2^20 places, so one or two of a thousand visitors may share a place.
            assert!((estimate - exact).abs() <= 2 + exact / 500, "{estimate} of {exact}");
        }
    }
    dimensions
}

#[test]
fn prices_lie_within_their_category_and_end_in_nine() {
    let catalogue = Catalogue::of_the_model();
    for product in 0..2_000 {
        let (category, price) = (catalogue.category_of(product), catalogue.price_minor(product));
        let bounds = i64::from(category.lowest_minor) / 10 * 10..=i64::from(category.highest_minor) + 9;
        assert!(price % 10 == 9 && bounds.contains(&price), "{price} in {bounds:?}");
    }
}

#[test]
fn a_category_has_a_name_and_prices_in_order() {
    let long = "x".repeat(65);
    let refused = [("", 1, 2), (long.as_str(), 1, 2), ("a\nb", 1, 2), ("a", 0, 2), ("a", 3, 2), ("a", 1, u32::MAX)];
    assert!(refused.iter().all(|(name, lowest, highest)| Category::new(name, *lowest, *highest).is_none()));
    let twice = vec![Category::new("a", 1, 2).unwrap(), Category::new("a", 1, 3).unwrap()];
    assert!(Catalogue::new(twice).is_none() && Catalogue::new(Vec::new()).is_none());
    assert_eq!(Category::new("Wein & Käse", 1, 1).unwrap().slug, "Wein---Käse");
}

const LANES: u64 = 51_200;

/// Pauses between a session's events, in events of the whole stream.
fn pauses(sigma: f64) -> Vec<f64> {
    let population = Population::new(1_000_000, 500, 0.5, 0.9);
    let settings = Settings {
        seed: 8,
        start_ms: 0,
        rate_hz: 1_000,
        rhythm: Rhythm::FLAT,
        lanes: LANES,
        pause_sigma: sigma,
        population,
    };
    let mut stream = Stream::new(settings);
    let mut last: HashMap<u64, u64> = HashMap::new();
    let mut found = Vec::new();
    for number in 0..3_000_000_u64 {
        if let Some(before) = last.insert(stream.moment(number).step.session, number) {
            found.push(f64::from(u32::try_from(number - before).unwrap()));
        }
    }
    found
}

#[test]
fn pauses_are_log_normal() {
    for sigma in [0.5, 1.0, 1.5] {
        let logs: Vec<f64> = pauses(sigma).iter().map(|pause| pause.ln()).collect();
        #[allow(clippy::cast_precision_loss)]
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let moment = |power: i32| logs.iter().map(|log| (log - mean).powi(power)).sum::<f64>() / count;
        let deviation = moment(2).sqrt();
        let skewness = moment(3) / deviation.powi(3);
        assert!((deviation / sigma - 1.0).abs() < 0.05, "deviation {deviation}, expected {sigma}");
        assert!(skewness.abs() < 0.2, "the logarithms are skewed by {skewness}");
    }
}

#[test]
fn visitors_act_every_lanes_divided_by_rate_seconds() {
    let found = pauses(1.0);
    #[allow(clippy::cast_precision_loss)]
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    assert!((mean / 51_200.0 - 1.0).abs() < 0.05, "a visitor's events are {mean} events apart, expected 51200");
}

fn rhythms() -> impl Strategy<Value = Rhythm> {
    (0.0..=1.0_f64, 0.0..24.0_f64, -1.0..=1.0_f64, 0..4_i64, 1..5_i64, 0.0..10.0_f64, 0..3_i64).prop_map(
        |(daily, peak_hour, weekly, every, length, sale_factor, ramp)| Rhythm {
            daily,
            peak_hour,
            weekly,
            sale_every_ms: every * 3_600_000,
            sale_length_ms: length * 60_000,
            sale_factor,
            ramp_ms: ramp * 1_800_000,
        },
    )
}

proptest! {
    #[test]
    fn times_rise_with_numbers_and_lead_back_to_them(
        rhythm in prop_oneof![Just(Rhythm::FLAT), rhythms()],
        rate_hz in 1..5_000_u64,
        numbers in prop::collection::vec(0..3_000_000_u64, 1..50),
        start_ms in 0..2_000_000_000_000_i64,
    ) {
        let mut clock = Clock::new(start_ms, rate_hz, rhythm);
        let numbers = numbers.into_iter().map(|number| number % (rate_hz * 200_000)).collect::<Vec<_>>();
        for number in &numbers {
            let time_ms = clock.time_ms(*number);
            prop_assert!(time_ms >= start_ms);
            prop_assert!(clock.time_ms(number + 1) >= time_ms);
            let first = clock.number_at(time_ms);
            prop_assert!(first <= *number && clock.time_ms(first) == time_ms);
            prop_assert!(first == 0 || clock.time_ms(first - 1) < time_ms);
            prop_assert_eq!(Clock::new(start_ms, rate_hz, rhythm).time_ms(*number), time_ms);
        }
    }

    #[test]
    fn cells_have_the_expected_number_of_events(rhythm in rhythms(), rate_hz in 10..5_000_u32, cell in 0..20_000_i64) {
        let start_ms = 1_760_000_000_000;
        let mut clock = Clock::new(start_ms, u64::from(rate_hz), rhythm);
        let begin_ms = start_ms + cell * CELL_MS;
        let found = clock.number_at(begin_ms + CELL_MS) - clock.number_at(begin_ms);
        let expected = f64::from(rate_hz) * 10.0 * rhythm.factor(begin_ms + CELL_MS / 2, start_ms);
        prop_assert!((f64::from(u32::try_from(found).unwrap()) - expected).abs() <= 1.001, "{found}, expected {expected}");
    }
}

#[test]
fn a_week_with_rhythm_has_as_many_events_as_a_flat_one() {
    const WEEK_MS: i64 = 7 * 86_400_000;
    let rhythm = Rhythm { daily: 0.8, peak_hour: 20.0, weekly: 0.4, ..Rhythm::FLAT };
    let found = Clock::new(0, 100, rhythm).number_at(WEEK_MS);
    assert!(found.abs_diff(Clock::new(0, 100, Rhythm::FLAT).number_at(WEEK_MS)) < 100, "{found}");
}
