//! Fuzzes state bytes. What is read must be the same after it is written and read again, and it must make a result. A
//! merge with an empty partial must not change its counts. It may change its sketches: HLL++ bytes have no checksum,
//! and a merge sorts a damaged list of registers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtea_core::aggregate::Partial;
use rtea_core::dimension::Policy;
use rtea_core::metrics::Value;
use rtea_core::refused::Refused;
use rtea_core::part;
use rtea_core::result::{self, Submission};

fuzz_target!(|data: &[u8]| {
    if let Ok(refused) = Refused::from_bytes(data) {
        assert_eq!(Refused::from_bytes(&refused.to_bytes()), Ok(refused));
    }
    let Ok(partial) = Partial::from_bytes(data) else { return };
    let bytes = partial.to_bytes();
    let Ok(again) = Partial::from_bytes(&bytes) else { panic!("wrote what it cannot read") };
    assert_eq!(again.to_bytes(), bytes);
    let mut merged = Partial::new(partial.window_start_ms, &Policy { limit: u32::MAX, ..Policy::default() });
    let Ok(()) = merged.merge(&partial) else { panic!("the windows are the same") };
    let counted = |partial: &Partial| {
        let rows = partial.rows().into_iter().filter(|row| !matches!(row.value, Value::Distinct(..)));
        let rows: Vec<_> = rows.map(|row| (row.metric, row.dimension, row.currency.to_owned(), row.value)).collect();
        (partial.events(), rows)
    };
    // Not assert_eq, because it would print pages of sketches.
    assert!(counted(&merged) == counted(&partial), "a merge with an empty partial changed the counts");
    let mut parts = part::split(partial.clone(), 500).into_iter();
    let Some(mut whole) = parts.next() else { panic!("a partial has a part") };
    for next in parts {
        let Ok(()) = whole.merge(&next) else { panic!("the windows are the same") };
    }
    let rows = |partial: &Partial| counted(&partial.clone().with_orders_counted());
    assert!(rows(&whole) == rows(&partial), "the merged parts differ from the whole");
    let _ = result::encode(merged, &Submission { window_ms: 60_000, generation: 1, settings: String::new(), writer: String::new() }, true);
});
