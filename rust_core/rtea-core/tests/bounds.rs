//! Promises: a window keeps so many dimensions and no more, the protected ones first, and which of the
//! others depends on their names alone; nothing is lost of the rest; an order counts once, in whatever
//! order and batches its repeats come. Judged by naive oracles over sorted maps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rtea_core::aggregate::Partial;
use rtea_core::dimension::{Bounded, Policy, OTHER};
use rtea_core::event::{Event, Item, Source};
use rtea_core::result;

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
        sums.add(currency, name, i128::from(*amount), || is_protected(name));
    }
    sums
}

/// Sums everything, then cuts: protected names first, then by currency and name.
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
    let kept = sums.entries().iter().map(|e| ((e.currency.clone(), e.name.clone()), e.amount)).collect();
    (kept, sums.others().iter().cloned().collect())
}

fn order(id: &str, visitor: u8, category: &str, price_minor: i64) -> Event<'static> {
    Event {
        event_id: format!("{id}-{visitor}").into(),
        event_type: "purchase".into(),
        source: if visitor.is_multiple_of(2) { Source::Mobile } else { Source::Website },
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
    events.iter().for_each(|event| partial.add(event, policy));
    partial
}

proptest! {
    #[test]
    fn what_is_kept_follows_from_the_names_alone(amounts in amounts(), limit in 0..12_u32, cut in 0..60_usize) {
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
    fn the_smaller_limit_holds(first in amounts(), second in amounts(), limits in (0..12_u32, 0..12_u32)) {
        let all: Amounts = first.iter().chain(&second).cloned().collect();
        let mut merged = bounded(limits.0, &first);
        merged.merge(&bounded(limits.1, &second));
        prop_assert_eq!(read(&merged), naive(limits.0.min(limits.1) as usize, &all));
    }

    #[test]
    fn an_order_counts_once_however_it_is_cut(orders in proptest::collection::vec(an_order(), 0..40), cut in 0..40_usize) {
        let whole = counted(&orders, &once());
        let (first, second) = orders.split_at(cut.min(orders.len()));
        let mut merged = counted(second, &once());
        merged.merge(&counted(first, &once())).unwrap();
        let through_bytes = Partial::from_bytes(&merged.to_bytes()).unwrap();
        let distinct: BTreeSet<_> = orders.iter().map(|event| event.order_id.clone()).collect();
        prop_assert_eq!(whole.events(), distinct.len() as u64);
        let rows = |partial: Partial| {
            let partial = partial.with_orders_counted();
            let counts: Vec<_> = partial.counts().map(|(name, counts)| (name.to_owned(), counts)).collect();
            let revenue: Vec<_> = partial.revenue().map(|(c, n, minor)| (c.to_owned(), n.to_owned(), minor)).collect();
            (partial.events(), counts, revenue)
        };
        prop_assert_eq!(rows(whole.clone()), rows(merged));
        prop_assert_eq!(rows(whole.clone()), rows(through_bytes));
        let mut again = whole.clone();
        again.merge(&whole).unwrap();
        prop_assert_eq!(rows(again), rows(whole));
    }

    #[test]
    fn equal_repeats_give_what_each_order_once_gives(prices in proptest::collection::vec(1..99_i64, 0..30), repeats in 1..4_usize) {
        let orders: Vec<_> = prices.iter().enumerate().map(|(n, price)| order(&n.to_string(), 1, "x", *price)).collect();
        let repeated: Vec<_> = std::iter::repeat_n(&orders, repeats).flatten().cloned().collect();
        let revenue: i128 = counted(&repeated, &once()).with_orders_counted().revenue().map(|(.., minor)| minor).sum();
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
    assert_eq!(window.events(), 2_000);
}

#[test]
fn a_million_names_cost_a_bounded_window_and_hide_no_true_row() {
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
        window.add(&event, &policy);
        event.event_type = "purchase".into();
        event.items[0].category = format!("!{n}").into();
        window.add(&event, &policy);
    }
    event.items[0].category = "toys".into();
    window.add(&event, &policy);
    event.event_type = "wishlist_add".into();
    window.add(&event, &policy);
    assert_eq!(window.events(), 2_000_002);
    assert!(window.counts().any(|row| row == ("wishlist_add", [0, 1])));
    assert!(window.counts().any(|row| row == (OTHER, [0, 999_001])));
    assert!(window.revenue().any(|row| row == ("USD", "toys", 200)));
    assert!(window.revenue().any(|row| row == ("USD", OTHER, 999_001 * 200)));
    assert!(window.to_bytes().len() < 100_000);
    assert!(result::encode(window, 60_000).len() < 200_000);
}
