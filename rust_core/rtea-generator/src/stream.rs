//! The stream: it gives the event of each number. Events are numbered in event-time order.
//!
//! [`crate::feed`] asks it for events, [`rtea_core::codec`] writes them, and [`crate::truth`] counts what they mean.

use std::borrow::Cow;

use rtea_core::event::{self, Event, Item, KNOWN_TYPES, SCHEMA_VERSION};
use rtea_core::source::Source;

use crate::behaviour::Action;
use crate::catalogue::Catalogue;
use crate::clock::{Clock, Rhythm};
use crate::interleaver::{Interleaver, Pattern, INTERLEAVERS};
use crate::population::Population;
use crate::random::mix;
use crate::session::{self, Step};

const BOT_OS: &str = "Linux";

/// Hexadecimal digits of a session id.
const SESSION_DIGITS: usize = 12;
const BOT_BROWSER: &str = "ExampleBot 2.1";

/// What defines a stream: streams with equal settings are equal byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Seed of everything random.
    pub seed: u64,
    /// Event time of event 0, ms since the epoch.
    pub start_ms: i64,
    /// Mean number of events per second of event time, at least 1. The rhythm varies it.
    pub rate_hz: u64,
    /// How the rate changes over time.
    pub rhythm: Rhythm,
    /// Number of visitors that are active at a time, rounded up to a multiple of [`INTERLEAVERS`]. Each has an event
    /// every `lanes / rate_hz` seconds on average.
    pub lanes: u64,
    /// Standard deviation of the natural logarithm of the pauses between a visitor's events.
    pub pause_sigma: f64,
    /// The population that the visitors come from.
    pub population: Population,
}

/// One event of the model, before it is written in a format.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The event's number.
    pub number: u64,
    /// Event time, ms since the epoch.
    pub time_ms: i64,
    /// What happens.
    pub step: Step,
}

/// The stream of some settings. The event of a number depends only on the settings, not on what was asked before.
#[derive(Debug)]
pub struct Stream {
    settings: Settings,
    clock: Clock,
    pattern: Pattern,
    interleavers: Vec<Interleaver>,
}

impl Stream {
    /// A stream. It builds an epoch only when somebody asks for an event.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let pattern = Pattern::new(settings.seed, settings.lanes, settings.pause_sigma, settings.population.clone());
        let clock = Clock::new(settings.start_ms, settings.rate_hz, settings.rhythm);
        Self { settings, clock, pattern, interleavers: (0..INTERLEAVERS).map(Interleaver::numbered).collect() }
    }

    /// The settings that define the stream.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How visitors are interleaved in it.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The event of a number. Cheap if numbers rise; a jump costs the rebuilding of an epoch in its interleaver.
    ///
    /// ```
    /// # use rtea_generator::{clock::Rhythm, population::Population, stream::{Settings, Stream}};
    /// # let (rhythm, population) = (Rhythm::FLAT, Population::new(10, 10, 0.5, 0.9));
    /// let settings = Settings { seed: 1, start_ms: 0, rate_hz: 4, rhythm, lanes: 1, pause_sigma: 1.0, population };
    /// let (mut one, mut other) = (Stream::new(settings.clone()), Stream::new(settings));
    /// let (_, late) = (one.moment(5), one.moment(90_000));
    /// assert_eq!(late.step.session, other.moment(90_000).step.session);
    /// ```
    pub fn moment(&mut self, number: u64) -> Moment {
        #[allow(clippy::cast_possible_truncation)]
        let interleaver = &mut self.interleavers[(number % INTERLEAVERS) as usize];
        let step = interleaver.step(&self.pattern, &mut self.clock, number / INTERLEAVERS);
        Moment { number, time_ms: self.clock.time_ms(number), step }
    }
}

