//! The shift of one quantile between two runs, with its confidence interval.

use std::f64::consts::SQRT_2;

use libm::erfc;
use rand::Rng;
use serde::Serialize;

use super::bootstrap::{Empirical, RESAMPLES};

/// The samples of one case in one run.
pub struct Side {
    /// With stale cores.
    pub stale: Empirical,
    /// Of the baseline, where the comparison is relative to it.
    pub baseline: Option<Empirical>,
    /// The length of the counter's tick, in nanoseconds.
    pub tick: f64,
    /// The smallest difference that the counter can show, in nanoseconds.
    pub grain: f64,
}

impl Side {
    /// What is compared: the time, or how many times the baseline's it is.
    /// Nothing is shorter than half a tick.
    fn level(&self, mut of: impl FnMut(&Empirical) -> f64) -> f64 {
        let mut time = |e| of(e).max(self.tick / 2.0);
        let stale = time(&self.stale);
        stale / self.baseline.as_ref().map_or(1.0, time)
    }

    fn supports(&self, quantile: f64) -> bool {
        self.stale.supports(quantile) && self.baseline.as_ref().is_none_or(|b| b.supports(quantile))
    }
}

/// How a quantile moved from one run to another.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shift {
    /// In the base run: nanoseconds.
    pub base_ns: f64,
    /// In the new run: nanoseconds.
    pub new_ns: f64,
    /// New over base; with `--relative`, of the slow-downs.
    pub ratio: f64,
    /// The 95 % interval of the ratio; none where there are too few samples to
    /// say.
    pub interval: Option<(f64, f64)>,
    /// The probability of so large a ratio if nothing had changed, two-sided,
    /// of this test alone.
    pub p: f64,
    /// The same for the whole family of tests, after Holm.
    pub p_adjusted: f64,
    /// Is it more than the counters can resolve?
    pub resolved: bool,
}

impl Shift {
    /// Measures the shift of one quantile.
    pub fn of(base: &Side, new: &Side, quantile: f64, random: &mut impl Rng) -> Self {
        let point = |side: &Side| side.level(|e| e.quantile(quantile));
        let ratio = point(new) / point(base);
        let (base_ns, new_ns) = (base.stale.quantile(quantile), new.stale.quantile(quantile));
        let mut shift = Self {
            base_ns,
            new_ns,
            ratio,
            interval: None,
            p: 1.0,
            p_adjusted: 1.0,
            resolved: (new_ns - base_ns).abs() > base.grain.max(new.grain),
        };
        if !(base.supports(quantile) && new.supports(quantile)) {
            return shift;
        }
        let mut draws: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let mut level = |side: &Side| side.level(|e| e.resample(quantile, random));
                (level(new) / level(base)).ln()
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        let at = |share: f64| draws[((RESAMPLES - 1) as f64 * share).round() as usize].exp();
        shift.interval = Some((at(0.025).min(ratio), at(0.975).max(ratio)));
        shift.p = probability(ratio.ln(), &draws);
        shift
    }

    /// Are there enough samples for the shift to count?
    pub const fn judged(&self) -> bool {
        self.interval.is_some()
    }
}

/// The two-sided probability that the logarithm of a ratio lies as far from 0
/// as it does, when nothing has changed. Where resamples themselves cross 0
/// they are counted; beyond, a normal of their spread is taken, as a thousand
/// resamples say nothing of one in a million.
fn probability(log_ratio: f64, sorted: &[f64]) -> f64 {
    let count = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / count;
    let variance = sorted.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let normal = if variance > 0.0 {
        erfc(log_ratio.abs() / variance.sqrt() / SQRT_2)
    } else if log_ratio == 0.0 {
        1.0
    } else {
        0.0
    };
    let below = sorted.partition_point(|d| *d <= 0.0) as f64;
    let crossing = (2.0 * below.min(count - below) / count).min(1.0);
    normal.max(crossing)
}

/// Holm's step-down: adjusts the probabilities of a family of tests so that a
/// limit of 5 % holds for the whole family, whatever their dependence.
pub fn holm(family: &mut [&mut Shift]) {
    family.sort_by(|a, b| a.p.total_cmp(&b.p));
    let tests = family.len();
    let mut least = 0.0_f64;
    for (rank, shift) in family.iter_mut().enumerate() {
        least = least.max((tests - rank) as f64 * shift.p).min(1.0);
        shift.p_adjusted = least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{histogram, random};
    use stalecore_model::histogram::Histogram;

    fn side(h: &Histogram) -> Side {
        Side {
            stale: Empirical::new(h, 1.0).unwrap(),
            baseline: None,
            tick: 1.0,
            grain: 2.0,
        }
    }

    #[test]
    fn the_same_samples_have_not_moved() {
        let h = histogram(&mut random(1), 1000, 300.0);
        let shift = Shift::of(&side(&h), &side(&h), 0.5, &mut random(1));
        assert_eq!(shift.ratio, 1.0);
        let (low, high) = shift.interval.unwrap();
        assert!(low <= 1.0 && high >= 1.0 && shift.p > 0.9);
        assert!(!shift.resolved);
    }

    #[test]
    fn a_tenth_more_is_found_in_a_thousand_samples() {
        let mut made = random(2);
        let (a, b) = (
            histogram(&mut made, 1000, 300.0),
            histogram(&mut made, 1000, 330.0),
        );
        let shift = Shift::of(&side(&a), &side(&b), 0.5, &mut random(1));
        assert!((1.07..1.13).contains(&shift.ratio), "{shift:?}");
        assert!(
            shift.interval.unwrap().0 > 1.03 && shift.p < 1e-6,
            "{shift:?}"
        );
    }

    #[test]
    fn relative_to_the_baseline_a_slower_machine_has_not_moved() {
        let mut made = random(3);
        let mut relative = |speed: f64| Side {
            stale: Empirical::new(&histogram(&mut made, 5000, 300.0 * speed), 1.0).unwrap(),
            baseline: Empirical::new(&histogram(&mut made, 5000, 100.0 * speed), 1.0),
            tick: 1.0,
            grain: 2.0,
        };
        let shift = Shift::of(&relative(1.0), &relative(3.0), 0.5, &mut random(1));
        assert!((0.97..1.03).contains(&shift.ratio), "{shift:?}");
        assert!(shift.p > 0.001, "{shift:?}");
    }

    #[test]
    fn a_tick_or_two_are_not_resolved() {
        let constant = |value| {
            let mut h = Histogram::new();
            h.add_many(value, 1000);
            h
        };
        let shift = |a, b| {
            Shift::of(
                &side(&constant(a)),
                &side(&constant(b)),
                0.5,
                &mut random(1),
            )
        };
        assert!(!shift(1, 3).resolved);
        assert!(shift(1, 4).resolved);
    }

    #[test]
    fn holm_is_as_in_the_book() {
        let blank = Shift::of(
            &side(&histogram(&mut random(1), 64, 9.0)),
            &side(&histogram(&mut random(1), 64, 9.0)),
            0.5,
            &mut random(1),
        );
        let mut shifts: Vec<_> = [0.04, 0.01, 0.03, 0.005]
            .map(|p| Shift { p, ..blank })
            .into();
        let mut family: Vec<_> = shifts.iter_mut().collect();
        holm(&mut family);
        let adjusted: Vec<_> = shifts
            .iter()
            .map(|s| (s.p_adjusted * 1e3).round())
            .collect();
        assert_eq!(adjusted, [60.0, 30.0, 60.0, 20.0]);
    }
}
