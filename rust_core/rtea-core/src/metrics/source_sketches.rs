//! A sketch of ids for each source: what several metrics count.

use serde_bytes::{ByteBuf, Bytes};

use crate::metrics::{InvalidSection, Row, Value, ALL_SOURCES};
use crate::sketch::Sketch;
use crate::source::Source;

/// Distinct ids by source. A sketch is large, so only sources that were seen have one.
#[derive(Debug, Clone, Default)]
pub struct SourceSketches(Vec<(Source, Sketch)>);

/// Name and sketch of each source that was seen, sorted by name.
pub(super) type Section<'a> = Vec<(&'a str, &'a Bytes)>;

impl SourceSketches {
    /// Counts an id.
    #[inline]
    pub fn add(&mut self, source: Source, id: &str) {
        self.of_source(source).add(id.as_bytes());
    }

    /// Adds the ids of other sketches.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(source, sketch)| self.of_source(*source).merge(sketch));
    }

    #[inline]
    fn of_source(&mut self, source: Source) -> &mut Sketch {
        let place = self.0.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            self.0.push((source, Sketch::new()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }

    /// The sketches of the sources that were seen, sorted by the sources' names.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, &Sketch)> {
        let seen = self.0.iter().filter(|(_, sketch)| !sketch.is_empty());
        let mut named: Vec<_> = seen.map(|(source, sketch)| (source.name(), sketch)).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        named
    }

    /// The ids of all sources together; `None` without any.
    #[must_use]
    pub fn all(&self) -> Option<Sketch> {
        let mut all = Sketch::new();
        self.0.iter().for_each(|(_, sketch)| all.merge(sketch));
        (!all.is_empty()).then_some(all)
    }

    /// A row for each source.
    pub(super) fn rows(&self, metric: &'static str, dimension: impl Fn(&str) -> String) -> Vec<Row<'static>> {
        let row = |(name, sketch): (&str, &Sketch)| Row {
            metric,
            dimension: dimension(name),
            currency: "",
            value: Value::distinct(sketch),
        };
        self.named().into_iter().map(row).collect()
    }

    /// A row for each source, and one for all of them together.
    pub(super) fn rows_and_all(&self, metric: &'static str) -> Vec<Row<'static>> {
        let mut rows = self.rows(metric, str::to_owned);
        rows.extend(self.all().map(|all| Row {
            metric,
            dimension: ALL_SOURCES.to_owned(),
            currency: "",
            value: Value::distinct(&all),
        }));
        rows
    }

    /// What a section of the state bytes holds.
    pub(super) fn section(&self) -> Vec<(&'static str, ByteBuf)> {
        self.named().into_iter().map(|(name, sketch)| (name, ByteBuf::from(sketch.to_bytes()))).collect()
    }

    /// Reads a section.
    pub(crate) fn of(section: Section<'_>) -> Result<Self, InvalidSection> {
        let mut found = Self::default();
        for (name, bytes) in section {
            *found.of_source(Source::named(name)?) = Sketch::from_bytes(bytes)?;
        }
        Ok(found)
    }
}
