//! Fuzzes MessagePack events. The oracle is `rmpv`, another reader. It must accept what we accept, with the same
//! fields. An accepted event must survive encoding in both formats.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmpv::Value;
use rtea_core::codec::{self, Format};
use rtea_core::observation::Observation;

fuzz_target!(|data: &[u8]| {
    if Format::of(data) != Format::Msgpack {
        return;
    }
    let mut scanned = Observation::blank();
    let is_scanned = codec::scan(data, &mut scanned);
    let Ok(event) = codec::decode(data) else { return assert!(!is_scanned) };
    if is_scanned {
        assert_eq!(scanned, Observation::of(&event));
    }
    let Ok(other) = rmpv::decode::read_value(&mut &*data) else { panic!("accepted invalid MessagePack") };
    let field = |index: usize, name: &str| match &other {
        Value::Array(values) => values.get(index).cloned(),
        // If a key is repeated, the last value counts.
        Value::Map(pairs) => pairs.iter().rev().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value.clone()),
        _ => None,
    };
    let text = |index, name| field(index, name).and_then(|value| value.as_str().map(str::to_owned));
    assert_eq!(text(0, "event_id").as_deref(), event.event_id.as_deref());
    assert_eq!(text(1, "event_type").as_deref(), Some(&*event.event_type));
    assert_eq!(text(2, "source").as_deref(), Some(event.source.name()));
    assert_eq!(text(4, "visitor_id").as_deref(), Some(&*event.visitor_id));
    for format in Format::READABLE {
        let mut bytes = Vec::new();
        codec::encode(&event, format, &mut bytes);
        assert_eq!(codec::decode(&bytes).as_ref(), Ok(&event));
    }
});
