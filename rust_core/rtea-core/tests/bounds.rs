//! Promises: a window keeps a limited number of dimensions, first the protected ones. Which others it keeps depends
//! only on their names, and the rest is added up, so nothing is lost. An order counts once, in whatever order and
//! batches its repeats come. Naive oracles over sorted maps check this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rtea_core::aggregate::Partial;
use rtea_core::dimension::{Bounded, Policy, OTHER};
use rtea_core::event::{Event, Item};
use rtea_core::letter;
use rtea_core::metrics::{Metrics, Value};
use rtea_core::observation::Observation;
use rtea_core::part;
use rtea_core::result::{self, Submission};
use rtea_core::source::Source;
use rtea_core::state::accumulate;

type Amounts = Vec<(&'static str, String, i64)>;

fn amounts() -> impl Strategy<Value = Amounts> {
    let currency = prop_oneof![Just("EUR"), Just("USD")];
    let name = prop_oneof![9 => "[a-f]{1,2}", 1 => Just(OTHER.to_owned())];
    proptest::collection::vec((currency, name, 1..100_i64), 0..60)
}

fn is_protected(name: &str) -> bool {
    name.starts_with(['e', 'f'])
}

fn bounded(limit: u32, amounts: &Amounts) -> Bounded<i128> {
    let mut sums = Bounded::new(limit);
    for (currency, name, amount) in amounts {
        sums.add(currency, name, &i128::from(*amount), || is_protected(name));
    }
    sums
}

/// Adds up everything, then keeps the first `limit` dimensions: protected names first, then by currency and name.
fn naive(limit: usize, amounts: &Amounts) -> (BTreeMap<(String, String), i128>, BTreeMap<String, i128>) {
    let mut all: BTreeMap<(bool, String, String), i128> = BTreeMap::new();
    let mut others: BTreeMap<String, i128> = BTreeMap::new();
    for (currency, name, amount) in amounts {
        if name == OTHER {
            *others.entry((*currency).to_owned()).or_default() += i128::from(*amount);
        } else {
            *all.entry((!is_protected(name), (*currency).to_owned(), name.clone())).or_default() += i128::from(*amount);
        }
    }
    let mut kept = BTreeMap::new();
    for (place, ((_, currency, name), amount)) in all.into_iter().enumerate() {
        if place < limit {
            kept.insert((currency, name), amount);
        } else {
            *others.entry(currency).or_default() += amount;
        }
    }
    (kept, others)
}

fn read(sums: &Bounded<i128>) -> (BTreeMap<(String, String), i128>, BTreeMap<String, i128>) {
    let kept = sums.entries().iter().map(|e| ((e.group.to_owned(), e.name.to_owned()), *e.amount)).collect();
    (kept, sums.others().iter().map(|(currency, amount)| ((*currency).to_owned(), *amount)).collect())
}

fn order(id: &str, visitor: u8, category: &str, price_minor: i64) -> Event<'static> {
    Event {
        event_id: Some(format!("{id}-{visitor}").into()),
        event_type: "purchase".into(),
        source: if visitor.is_multiple_of(2) { Source::MOBILE } else { Source::WEBSITE },
        event_time_ms: 0,
        visitor_id: visitor.to_string().into(),
        schema_version: 1,
        session_id: None,
        user_id: None,
        page_url: None,
        referrer: None,
        search_term: None,
        campaign: None,
        device: None,
        items: vec![Item { product_id: "p".into(), category: category.to_owned().into(), price_minor, quantity: 2 }],
        currency: None,
        order_id: Some(id.to_owned().into()),
    }
}

prop_compose! {
    fn an_order()(id in "[a-h]", visitor in 0..6_u8, category in "[xyz]", price in 1..50_i64) -> Event<'static> {
        order(&id, visitor, &category, price)
    }
}

fn once() -> Policy {
    Policy { deduplicate_orders: true, ..Policy::default() }
}