/// The number of an event, read from its id; `None` if the id is not from a stream with this seed.
#[must_use]
pub fn number_of(event_id: &str, seed: u64) -> Option<u64> {
    let shape = event_id.get(14..18)?;
    if event_id.len() != 36 || shape.get(..1)? != "7" {
        return None;
    }
    let hex = |range: std::ops::Range<usize>| u64::from_str_radix(event_id.get(range)?, 16).ok();
    if hex(15..18)? != mix(seed) & 0xfff {
        return None;
    }
    let low = hex(19..23)? << 48 | hex(24..36)?;
    Some((low & LOW_62).wrapping_mul(INVERSE) & LOW_62)
}

const LOW_62: u64 = (1 << 62) - 1;
/// It is odd, so it has an inverse modulo 2^62: different numbers give different ids.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const INVERSE: u64 = 0x31de_83e1_9937_733d;

/// Writes one event after another, and reuses the buffers of their texts.
#[derive(Debug, Default)]
pub struct EventWriter {
    event_id: String,
    visitor_id: String,
    session_id: String,
    user_id: String,
    page_url: String,
    order_id: String,
    product_ids: [String; session::CART],
}

impl EventWriter {
    /// The event of a moment. It borrows the buffers of this writer until the next call.
    pub fn write<'a>(&'a mut self, moment: &Moment, seed: u64, population: &'a Population) -> Event<'a> {
        let Moment { number, time_ms, step } = *moment;
        let website = step.source == Source::WEBSITE;
        let landing = step.position == 0;
        let (mixes, catalogue) = (&population.mixes, population.catalogue.as_ref());
        let country = step.visitor.country(&mixes.countries);
        write_event_id(&mut self.event_id, seed, number, time_ms);
        write_id(&mut self.visitor_id, b'v', mix(u64::from(step.visitor.id())), 16);
        write_id(&mut self.session_id, b's', step.session, SESSION_DIGITS);
        write_id(&mut self.user_id, b'u', u64::from(step.visitor.person), 8);
        write_id(&mut self.order_id, b'o', mix(number ^ seed), 12);
        write_page(&mut self.page_url, &step, catalogue);
        for (text, line) in self.product_ids.iter_mut().zip(step.lines()) {
            write_id(text, b'p', u64::from(line.product), 6);
        }
        let device = if step.visitor.is_bot {
            event::Device { os: Some(BOT_OS.into()), browser: Some(BOT_BROWSER.into()), ..event::Device::default() }
        } else {
            let found = step.visitor.device(&mixes.devices[step.source.index()]);
            event::Device {
                os: Some(found.os.as_str().into()),
                app_version: (!website).then(|| found.program.as_str().into()),
                browser: website.then(|| found.program.as_str().into()),
                screen: landing.then(|| found.screen.as_str().into()),
                locale: landing.then(|| country.locale.as_str().into()),
                country: Some(country.code.as_str().into()),
            }
        };
        let items = step
            .lines()
            .iter()
            .zip(&self.product_ids)
            .map(|(line, id)| Item {
                product_id: Cow::Borrowed(id),
                category: catalogue.category_of(line.product).name.as_str().into(),
                price_minor: catalogue.price_minor(line.product),
                quantity: i64::from(line.quantity),
            })
            .collect();
        let is_guest = landing && !step.visitor.is_bot;
        let referrer = if website && is_guest { mixes.referrers.at(step.session >> 16).as_deref() } else { None };
        Event {
            event_id: Some(Cow::Borrowed(&self.event_id)),
            event_type: KNOWN_TYPES[step.action as usize].into(),
            source: step.source,
            event_time_ms: time_ms,
            visitor_id: Cow::Borrowed(&self.visitor_id),
            schema_version: SCHEMA_VERSION,
            session_id: Some(Cow::Borrowed(&self.session_id)),
            user_id: step.logged_in.then_some(Cow::Borrowed(self.user_id.as_str())),
            page_url: website.then_some(Cow::Borrowed(self.page_url.as_str())),
            referrer: referrer.map(Cow::Borrowed),
            search_term: (step.action == Action::Search)
                .then(|| mixes.search_terms[step.product as usize % mixes.search_terms.len()].as_str().into()),
            campaign: campaign_of(&step, population).map(Cow::Borrowed),
            device: Some(device),
            items,
            currency: (step.action == Action::Purchase).then(|| country.currency().into()),
            order_id: (step.action == Action::Purchase).then_some(Cow::Borrowed(self.order_id.as_str())),
        }
    }
}

