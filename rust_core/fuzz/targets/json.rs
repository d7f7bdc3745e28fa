//! Fuzzes JSON events. The oracle is `serde_json`, another parser. It must accept what we accept, with the same fields,
//! and refuse what we call invalid JSON, except for deep nesting. An accepted event must survive encoding in both
//! formats. The two readers of event maps must agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtea_core::codec::map::{EventMap, Scratch};
use rtea_core::codec::{self, Format};
use rtea_core::observation::Observation;
use rtea_core::reject::Reason;
use serde_json::Value;

thread_local! {
    static MAPS: Vec<EventMap> = [
        include_str!("../../../python/rtea/maps/ga4-export.toml"),
        include_str!("../../../python/rtea/maps/rees46.toml"),
        include_str!("../../../python/rtea/maps/segment.toml"),
        include_str!("../../../python/rtea/maps/snowplow.toml"),
    ]
    .map(|text| EventMap::parse(text).expect("a preset"))
    .into();
}

fuzz_target!(|data: &[u8]| {
    MAPS.with(|maps| {
        for map in maps {
            assert_eq!(map.decode(data, &mut Scratch::default()), map.decode_whole(data));
        }
    });
    if Format::of(data) != Format::Json {
        return;
    }
    let mut scanned = Observation::blank();
    if codec::scan(data, &mut scanned) {
        let event = codec::decode(data).expect("scanned");
        assert_eq!(scanned, Observation::of(&event));
    }
    let other = serde_json::from_slice::<Value>(data);
    match codec::decode(data) {
        Ok(event) => {
            let Ok(json) = other else { panic!("accepted invalid JSON: {other:?}") };
            assert_eq!(json["event_id"].as_str(), event.event_id.as_deref());
            assert_eq!(json["event_type"].as_str(), Some(&*event.event_type));
            assert_eq!(json["visitor_id"].as_str(), Some(&*event.visitor_id));
            assert_eq!(json["source"].as_str(), Some(event.source.name()));
            if let Some(time_ms) = json["event_time"].as_i64() {
                assert_eq!(time_ms, event.event_time_ms);
            }
            assert_eq!(json["items"].as_array().map_or(0, Vec::len), event.items.len());
            let unit = 10_f64.powi(event.price_digits() as i32);
            for (theirs, ours) in json["items"].as_array().into_iter().flatten().zip(&event.items) {
                assert_eq!(theirs["category"].as_str(), Some(&*ours.category));
                let price = theirs["price"].as_f64().map(|price| (price * unit).round() as i64);
                assert_eq!(price, Some(ours.price_minor));
            }
            for format in Format::READABLE {
                let mut bytes = Vec::new();
                codec::encode(&event, format, &mut bytes);
                assert_eq!(codec::decode(&bytes).as_ref(), Ok(&event));
            }
        }
        Err(reject) if reject.reason == Reason::InvalidJson => {
            let is_deep = data.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() >= 127;
            assert!(other.is_err() || is_deep, "refused JSON as invalid: {reject}");
        }
        Err(_) => {}
    }
});
