//! Random samples, the same for the same seed on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Pareto};
use stalecore_model::histogram::Histogram;

/// The random numbers of that seed.
pub fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A histogram of `samples` around `middle` ticks: a narrow peak, a second one
/// above it, and a thin, long tail.
pub fn histogram(random: &mut impl Rng, samples: u32, middle: f64) -> Histogram {
    let mut histogram = Histogram::new();
    let peak = Normal::new(1.0, 0.08).expect("a finite spread");
    // Rare and very late, as interrupted cores are.
    let tail = Pareto::new(1.6, 1.4).expect("both are above 0");
    let one = |random: &mut _| -> u64 {
        let times = match Rng::random::<f64>(random) {
            u if u < 0.82 => peak.sample(random),
            u if u < 0.995 => 1.35 * peak.sample(random),
            _ => f64::min(tail.sample(random), 3e4),
        };
        (middle * times) as u64
    };
    // Many samples are drawn as lumps, so that a test can have billions of them.
    let draws = samples.min(2000);
    // Lumps would hide the many values that occur once.
    let singles = if samples > 10_000 { 100 } else { 0 };
    let lumps = samples - singles;
    for nth in 0..draws {
        let lump = lumps / draws + u32::from(nth < lumps % draws);
        histogram.add_many(one(random), lump);
    }
    let late = Pareto::new(1.6, 1.0).expect("both are above 0");
    for _ in 0..singles {
        histogram.add((middle * f64::min(late.sample(random), 1.6e4)) as u64);
    }
    histogram
}
