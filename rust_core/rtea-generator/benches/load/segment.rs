//! Events of another layout, for the bench of event maps.

/// Events in Segment's layout, 650 bytes on average, as its library for browsers writes them.
pub(crate) fn encoded(events: u64) -> Vec<Vec<u8>> {
    let product = |number: u64| {
        format!(
            r#""product_id":"p{:05}","sku":"sku-{number}","name":"A thing that we sell","category":"category-{}","brand":"acme","price":{}.{:02},"quantity":1"#,
            number % 20_000,
            number % 12,
            number % 90,
            number % 100,
        )
    };
    let one = |number: u64| {
        let (kind, name, properties) = match number % 8 {
            0..=3 => ("page", "", String::new()),
            4 | 5 => ("track", "Product Viewed", format!(r#"{},"currency":"USD""#, product(number))),
            6 => ("track", "Product Added", format!(r#"{},"currency":"USD""#, product(number))),
            _ => (
                "track",
                "Order Completed",
                format!(
                    r#""order_id":"o-{number}","total":99.5,"currency":"USD","products":[{{{}}}]"#,
                    product(number)
                ),
            ),
        };
        let event = if name.is_empty() { String::new() } else { format!(r#""event":"{name}","#) };
        let visitor = number * 7_919 % 200_000;
        format!(
            r#"{{"anonymousId":"5b2c9f1e-{visitor:012}","context":{{"campaign":{{"name":"spring","source":"newsletter"}},"ip":"203.0.113.7","library":{{"name":"analytics.js","version":"2.1.0"}},"locale":"en-US","page":{{"path":"/p/{number}","referrer":"https://www.example.com/search","title":"A thing","url":"https://shop.example/p/{number}"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}},{event}"messageId":"ajs-{number:032}","properties":{{{properties}}},"receivedAt":"2025-10-09T00:00:{:02}.500Z","timestamp":"2025-10-09T00:00:{:02}.123Z","type":"{kind}"}}"#,
            number % 60,
            number % 60,
        )
        .into_bytes()
    };
    (0..events).map(one).collect()
}
