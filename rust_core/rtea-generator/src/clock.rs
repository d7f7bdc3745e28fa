//! When events happen: the daily and weekly rhythm, flash sales, and the ramp at the start.
//!
//! Events are numbered in the order of their times, so the number determines the time: it is the time by which so many
//! events are expected. Time is divided into cells of [`CELL_MS`], and the rate is constant within a cell.
//! [`crate::stream`] uses the clock for event times, `rtea_gen.plan` uses it for pacing.

/// Length of a cell.
pub const CELL_MS: i64 = 10_000;

const DAY_MS: i64 = 86_400_000;

/// How the rate changes. Without sales and ramp, the mean over a week is the rate itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rhythm {
    /// How far the busiest hour is above the mean, and the quietest below it, as a share of the mean: 0 to 1.
    pub daily: f64,
    /// The busiest hour of the day, UTC.
    pub peak_hour: f64,
    /// How far a weekend day is above a working day, as a share of the mean: -1 to 1.
    pub weekly: f64,
    /// Time between the starts of flash sales. The first one starts this long after the first event. 0 for no sales.
    pub sale_every_ms: i64,
    /// Length of a flash sale.
    pub sale_length_ms: i64,
    /// The rate is multiplied by this factor during a flash sale.
    pub sale_factor: f64,
    /// How long the rate takes to rise evenly from zero at the start.
    pub ramp_ms: i64,
}

impl Rhythm {
    /// A constant rate, as load tests need it.
    pub const FLAT: Self = Self {
        daily: 0.0,
        peak_hour: 0.0,
        weekly: 0.0,
        sale_every_ms: 0,
        sale_length_ms: 0,
        sale_factor: 1.0,
        ramp_ms: 0,
    };

    /// Whether the rate never changes.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.daily == 0.0 && self.weekly == 0.0 && self.sale_every_ms == 0 && self.ramp_ms == 0
    }

    fn is_sale(&self, since_ms: i64) -> bool {
        self.sale_every_ms > 0
            && since_ms >= self.sale_every_ms
            && since_ms.rem_euclid(self.sale_every_ms) < self.sale_length_ms
    }

    /// Factor of the rate at `time_ms`, in a stream that starts at `start_ms`. Both are ms since the epoch.
    ///
    /// ```
    /// use rtea_generator::clock::Rhythm;
    /// let rhythm = Rhythm { daily: 0.5, peak_hour: 20.0, ..Rhythm::FLAT };
    /// assert_eq!(rhythm.factor(20 * 3_600_000, 0), 1.5);
    /// ```
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factor(&self, time_ms: i64, start_ms: i64) -> f64 {
        let hour = time_ms.rem_euclid(DAY_MS) as f64 / 3_600_000.0;
        let daily = 1.0 + self.daily * libm::cos((hour - self.peak_hour) / 24.0 * std::f64::consts::TAU);
        // Day 0 of the epoch was a Thursday, so days 2 and 3 of every seven are Saturday and Sunday.
        let is_weekend = matches!(time_ms.div_euclid(DAY_MS).rem_euclid(7), 2 | 3);
        let weekly = 1.0 + self.weekly * if is_weekend { 5.0 / 7.0 } else { -2.0 / 7.0 };
        let since_ms = time_ms - start_ms;
        let sale = if self.is_sale(since_ms) { self.sale_factor } else { 1.0 };
        let ramp = if since_ms < self.ramp_ms { since_ms as f64 / self.ramp_ms as f64 } else { 1.0 };
        daily * weekly * sale * ramp
    }
}

/// Event times of a stream. Its memory grows by 8 bytes for each cell up to the latest one that was asked for. A flat
/// rate needs no cells.
#[derive(Debug, Clone)]
pub struct Clock {
    start_ms: i64,
    rate_hz: u64,
    rhythm: Rhythm,
    /// Number of events before the end of each cell.
    ends: Vec<u64>,
    /// Number of events expected so far. `ends` has only whole numbers; the fraction is kept here, so that rounding
    /// errors do not add up.
    expected: f64,
    /// The cell that was found last. Numbers mostly rise, so the next event is probably in it too.
    cell: usize,
}

