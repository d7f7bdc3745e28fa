//! The way to the purchase: how many sessions reached each step, by source, as sketches.
//!
//! Merging the sketches of several windows gives the conversion and the cart abandonment of any span.

use serde_bytes::{ByteBuf, Bytes};

use crate::dimension::Policy;
use crate::metrics::source_sketches::SourceSketches;
use crate::metrics::{read, write, InvalidSection, Metric, Part, Row, Series, Unit};
use crate::observation::Observation;

/// The steps, in their order.
const STEPS: [&str; 5] = ["product_view", "add_to_cart", "begin_checkout", "add_payment_info", "purchase"];

/// Sketches of the sessions that reached each step.
#[derive(Debug, Clone, Default)]
pub struct Funnel([SourceSketches; STEPS.len()]);

/// Step, and name and sketch of each source.
type Section<'a> = Vec<(&'a str, Vec<(&'a str, &'a Bytes)>)>;

impl Metric for Funnel {
    const SERIES: &'static [Series] = &[Series {
        name: "funnel",
        dimension: "step and source, for example add_to_cart_website",
        unit: Unit::Distinct,
        description: "Distinct sessions that reached a step on the way to the purchase, by source.",
    }];

    fn new(_: &Policy) -> Self {
        Self::default()
    }

    #[inline]
    fn add(&mut self, event: &Observation<'_>, part: Part, _: &Policy) {
        if let (true, Some(step)) = (part.has_event(), STEPS.iter().position(|step| *step == event.event_type)) {
            self.0[step].add(event.source, event.session());
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| mine.merge(theirs));
    }

    fn rows(&self, _: &Policy) -> Vec<Row<'_>> {
        let of_step = |(step, sketches): (&str, &SourceSketches)| {
            sketches.rows(Self::SERIES[0].name, |source| format!("{step}_{source}"))
        };
        STEPS.into_iter().zip(&self.0).flat_map(of_step).collect()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let of_step = |(step, sketches): (_, &SourceSketches)| (step, sketches.section());
        let mut section: Vec<(&str, Vec<(&str, ByteBuf)>)> = STEPS.into_iter().zip(&self.0).map(of_step).collect();
        section.retain(|(_, sketches)| !sketches.is_empty());
        if section.is_empty() {
            return;
        }
        write(&section, bytes);
    }

    fn from_bytes(bytes: &[u8], _: &Policy) -> Result<Self, InvalidSection> {
        let mut found = Self::default();
        for (name, sketches) in read::<Section<'_>>(bytes)? {
            let step = STEPS.iter().position(|step| *step == name);
            let step = step.ok_or_else(|| InvalidSection(format!("{name:?} is no step of the funnel")))?;
            found.0[step] = SourceSketches::of(sketches)?;
        }
        Ok(found)
    }
}