fn counted(events: &[Event<'_>], policy: &Policy) -> Partial {
    let mut partial = Partial::new(0, policy);
    events.iter().for_each(|event| partial.add(&Observation::of(event), policy));
    partial
}

proptest! {
    #[test]
    fn the_kept_dimensions_depend_only_on_the_names(amounts in amounts(), limit in 0..12_u32, cut in 0..60_usize) {
        let expected = naive(limit as usize, &amounts);
        prop_assert_eq!(&read(&bounded(limit, &amounts)), &expected);
        let mut backwards = amounts.clone();
        backwards.reverse();
        prop_assert_eq!(&read(&bounded(limit, &backwards)), &expected);
        let (first, second) = amounts.split_at(cut.min(amounts.len()));
        let mut merged = bounded(limit, &first.to_vec());
        merged.merge(&bounded(limit, &second.to_vec()));
        prop_assert_eq!(&read(&merged), &expected);
    }

    #[test]
    fn a_merge_uses_the_smaller_limit(first in amounts(), second in amounts(), limits in (0..12_u32, 0..12_u32)) {
        let all: Amounts = first.iter().chain(&second).cloned().collect();
        let mut merged = bounded(limits.0, &first);
        merged.merge(&bounded(limits.1, &second));
        prop_assert_eq!(read(&merged), naive(limits.0.min(limits.1) as usize, &all));
    }

    #[test]
    fn an_order_counts_once_in_any_batches(orders in proptest::collection::vec(an_order(), 0..40), cut in 0..40_usize) {
        let whole = counted(&orders, &once());
        let (first, second) = orders.split_at(cut.min(orders.len()));
        let mut merged = counted(second, &once());
        merged.merge(&counted(first, &once())).unwrap();
        let through_bytes = Partial::from_bytes(&merged.to_bytes()).unwrap();
        let distinct: BTreeSet<_> = orders.iter().map(|event| event.order_id.clone()).collect();
        prop_assert_eq!(whole.events(), orders.len() as u64, "the revision counts repeats too");
        let purchases: u64 = whole.clone().with_orders_counted().metrics.event_count.counts().map(|(_, counts)| counts.iter().map(|(_, count)| count).sum::<u64>()).sum();
        prop_assert_eq!(purchases, distinct.len() as u64);
        let rows = |partial: Partial| {
            let partial = partial.with_orders_counted();
            let counts: Vec<_> = partial.metrics.event_count.counts().map(|(name, counts)| (name.to_owned(), counts)).collect();
            let revenue: Vec<_> = partial.metrics.revenue.sums().map(|(c, n, minor)| (c.to_owned(), n.to_owned(), minor)).collect();
            (partial.events(), counts, revenue)
        };
        prop_assert_eq!(rows(whole.clone()), rows(merged));
        prop_assert_eq!(rows(whole.clone()), rows(through_bytes));
        let mut again = whole.clone();
        again.merge(&whole).unwrap();
        let content = |partial: Partial| { let (_, counts, revenue) = rows(partial); (counts, revenue) };
        prop_assert_eq!(content(again), content(whole));
    }

    #[test]
    fn the_merged_parts_of_a_partial_are_the_partial(
        orders in proptest::collection::vec(an_order(), 0..40), names in amounts(), max_bytes in 300..3_000_usize
    ) {
        let policy = once();
        let mut whole = counted(&orders, &policy);
        for (currency, name, minor) in &names {
            let mut event = order("", 1, name, *minor);
            event.order_id = None;
            event.currency = Some((*currency).into());
            whole.add(&Observation::of(&event), &policy);
            event.event_type = format!("type_{}", name.len()).into();
            whole.add(&Observation::of(&event), &policy);
        }
        let parts = part::split(whole.clone(), max_bytes);
        let events: Vec<_> = parts.iter().map(Partial::events).collect();
        prop_assert_eq!(events[0], whole.events());
        prop_assert!(events[1..].iter().all(|count| *count == 0));
        for piece in &parts[1..] {
            prop_assert!(piece.to_bytes().len() <= max_bytes || piece.halves().is_none(), "{}", piece.to_bytes().len());
        }
        let mut merged = parts[0].clone();
        parts[1..].iter().for_each(|piece| merged.merge(piece).unwrap());
        let submission = Submission { window_ms: 60_000, generation: 1, settings: String::new(), writer: String::new() };
        prop_assert_eq!(result::encode(merged, &submission, true), result::encode(whole, &submission, true));
    }

    #[test]
    fn orders_taken_out_and_merged_again_change_nothing(orders in proptest::collection::vec(an_order(), 0..40)) {
        let whole = counted(&orders, &once());
        let mut rest = whole.clone();
        let taken = rest.take_orders();
        prop_assert_eq!(taken.is_some(), !orders.is_empty());
        prop_assert_eq!(rest.events(), whole.events());
        if let Some(taken) = taken {
            prop_assert_eq!(taken.events(), 0);
            rest.merge(&taken).unwrap();
        }
        prop_assert_eq!(rest.to_bytes(), whole.to_bytes());
    }

    #[test]
    fn equal_repeats_add_no_revenue(prices in proptest::collection::vec(1..99_i64, 0..30), repeats in 1..4_usize) {
        let orders: Vec<_> = prices.iter().enumerate().map(|(n, price)| order(&n.to_string(), 1, "x", *price)).collect();
        let repeated: Vec<_> = std::iter::repeat_n(&orders, repeats).flatten().cloned().collect();
        let revenue: i128 = counted(&repeated, &once()).with_orders_counted().metrics.revenue.sums().map(|(.., minor)| minor).sum();
        prop_assert_eq!(revenue, prices.iter().map(|price| i128::from(*price) * 2).sum());
    }
}

#[test]
fn the_log_of_orders_does_not_grow_with_repeats() {
    let orders: Vec<_> = (0..2_000).map(|n| order(&n.to_string(), 1, "x", 5)).collect();
    let part = counted(&orders, &once());
    let mut window = part.clone();
    for _ in 0..50 {
        window.merge(&part).unwrap();
    }
    assert!(window.to_bytes().len() < 4 * part.to_bytes().len(), "repeats are dropped when the log has doubled");
    assert_eq!(window.events(), 51 * 2_000);
}

#[test]
fn dead_letters_of_late_events_always_fit() {
    let categories: Vec<_> = (0..2_000).map(|n| format!("{n:064}")).collect();
    let mut window = Partial::new(0, &Policy { limit: 20_000, ..once() });
    for n in 0..8 {
        let mut event = order(&n.to_string(), 1, "x", 5);
        event.items = categories
            .iter()
            .map(|category| Item { category: category.clone().into(), ..event.items[0].clone() })
            .collect();
        window.add(&Observation::of(&event), &once());
        event.order_id = None;
        window.add(&Observation::of(&event), &once());
    }
    let max_letter_bytes = 262_144;
    let letters = letter::late_letters(window.clone(), "events", max_letter_bytes);
    assert!(letters.len() > 4);
    assert!(letters.iter().all(|letter| letter.len() <= max_letter_bytes));
    let read = |letter: &Vec<u8>| -> serde_json::Value {
        let key_end = 4 + usize::try_from(u32::from_le_bytes(letter[..4].try_into().unwrap())).unwrap();
        serde_json::from_slice(&letter[key_end..]).unwrap()
    };
    let events: Vec<_> = letters.iter().map(|letter| read(letter)["events"].as_u64().unwrap()).collect();
    assert_eq!(events.iter().sum::<u64>(), 16);
    let long = letter::late_letters(window, "events", 8_192);
    assert!(long.iter().all(|letter| letter.len() <= 8_192), "a dead letter leaves out an order that is too long");
    assert!(long.iter().any(|letter| read(letter)["is_truncated"] == true));
}

/// Shortest time of a few runs, in seconds.
fn seconds(mut work: impl FnMut()) -> f64 {
    let time = |work: &mut dyn FnMut()| {
        let started = std::time::Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    (0..5).map(|_| time(&mut work)).fold(f64::INFINITY, f64::min)
}

/// The exponent of growth: how the time of some work grows from one size to another.
fn exponent(sizes: [usize; 2], mut work: impl FnMut(usize)) -> f64 {
    let [small, large] = sizes.map(|size| seconds(|| work(size)));
    #[allow(clippy::cast_precision_loss)]
    let growth = sizes[1] as f64 / sizes[0] as f64;
    (large / small).log(growth)
}

#[test]
fn folding_categories_in_any_order_is_linear_whatever_the_limit() {
    for limit in [1_000, 20_000] {
        let found = exponent([60_000, 480_000], |size| {
            let mut sums = Bounded::<i128>::new(limit);
            for n in (0..size).rev() {
                sums.add("EUR", &format!("{n:08}"), &1, || false);
            }
            assert_eq!(sums.entries().len(), limit as usize);
        });
        assert!(found < 1.5, "limit {limit}: time grows by the power of {found:.2}");
    }
}

#[test]
fn the_cost_of_a_window_is_linear_in_its_orders() {
    let found = exponent([10_000, 80_000], |size| {
        // As the job does it: orders wait outside their window, and join it once.
        let mut window = Partial::new(0, &once());
        let mut held = Vec::new();
        for batch in 0..size / 100 {
            let orders: Vec<_> = (0..100).map(|n| order(&format!("{batch}-{n}"), 1, "x", 5)).collect();
            let mut partial = counted(&orders, &once());
            held.extend(partial.take_orders());
            window.merge(&partial).unwrap();
        }
        held.iter().for_each(|orders| window.merge(orders).unwrap());
        assert_eq!(
            window
                .with_orders_counted()
                .metrics
                .event_count
                .counts()
                .map(|(_, counts)| counts.of(Source::WEBSITE))
                .sum::<u64>(),
            size as u64
        );
    });
    assert!(found < 1.5, "time grows by the power of {found:.2}");
}

#[test]
fn a_million_names_neither_grow_the_window_nor_hide_known_rows() {
    let policy = Policy {
        categories: ["toys".to_owned()].into_iter().collect(),
        currencies: ["USD".to_owned()].into_iter().collect(),
        event_types: ["wishlist_add".to_owned()].into_iter().collect(),
        ..Policy::default()
    };
    let mut window = Partial::new(0, &policy);
    let mut event = order("o", 1, "toys", 100);
    for n in 0..1_000_000_u32 {
        event.event_type = format!("a{n}").into();
        window.add(&Observation::of(&event), &policy);
        event.event_type = "purchase".into();
        event.items[0].category = format!("!{n}").into();
        window.add(&Observation::of(&event), &policy);
    }
    event.items[0].category = "toys".into();
    window.add(&Observation::of(&event), &policy);
    event.event_type = "wishlist_add".into();
    window.add(&Observation::of(&event), &policy);
    assert_eq!(window.events(), 2_000_002);
    assert!(window
        .metrics
        .event_count
        .counts()
        .any(|(name, counts)| name == "wishlist_add" && counts.of(Source::WEBSITE) == 1));
    assert!(window
        .metrics
        .event_count
        .counts()
        .any(|(name, counts)| name == OTHER && counts.of(Source::WEBSITE) == 999_001));
    assert!(window.metrics.revenue.sums().any(|row| row == ("USD", "toys", 200)));
    assert!(window.metrics.revenue.sums().any(|row| row == ("USD", OTHER, 999_001 * 200)));
    assert!(window.to_bytes().len() < 100_000);
    assert!(
        result::encode(
            window,
            &Submission { window_ms: 60_000, generation: 1, settings: String::new(), writer: String::new() },
            true
        )
        .len()
            < 200_000
    );
}

fn metrics_of(partial: &Partial) -> BTreeSet<&'static str> {
    partial.rows().into_iter().map(|row| row.metric).collect()
}

/// The rows that a window has after its parts went through state bytes, as in the job.
fn through_state(orders: &[Event<'_>], policy: &Policy) -> Partial {
    let mut window = Partial::new(0, policy).to_bytes();
    for order in orders {
        window = accumulate(&window, &counted(std::slice::from_ref(order), policy).to_bytes()).unwrap();
    }
    Partial::from_bytes(&window).unwrap().with_orders_counted()
}

#[test]
fn a_metric_that_is_off_has_no_rows_also_when_orders_count_once() {
    let bits = Metrics::bits(["event_count", "revenue"]).unwrap();
    for deduplicate_orders in [false, true] {
        let policy = Policy { metrics: bits, deduplicate_orders, ..Policy::default() };
        let window = through_state(&[order("o", 1, "toys", 100)], &policy);
        assert_eq!(metrics_of(&window), BTreeSet::from(["event_count", "revenue"]));
    }
}

#[test]
fn a_metric_that_was_switched_on_later_has_rows_from_the_next_window_on() {
    let few = Policy { metrics: Metrics::bits(["event_count"]).unwrap(), ..Policy::default() };
    let mut window = counted(&[order("o", 1, "toys", 100)], &few);
    window.merge(&counted(&[order("p", 2, "toys", 100)], &Policy::default())).unwrap();
    assert_eq!(metrics_of(&window), BTreeSet::from(["event_count"]));
}

#[test]
fn as_many_products_have_rows_as_the_policy_says() {
    let orders: Vec<_> = (0..300_i64)
        .map(|n| {
            let mut event = order(&format!("o{n}"), 1, "toys", 1 + n);
            event.items[0].product_id = format!("p{n:03}").into();
            event
        })
        .collect();
    for top_products in [1, 100, 250] {
        let window = through_state(&orders, &Policy { top_products, ..Policy::default() });
        let rows = window.rows();
        let sold: Vec<_> = rows.iter().filter(|row| row.metric == "product_revenue").collect();
        assert_eq!(sold.len(), top_products as usize + 1, "and (other)");
        let least = format!("p{:03}", 300 - top_products);
        assert!(sold.iter().all(|row| row.dimension == OTHER || row.dimension >= least), "the greatest ones");
        let total: i128 = sold.iter().map(|row| if let Value::Money(minor) = row.value { minor } else { 0 }).sum();
        let paid = |event: &Event<'_>| i128::from(event.items[0].price_minor * event.items[0].quantity);
        assert_eq!(total, orders.iter().map(paid).sum());
    }
}