impl Clock {
    /// A clock whose event 0 happens at `start_ms`, or soon after it if there is a ramp. `rate_hz` must be at least 1.
    #[must_use]
    pub fn new(start_ms: i64, rate_hz: u64, rhythm: Rhythm) -> Self {
        Self { start_ms, rate_hz, rhythm, ends: Vec::new(), expected: 0.0, cell: 0 }
    }

    /// Event time of an event, ms since the epoch.
    ///
    /// ```
    /// use rtea_generator::clock::{Clock, Rhythm};
    /// assert_eq!(Clock::new(1_000, 4, Rhythm::FLAT).time_ms(6), 2_500);
    /// ```
    pub fn time_ms(&mut self, number: u64) -> i64 {
        if self.rhythm.is_flat() {
            let since_start = u128::from(number) * 1000 / u128::from(self.rate_hz);
            return self.start_ms.saturating_add(i64::try_from(since_start).unwrap_or(i64::MAX));
        }
        while self.ends.last().is_none_or(|end| *end <= number) {
            self.grow();
        }
        if !(self.begin(self.cell)..self.ends[self.cell]).contains(&number) {
            self.cell = self.ends.partition_point(|end| *end <= number);
        }
        let (begin, end) = (self.begin(self.cell), self.ends[self.cell]);
        let within = u128::from(number - begin) * u128::from(CELL_MS.unsigned_abs()) / u128::from(end - begin);
        self.cell_ms(self.cell) + i64::try_from(within).unwrap_or(0)
    }

    /// Number of the first event at or after a time.
    ///
    /// ```
    /// use rtea_generator::clock::{Clock, Rhythm};
    /// assert_eq!(Clock::new(1_000, 4, Rhythm::FLAT).number_at(2_500), 6);
    /// ```
    pub fn number_at(&mut self, time_ms: i64) -> u64 {
        let since_ms = u128::try_from(time_ms - self.start_ms).unwrap_or(0);
        if self.rhythm.is_flat() {
            return u64::try_from((since_ms * u128::from(self.rate_hz)).div_ceil(1000)).unwrap_or(u64::MAX);
        }
        let cell = usize::try_from(since_ms / u128::from(CELL_MS.unsigned_abs())).unwrap_or(0);
        while self.ends.len() <= cell {
            self.grow();
        }
        let (begin, end) = (self.begin(cell), self.ends[cell]);
        let within = since_ms % u128::from(CELL_MS.unsigned_abs());
        let numbers = (within * u128::from(end - begin)).div_ceil(u128::from(CELL_MS.unsigned_abs()));
        begin + u64::try_from(numbers).unwrap_or(0)
    }

    /// Number of the flash sale in which an event happens, counted from 1; `None` outside of a sale.
    ///
    /// ```
    /// use rtea_generator::clock::{Clock, Rhythm};
    /// let rhythm = Rhythm { sale_every_ms: 600_000, sale_length_ms: 60_000, ..Rhythm::FLAT };
    /// let mut clock = Clock::new(1_000, 1, rhythm);
    /// assert_eq!([599, 600, 659, 660].map(|number| clock.sale_at(number)), [None, Some(1), Some(1), None]);
    /// ```
    pub fn sale_at(&mut self, number: u64) -> Option<u64> {
        if self.rhythm.sale_every_ms <= 0 {
            return None;
        }
        let since_ms = self.time_ms(number) - self.start_ms;
        self.rhythm.is_sale(since_ms).then(|| since_ms.div_euclid(self.rhythm.sale_every_ms).unsigned_abs())
    }

    fn begin(&self, cell: usize) -> u64 {
        cell.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    fn cell_ms(&self, cell: usize) -> i64 {
        self.start_ms + i64::try_from(cell).unwrap_or(0) * CELL_MS
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn grow(&mut self) {
        let middle_ms = self.cell_ms(self.ends.len()) + CELL_MS / 2;
        let factor = self.rhythm.factor(middle_ms, self.start_ms).max(0.0);
        self.expected += self.rate_hz as f64 * (CELL_MS / 1000) as f64 * factor;
        self.ends.push(self.expected as u64);
    }
}