/// The session as a number, as far as its id tells.
pub(crate) fn session_of(step: &Step) -> u64 {
    step.session & ((1 << (4 * SESSION_DIGITS)) - 1)
}

/// The campaign that brought the visitor, which is known at the landing.
pub(crate) fn campaign_of<'a>(step: &Step, population: &'a Population) -> Option<&'a str> {
    let mixes = &population.mixes;
    #[allow(clippy::cast_possible_truncation)]
    let (chance, choice) = (step.session as u16, step.session >> 16);
    let is_guest = step.position == 0 && !step.visitor.is_bot;
    let has_campaign = is_guest && f64::from(chance) / 65_536.0 < population.shares.campaign;
    has_campaign.then(|| mixes.campaigns[step.source.index()].at(choice / mixes.referrers.total()).as_str())
}

/// The operating system of the visitor's device.
pub(crate) fn os_of<'a>(step: &Step, population: &'a Population) -> &'a str {
    if step.visitor.is_bot {
        return BOT_OS;
    }
    &step.visitor.device(&population.mixes.devices[step.source.index()]).os
}

/// Writes an id in the form of a UUID version 7 (RFC 9562): the event time, 12 bits of the mixed seed, and a bijection
/// of the number.
fn write_event_id(text: &mut String, seed: u64, number: u64, time_ms: i64) {
    let low = number.wrapping_mul(FACTOR) & LOW_62 | 1 << 63;
    let time = u64::try_from(time_ms).unwrap_or(0);
    let mut shape = *b"????????-????-7???-????-????????????";
    write_hex(&mut shape[..8], time >> 16);
    write_hex(&mut shape[9..13], time);
    write_hex(&mut shape[15..18], mix(seed));
    write_hex(&mut shape[19..23], low >> 48);
    write_hex(&mut shape[24..], low);
    set(text, &shape);
}

/// Writes a prefix and the lowest `digits` hexadecimal digits of a value; `digits` is at most 16.
fn write_id(text: &mut String, prefix: u8, value: u64, digits: usize) {
    let mut shape = [prefix; 17];
    write_hex(&mut shape[1..=digits], value);
    set(text, &shape[..=digits]);
}

fn set(text: &mut String, ascii: &[u8]) {
    text.clear();
    text.push_str(std::str::from_utf8(ascii).unwrap_or(""));
}

fn write_page(text: &mut String, step: &Step, catalogue: &Catalogue) {
    text.clear();
    text.push_str("https://shop.example");
    match step.action {
        Action::PageView if step.position == 0 => text.push('/'),
        Action::PageView => {
            text.push_str("/c/");
            text.push_str(&catalogue.category_of(step.product).slug);
        }
        Action::Search => text.push_str("/search"),
        Action::ProductView => {
            text.push_str("/p/");
            let mut digits = [0; 6];
            write_hex(&mut digits, u64::from(step.product));
            text.push_str(std::str::from_utf8(&digits).unwrap_or(""));
        }
        Action::AddToCart | Action::RemoveFromCart => text.push_str("/cart"),
        Action::BeginCheckout => text.push_str("/checkout"),
        Action::AddPaymentInfo => text.push_str("/checkout/payment"),
        Action::Purchase => text.push_str("/thanks"),
    }
}

/// Fills a slice with the lowest hexadecimal digits of a number.
fn write_hex(place: &mut [u8], value: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (digit, byte) in place.iter_mut().rev().enumerate() {
        *byte = DIGITS[(value >> (4 * digit)) as usize & 15];
    }
}
