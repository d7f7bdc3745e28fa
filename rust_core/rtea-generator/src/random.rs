//! Random numbers with random access: a counter-based generator.
//!
//! Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014); the
//! output function is SplitMix64's.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes 64 bits; a bijection.
#[must_use]
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A stream of random numbers. It can start anywhere without extra work.
#[derive(Debug, Clone, Copy)]
pub struct Random(u64);

impl Random {
    /// The stream that belongs to a seed and a key.
    ///
    /// ```
    /// use rtea_generator::random::Random;
    /// assert_eq!(Random::of(1, 2).bits(), Random::of(1, 2).bits());
    /// assert_ne!(Random::of(1, 2).bits(), Random::of(1, 3).bits());
    /// ```
    #[must_use]
    pub fn of(seed: u64, key: u64) -> Self {
        Self(mix(seed ^ mix(key.wrapping_add(GOLDEN))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `[0, 1)`.
    #[allow(clippy::cast_precision_loss)]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `[0, bound)`; `bound` must be positive.
    #[allow(clippy::cast_possible_truncation)]
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(bound) * (self.bits() >> 32)) >> 32) as u32
    }
}

/// Ranks in `[0, count)` whose probability falls as a power law: the inverse of a bounded Pareto distribution. If `1 /
/// (1 - exponent)` is a whole number, as for 0.5, 0.8 and 0.9, a draw takes only a few multiplications.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    count: u32,
    power: f64,
    whole: Option<i32>,
    span: f64,
}

impl PowerLaw {
    /// The power law over `count` ranks, at least 1, with an exponent in `[0, 0.99]`; 0 is uniform.
    ///
    /// ```
    /// use rtea_generator::random::{PowerLaw, Random};
    /// assert!(PowerLaw::new(100, 0.9).draw(&mut Random::of(1, 1)) < 100);
    /// ```
    #[must_use]
    pub fn new(count: u32, exponent: f64) -> Self {
        let power = 1.0 / (1.0 - exponent.clamp(0.0, 0.99));
        let span = libm::pow(f64::from(count) + 1.0, 1.0 / power) - 1.0;
        #[allow(clippy::cast_possible_truncation)]
        let whole = ((power - libm::round(power)).abs() < 1e-9).then_some(libm::round(power) as i32);
        Self { count, power, whole, span }
    }

    /// Number of ranks.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Draws a rank.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn draw(&self, random: &mut Random) -> u32 {
        let base = 1.0 + random.unit() * self.span;
        let rank = self.whole.map_or_else(|| libm::pow(base, self.power), |whole| base.powi(whole));
        (rank as u32).clamp(1, self.count) - 1
    }
}
