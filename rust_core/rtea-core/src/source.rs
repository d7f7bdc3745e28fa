//! Where events come from: the mobile app and the website in our own events, up to 16 names in an event map.
//!
//! A source is a small number, so that counts by source are arrays. The numbers belong to one process: bytes that leave it
//! have names.

use std::sync::RwLock;

/// Most names that one process knows. A job has at most 16, but jobs that share a TaskManager share its numbers.
pub const MOST_SOURCES: usize = 250;

/// Where an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(u8);

/// Names by number.
static NAMES: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

/// Our own names have fixed numbers, and are not in [`NAMES`].
const OWN: [&str; 2] = ["mobile", "website"];

/// One name too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooManySources(pub String);

impl Source {
    /// The mobile app.
    pub const MOBILE: Self = Self(0);

    /// The website.
    pub const WEBSITE: Self = Self(1);

    /// The sources of our own events.
    pub const OWN: [Self; 2] = [Self::MOBILE, Self::WEBSITE];

    /// The source of our own events with that name.
    ///
    /// ```
    /// use rtea_core::source::Source;
    /// assert_eq!(Source::own("website"), Some(Source::WEBSITE));
    /// assert_eq!(Source::own("kiosk"), None);
    /// ```
    #[inline]
    #[must_use]
    pub fn own(name: &str) -> Option<Self> {
        match name {
            "mobile" => Some(Self::MOBILE),
            "website" => Some(Self::WEBSITE),
            _ => None,
        }
    }

    /// The source of that name, which gets a number if it has none yet.
    ///
    /// ```
    /// use rtea_core::source::Source;
    /// let kiosk = Source::named("kiosk").unwrap();
    /// assert_eq!((kiosk.name(), Source::named("kiosk").unwrap()), ("kiosk", kiosk));
    /// ```
    ///
    /// # Errors
    /// [`TooManySources`] when the process knows [`MOST_SOURCES`] names besides our own.
    pub fn named(name: &str) -> Result<Self, TooManySources> {
        if let Some(source) = Self::own(name) {
            return Ok(source);
        }
        let mut names = NAMES.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = names.iter().position(|known| *known == name).unwrap_or(names.len());
        if place == MOST_SOURCES {
            return Err(TooManySources(name.to_owned()));
        }
        if place == names.len() {
            names.push(String::leak(name.to_owned()));
        }
        u8::try_from(OWN.len() + place).map(Self).map_err(|_| TooManySources(name.to_owned()))
    }

    /// The name in events and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match OWN.get(self.index()) {
            Some(name) => name,
            None => NAMES.read().unwrap_or_else(std::sync::PoisonError::into_inner)[self.index() - OWN.len()],
        }
    }

    /// The number, for arrays.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Values by source; those of sources that were not seen are defaults. Our own two need no allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BySource<T> {
    own: [T; OWN.len()],
    others: Vec<T>,
}

impl<T: Default> BySource<T> {
    /// The value of a source, to change it.
    ///
    /// ```
    /// use rtea_core::source::{BySource, Source};
    /// let mut counts = BySource::<u64>::default();
    /// *counts.get_mut(Source::WEBSITE) += 1;
    /// assert_eq!(counts.iter().last(), Some((Source::WEBSITE, &1)));
    /// ```
    #[inline]
    pub fn get_mut(&mut self, source: Source) -> &mut T {
        let Some(place) = source.index().checked_sub(OWN.len()) else { return &mut self.own[source.index()] };
        if self.others.len() <= place {
            self.others.resize_with(place + 1, T::default);
        }
        &mut self.others[place]
    }

    /// The value of a source.
    #[must_use]
    pub fn of(&self, source: Source) -> T
    where
        T: Clone,
    {
        self.own.iter().chain(&self.others).nth(source.index()).cloned().unwrap_or_default()
    }

    /// All values with their sources, in the order of the numbers, which differs between processes.
    pub fn iter(&self) -> impl Iterator<Item = (Source, &T)> {
        // There are as many numbers as values, and a place fits into a number.
        (0..=u8::MAX).map(Source).zip(self.own.iter().chain(&self.others))
    }
}
