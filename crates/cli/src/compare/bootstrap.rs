//! The bootstrap of a quantile, from a histogram.
//!
//! Resampling n values and taking the r-th smallest is the same as taking the
//! value below which a share U of the samples lies, where U is the r-th smallest
//! of n uniform numbers: Beta(r, n + 1 - r). So a resample costs one draw instead
//! of n and is exact up to the buckets' width; within a bucket, values are taken
//! as evenly spread.

use rand::Rng;
use rand_distr::{Beta, Distribution};
use stalecore_model::histogram::Histogram;

/// How often each quantile is resampled.
pub const RESAMPLES: usize = 1000;

/// A histogram as a distribution of times in nanoseconds.
pub struct Empirical {
    /// Where each bucket begins and ends, and the samples up to its end.
    buckets: Vec<(f64, f64, f64)>,
    count: f64,
}

impl Empirical {
    /// The distribution of a histogram's samples; none without samples. `ns`
    /// is the length of a tick, in nanoseconds.
    pub fn new(histogram: &Histogram, ns: f64) -> Option<Self> {
        let (min, max) = (histogram.min()? as f64, histogram.max()? as f64);
        let mut below = 0.0;
        let buckets: Vec<_> = histogram
            .buckets()
            .map(|(low, next, count)| {
                below += f64::from(count);
                let low = (low as f64).max(min);
                // A value of n ticks lies anywhere from n up to n + 1.
                let high = (next as f64).min(max + 1.0).max(low);
                (low * ns, high * ns, below)
            })
            .collect();
        Some(Self {
            buckets,
            count: below,
        })
    }

    /// The time below which a share of the samples lies.
    fn at(&self, share: f64) -> f64 {
        let rank = share * self.count;
        let nth = self.buckets.partition_point(|(.., upto)| *upto < rank);
        let before = nth.checked_sub(1).map_or(0.0, |n| self.buckets[n].2);
        match self.buckets.get(nth).or(self.buckets.last()) {
            Some((low, high, upto)) => {
                let part = ((rank - before) / (upto - before)).clamp(0.0, 1.0);
                low + (high - low) * part
            }
            None => 0.0,
        }
    }

    fn rank(&self, quantile: f64) -> f64 {
        (quantile * self.count).ceil().clamp(1.0, self.count)
    }

    /// The quantile of the samples themselves: the middle of what resampling
    /// gives.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.at(self.rank(quantile) / (self.count + 1.0))
    }

    /// The quantile of one resample.
    pub fn resample(&self, quantile: f64, random: &mut impl Rng) -> f64 {
        let rank = self.rank(quantile);
        let share = Beta::new(rank, self.count + 1.0 - rank).expect("both are at least 1");
        self.at(share.sample(random))
    }

    /// Are there enough samples on both sides of the quantile for it to mean
    /// something? The 99th percentile of 64 samples is their maximum.
    pub fn supports(&self, quantile: f64) -> bool {
        self.count * quantile.min(1.0 - quantile) >= 5.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn empirical(values: &[(u64, u32)]) -> Empirical {
        let mut histogram = Histogram::new();
        for (value, times) in values {
            histogram.add_many(*value, *times);
        }
        Empirical::new(&histogram, 2.0).unwrap()
    }

    #[test]
    fn quantiles_are_in_nanoseconds() {
        let e = empirical(&[(10, 50), (20, 50)]);
        assert!((20.0..22.0).contains(&e.quantile(0.25)));
        assert!((40.0..42.0).contains(&e.quantile(0.9)));
        assert_eq!(e.count, 100.0);
        assert!(Empirical::new(&Histogram::new(), 1.0).is_none());
    }

    #[test]
    fn the_direct_draw_is_the_bootstrap() {
        // The same statistic by brute force: 101 values resampled one by one.
        let values: Vec<(u64, u32)> = (0..101).map(|n| (n, 1)).collect();
        let e = empirical(&values);
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let spread = |draws: &[f64]| {
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let square = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>();
            (mean, (square / draws.len() as f64).sqrt())
        };
        let direct: Vec<_> = (0..4000).map(|_| e.resample(0.5, &mut random)).collect();
        let brute: Vec<_> = (0..4000)
            .map(|_| {
                let mut sample: Vec<_> = (0..101).map(|_| e.at(random.random())).collect();
                sample.sort_by(f64::total_cmp);
                sample[50]
            })
            .collect();
        let ((m1, s1), (m2, s2)) = (spread(&direct), spread(&brute));
        assert!((m1 - m2).abs() < 1.0, "{m1} {m2}");
        assert!((s1 / s2 - 1.0).abs() < 0.06, "{s1} {s2}");
    }

    #[test]
    fn a_quantile_needs_samples_beyond_it() {
        assert!(empirical(&[(1, 64)]).supports(0.5));
        assert!(!empirical(&[(1, 64)]).supports(0.99));
        assert!(empirical(&[(1, 500)]).supports(0.99));
    }
}
