//! Interleaves many visitors in one stream: it decides which lane acts at which place.
//!
//! A lane has one visitor at a time. Events are numbered in event-time order, so the pause between two events of a lane
//! is the distance between their places in the stream. An interleaver assigns its places in epochs. In each epoch,
//! every lane draws [`BLOCK`] log-normal pauses and stretches them to fill the epoch. The order of all these moments
//! gives the places. So every place is used once, pauses keep their distribution, and an epoch depends only on the seed
//! and its number.
//!
//! [`crate::stream`] asks it for steps. [`crate::session`] decides what a lane does.

use crate::clock::Clock;
use crate::population::Population;
use crate::random::{mix, Random};
use crate::session::{Step, Walk};

/// Number of interleavers of a stream. Event `number` belongs to interleaver `number % INTERLEAVERS`. They are many, so
/// that an epoch is small and stays in the processor's cache, and a power of two, so that each process can work on its
/// own interleavers.
pub const INTERLEAVERS: u64 = 256;

/// Events of a lane in an epoch. A session that is still open at the end of the epoch is abandoned there.
pub const BLOCK: u64 = 32;

const LANE_BITS: u32 = 24;
const TABLE_BITS: u32 = 12;

/// What the interleavers of a stream have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    seed: u64,
    lanes: u64,
    population: Population,
    pauses: Vec<f32>,
}

impl Pattern {
    /// A pattern with `lanes` lanes in total, rounded up to a multiple of [`INTERLEAVERS`] and limited to 2^32. Pauses
    /// are log-normal: `pause_sigma` is the standard deviation of their natural logarithm.
    #[must_use]
    pub fn new(seed: u64, lanes: u64, pause_sigma: f64, population: Population) -> Self {
        let lanes = lanes.div_ceil(INTERLEAVERS).clamp(1, 1 << LANE_BITS);
        #[allow(clippy::cast_possible_truncation)]
        let pauses = (0..1_u32 << TABLE_BITS)
            .map(|n| {
                let share = (f64::from(n) + 0.5) / f64::from(1_u32 << TABLE_BITS);
                libm::exp(pause_sigma * normal_quantile(share)) as f32
            })
            .collect();
        Self { seed, lanes, population, pauses }
    }

    /// The population that the visitors come from.
    #[must_use]
    pub fn population(&self) -> &Population {
        &self.population
    }

    fn pause(&self, random: &mut Random) -> f32 {
        self.pauses[(random.bits() >> (64 - TABLE_BITS)) as usize]
    }

    /// The random numbers of a lane in an epoch: one stream for its behaviour, one for its pauses.
    fn lane(&self, interleaver: u64, lane: u64, epoch: u64) -> [Random; 2] {
        let key = mix(interleaver << LANE_BITS | lane) ^ epoch;
        [Random::of(self.seed, key), Random::of(!self.seed, key)]
    }
}

/// Quantile of the standard normal distribution, `share` in (0, 1).
///
/// Source: Peter Acklam, "An algorithm for computing the inverse normal cumulative distribution function"
/// (2003); its relative error is below 1.2e-9.
fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    const TAIL: f64 = 0.024_25;
    let polynomial = |terms: &[f64], x: f64| terms.iter().fold(0.0, |sum, term| sum * x + term);
    let tail = |share: f64| {
        let q = libm::sqrt(-2.0 * libm::log(share));
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if share < TAIL {
        tail(share)
    } else if share > 1.0 - TAIL {
        -tail(1.0 - share)
    } else {
        let q = share - 0.5;
        polynomial(&A, q * q) * q / (polynomial(&B, q * q) * q * q + 1.0)
    }
}

/// One interleaver and its current place in its part of the stream. The next place costs one step. An earlier place, or
/// one in another epoch, costs the rebuilding of an epoch.
#[derive(Debug)]
pub struct Interleaver {
    number: u64,
    epoch: Option<u64>,
    /// The lane of each place of the epoch.
    order: Vec<u32>,
    /// The walk of each lane; `None` before its first event of the epoch.
    walks: Vec<Option<Walk>>,
    /// Places of the epoch that were used so far.
    taken: u64,
    last: Option<Step>,
}

impl Interleaver {
    /// The interleaver with that number, which is below [`INTERLEAVERS`].
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        Self { number, epoch: None, order: Vec::new(), walks: Vec::new(), taken: 0, last: None }
    }

    /// The step at a place of this interleaver's part of the stream. `clock` is the clock of the stream.
    pub fn step(&mut self, pattern: &Pattern, clock: &mut Clock, place: u64) -> Step {
        let length = pattern.lanes * BLOCK;
        let place = place + self.offset(length);
        let (epoch, slot) = (place / length, place % length);
        if self.epoch != Some(epoch) || slot + 1 < self.taken {
            self.begin(pattern, epoch);
        }
        if slot + 1 == self.taken {
            if let Some(step) = self.last {
                return step;
            }
        }
        while self.taken < slot {
            self.advance(pattern, clock, epoch);
        }
        let step = self.advance(pattern, clock, epoch).step();
        self.last = Some(step);
        step
    }

    /// Interleavers begin at different places of their first epoch, so that not all sessions begin at the same time.
    fn offset(&self, length: u64) -> u64 {
        mix(self.number) % length
    }

    fn begin(&mut self, pattern: &Pattern, epoch: u64) {
        let length = pattern.lanes * BLOCK;
        let mut moments: Vec<u64> = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let mut times = [0.0_f32; BLOCK as usize];
        for lane in 0..pattern.lanes {
            let [_, mut random] = pattern.lane(self.number, lane, epoch);
            // One pause crosses the border of the epoch: its end comes before the first event, its start after the last
            // one.
            let border = pattern.pause(&mut random);
            #[allow(clippy::cast_possible_truncation)]
            let mut total = border * random.unit() as f32;
            times[0] = total;
            for time in &mut times[1..] {
                total += pattern.pause(&mut random);
                *time = total;
            }
            total += border - times[0];
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            moments.extend(times.iter().map(|time| {
                let share = f64::from(*time) / f64::from(total) * f64::from(1_u32 << 31);
                (share as u64) << LANE_BITS | lane
            }));
        }
        moments.sort_unstable();
        self.order.clear();
        self.order.extend(moments.iter().map(|moment| u32::try_from(moment & ((1 << LANE_BITS) - 1)).unwrap_or(0)));
        self.walks.clear();
        self.walks.resize(usize::try_from(pattern.lanes).unwrap_or(0), None);
        (self.epoch, self.taken, self.last) = (Some(epoch), 0, None);
    }

    fn advance(&mut self, pattern: &Pattern, clock: &mut Clock, epoch: u64) -> &Walk {
        let length = pattern.lanes * BLOCK;
        let place = (epoch * length + self.taken).checked_sub(self.offset(length));
        let sale = place.and_then(|place| clock.sale_at(place * INTERLEAVERS + self.number));
        let lane = self.order[usize::try_from(self.taken).unwrap_or(0)];
        self.taken += 1;
        let walk = &mut self.walks[lane as usize];
        match walk {
            Some(walk) => walk.advance(&pattern.population, sale),
            None => {
                let [random, _] = pattern.lane(self.number, u64::from(lane), epoch);
                *walk = Some(Walk::start(random, &pattern.population, sale));
            }
        }
        let Some(walk) = walk else { unreachable!("just started") };
        walk
    }
}
