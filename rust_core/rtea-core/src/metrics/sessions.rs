//! Sessions by source, as sketches.

use crate::dimension::Policy;
use crate::metrics::source_sketches::SourceSketches;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit};
use crate::observation::Observation;

/// Sketches of session ids. The events of a visitor without a session id are one session.
#[derive(Debug, Clone, Default)]
pub struct Sessions(SourceSketches);

impl Metric for Sessions {
    const SERIES: &'static [Series] = &[Series {
        name: "sessions",
        dimension: "source, or all",
        unit: Unit::Distinct,
        description:
            "Distinct sessions by source, and of all sources together; an event without a session id counts by \
                      its visitor.",
    }];

    fn new(_: &Policy) -> Self {
        Self::default()
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, _: &Policy) {
        if part.has_event() {
            self.0.add(event.source, event.session());
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
