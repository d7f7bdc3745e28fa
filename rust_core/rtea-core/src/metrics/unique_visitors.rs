//! Unique visitors by source, as sketches that BigQuery can merge.

use crate::dimension::Policy;
use crate::metrics::source_sketches::SourceSketches;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit};
use crate::observation::Observation;

/// Sketches of visitor ids.
#[derive(Debug, Clone, Default)]
pub struct UniqueVisitors(pub(crate) SourceSketches);

impl UniqueVisitors {
    /// The sketches by source.
    #[must_use]
    pub fn by_source(&self) -> &SourceSketches {
        &self.0
    }
}

impl Metric for UniqueVisitors {
    const SERIES: &'static [Series] = &[Series {
        name: "unique_visitors",
        dimension: "source, or all",
        unit: Unit::Distinct,
        description: "Distinct visitors by source, and of all sources together.",
    }];

    fn new(_: &Policy) -> Self {
        Self::default()
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, _: &Policy) {
        if part.has_event() {
            self.0.add(event.source, event.visitor_id);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn rows(&self, _: &Policy) -> Vec<Row<'_>> {
        self.0.rows_and_all(Self::SERIES[0].name)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let section = self.0.section();
        if section.is_empty() {
            return;
        }
        write(&section, bytes);
    }

    fn from_bytes(bytes: &[u8], _: &Policy) -> Result<Self, InvalidSection> {
        SourceSketches::of(read(bytes)?).map(Self)
    }
}
