//! How far a partition has come in event time: what the job's watermark is made of.
//!
//! Made by [`crate::fold`] with each batch; the Java `Watermarks` operator takes the minimum over partitions.
//!
//! The largest event time of a partition would be simple, but one phone whose clock is minutes fast would then make
//! everybody else late. So an event counts with its arrival at most, since no event can arrive before it happens. The
//! arrival is the record's timestamp, and the time at which the job reads the record if that is earlier.
//!
//! Some producers write no times, old times or wrong times into their records. Then most events of a batch are further
//! ahead of their records than any clock may be (`max_skew_ms`), and only the time of reading counts as the arrival.

/// How far the batch's partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Partition of the source topic.
    pub partition: i32,
    /// The offset that the source reads next.
    pub next_offset: i64,
    /// Largest event time, ms since the epoch, of which each event counts with its arrival at most; `None` when the batch
    /// has no valid event.
    pub event_time_ms: Option<i64>,
}

/// Follows the event times of one batch.
#[derive(Debug)]
pub(crate) struct Latest {
    now_ms: i64,
    max_skew_ms: i64,
    events: u64,
    beyond_their_records: u64,
    by_record_ms: Option<i64>,
    by_clock_ms: Option<i64>,
}

impl Latest {
    pub(crate) fn new(now_ms: i64, max_skew_ms: i64) -> Self {
        Self { now_ms, max_skew_ms, events: 0, beyond_their_records: 0, by_record_ms: None, by_clock_ms: None }
    }

    pub(crate) fn add(&mut self, event_time_ms: i64, record_ms: i64) {
        let by_clock_ms = event_time_ms.min(self.now_ms);
        self.events += 1;
        self.beyond_their_records += u64::from(event_time_ms > record_ms.saturating_add(self.max_skew_ms));
        self.by_clock_ms = self.by_clock_ms.max(Some(by_clock_ms));
        self.by_record_ms = self.by_record_ms.max(Some(by_clock_ms.min(record_ms)));
    }

    /// The largest event time, each event with its arrival at most.
    pub(crate) fn event_time_ms(&self) -> Option<i64> {
        if 2 * self.beyond_their_records <= self.events {
            self.by_record_ms
        } else {
            self.by_clock_ms
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Latest;

    const NOW_MS: i64 = 1_000_000;
    const MAX_SKEW_MS: i64 = 300_000;

    fn latest(events: &[(i64, i64)]) -> Option<i64> {
        let mut latest = Latest::new(NOW_MS, MAX_SKEW_MS);
        events.iter().for_each(|(event_time_ms, record_ms)| latest.add(*event_time_ms, *record_ms));
        latest.event_time_ms()
    }

    #[test]
    fn an_event_counts_with_its_arrival_at_most() {
        assert_eq!(latest(&[]), None);
        assert_eq!(latest(&[(500, 510), (480, 520), (90_000, 530)]), Some(530), "a fast clock among honest ones");
        assert_eq!(latest(&[(500, 600_000), (499, 600_001)]), Some(500), "an old file, sent now");
        assert_eq!(latest(&[(1_000_500, 1_000_001)]), Some(NOW_MS), "never past the clock");
    }

    #[test]
    fn producers_with_slow_clocks_do_not_free_a_fast_phone() {
        // The collector's clock is two seconds behind the phones', as NTP may leave it; the job reads a backlog.
        let honest = (0..99).map(|number| (100_000 + number, 98_000 + number));
        let events: Vec<_> = honest.chain([(340_000, 98_100)]).collect();
        assert_eq!(latest(&events), Some(98_100));
        assert_eq!(latest(&[(340_000, 98_100)]), Some(98_100), "alone in its batch");
    }

    #[test]
    fn records_without_a_true_time_do_not_stop_the_watermark() {
        for nonsense_ms in [-1, 0, 86_400, i64::MIN] {
            assert_eq!(latest(&[(500_000, nonsense_ms), (510_000, nonsense_ms)]), Some(510_000));
        }
    }
}
