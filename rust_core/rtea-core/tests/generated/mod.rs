//! Random valid events, which the tests of laws share.

pub(crate) mod oracle;

use proptest::prelude::*;
use rtea_core::codec::{self, Format};
use rtea_core::event::{Device, Event, Item, KNOWN_TYPES};
use rtea_core::source::Source;

pub(crate) const WINDOW_MS: i64 = 60_000;

fn text() -> impl Strategy<Value = String> {
    let text = prop_oneof!["[a-z0-9]{1,12}", "\\PC{1,20}", Just("\"\\\n\u{1}\u{1f600}".to_owned())];
    text.prop_filter("no identity is blank", |text| !text.trim().is_empty())
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

prop_compose! {
    fn item()(product_id in text(), category in "[a-e]", price_minor in 0..10_000_000_i64, quantity in 1..100_i64) -> Item<'static> {
        Item { product_id: product_id.into(), category: category.into(), price_minor, quantity }
    }
}

prop_compose! {
    fn device()(
        fields in proptest::array::uniform6(maybe()),
        known in proptest::option::of(proptest::sample::select(vec!["iOS 17.2", "android", "Windows", "macOS", "Tizen"])),
    ) -> Device<'static> {
        let [os, app_version, browser, screen, locale, country] = fields.map(|field| field.map(Into::into));
        let os = known.map(Into::into).or(os);
        Device { os, app_version, browser, screen, locale, country }
    }
}

prop_compose! {
    pub(crate) fn event()(
        event_type in prop_oneof![
            Just("purchase".to_owned()),
            proptest::sample::select(KNOWN_TYPES.to_vec()).prop_map(str::to_owned),
            "[a-z][a-z0-9_]{0,9}",
        ],
        mobile in any::<bool>(),
        event_time_ms in 0..WINDOW_MS,
        visitor in 0..40_u8,
        texts in proptest::array::uniform8(maybe()),
        event_id in proptest::option::of(text()),
        device in proptest::option::of(device()),
        items in proptest::collection::vec(item(), 1..4),
        currency in proptest::option::of(proptest::sample::select(vec!["USD", "EUR", "JPY", "KWD"])),
        schema_version in 1..4_u32,
    ) -> Event<'static> {
        let [session_id, user_id, page_url, referrer, search_term, campaign, order_id, _] = texts.map(|text| text.map(Into::into));
        Event {
            event_id: event_id.map(Into::into),
            event_type: event_type.into(),
            source: if mobile { Source::MOBILE } else { Source::WEBSITE },
            event_time_ms,
            visitor_id: format!("visitor-{visitor}").into(),
            schema_version, session_id, user_id, page_url, referrer, search_term, campaign, device, items,
            currency: currency.map(Into::into),
            order_id,
        }
    }
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event<'static>>> {
    proptest::collection::vec(event(), 0..30)
}

pub(crate) fn encoded(event: &Event<'_>, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(event, format, &mut bytes);
    bytes
}
