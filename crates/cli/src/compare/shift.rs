//! The shift of one quantile from one side to the other, with its interval.
//!
//! With several runs a side each boot counts once: its quantile's logarithm. What these
//! vary by within a side is what a change is measured against. Of two or three boots that
//! is hardly known, so what the cases of the same stale state vary by, all together, is
//! taken where it is more, and what those of the same operation do: noise is of states
//! (cores that never wait) and of operations (those that wait for all cores). Student's t
//! over the difference of the means.
//!
//! With one run a side there is no boot to compare with another. Then each side's own
//! error (its rounds, its samples) stands for it, and the spread of the shifts of all
//! cases and of the state's, where that is more: most cases have not changed.

use rand::Rng;
use serde::Serialize;

use super::{
    side::{Boot, mean, variance},
    student,
};

/// What the spread over a group's cases is worth, in degrees of freedom: noise has longer
/// tails than a normal distribution, so it is not believed further.
const OF_GROUP: f64 = 2.0;

/// What it is worth besides for an interval, which looks no further than 95 %.
const OF_INTERVAL: f64 = 16.0;

/// The degrees of freedom of one run a side: five rounds each.
const OF_ROUNDS: f64 = 8.0;

/// How a quantile moved from one side to the other.
#[derive(Clone, Debug, Serialize)]
pub struct Shift {
    /// On the base side: nanoseconds, the geometric mean over its boots.
    pub base_ns: f64,
    /// On the new side.
    pub new_ns: f64,
    /// New over base; with `--relative`, of the slow-downs.
    pub ratio: f64,
    /// The 95 % interval of the ratio; none where there are too few samples.
    pub interval: Option<(f64, f64)>,
    /// The probability of so large a ratio if nothing had changed, two-sided,
    /// of this test alone.
    pub p: f64,
    /// The same for the whole family of tests, after Holm.
    pub p_adjusted: f64,
    /// Is it more than the counters can resolve?
    pub resolved: bool,
    /// Does every boot of one side lie beyond every boot of the other?
    pub apart: bool,
    /// The smallest ratio that would have counted.
    pub could_show: Option<f64>,
    #[serde(skip)]
    error: Error,
}

/// What a shift is measured against, as logarithms.
#[derive(Clone, Debug)]
struct Error {
    /// Are there enough samples?
    judged: bool,
    /// Does a side have several boots?
    several: bool,
    /// The variance of one boot, or of the shift itself where there is one a side: what
    /// the case shows by itself.
    own: f64,
    /// The same, and at least that of its groups.
    variance: f64,
    /// The same with what the cases of its groups vary by as a rule, for the interval.
    typical: f64,
    /// By how much that is to be multiplied for the shift.
    scale: f64,
    degrees: f64,
    /// What the counters cannot resolve, in nanoseconds.
    tick: f64,
    /// The same of the shift.
    grain: f64,
    /// Where each boot lies, base side first.
    logs: [Vec<f64>; 2],
    /// What the boots of a side lie apart by themselves; see [`take_noise`].
    width: f64,
}

impl Shift {
    /// Measures the shift of one quantile, as far as the case itself shows it.
    pub fn of(base: &[Boot], new: &[Boot], quantile: f64, random: &mut impl Rng) -> Self {
        let sides = [base, new];
        let logs = sides.map(|side| side.iter().map(|b| b.log(quantile)).collect());
        let times = sides.map(|side| {
            let logs: Vec<_> = side
                .iter()
                .map(|b| b.stale.quantile(quantile).ln())
                .collect();
            mean(&logs).exp()
        });
        let mut both = base.iter().chain(new);
        let grain = both.clone().map(|b| b.grain).fold(0.0, f64::max);
        let judged = both.all(|b| b.supports(quantile));
        let mut shift = Self::between(logs, times, grain, judged);
        if !shift.error.several {
            let both = base.iter().chain(new);
            let errors = both.map(|b| b.error(quantile, random));
            shift.error.own = errors.map(|error| error.powi(2)).sum();
            shift.error.variance = shift.error.own;
            shift.error.typical = shift.error.own;
        }
        shift
    }

    /// The shift between two sides of which each boot's logarithm is known: of so many
    /// nanoseconds on each, which the counters show to within a tick.
    pub fn between(logs: [Vec<f64>; 2], times: [f64; 2], tick: f64, judged: bool) -> Self {
        let [xs, ys] = &logs;
        let [base_ns, new_ns] = times;
        let several = xs.len() + ys.len() > 2;
        let degrees = (xs.len() + ys.len() - 2) as f64;
        let (variance, scale) = if several {
            let squares = |side: &[f64]| variance(side) * (side.len() - 1) as f64;
            let scale = 1.0 / xs.len() as f64 + 1.0 / ys.len() as f64;
            ((squares(xs) + squares(ys)) / degrees, scale)
        } else {
            (0.0, 1.0)
        };
        let ends = |side: &[f64]| {
            let low = side.iter().copied().fold(f64::INFINITY, f64::min);
            (low, side.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        };
        let (x, y) = (ends(xs), ends(ys));
        Self {
            base_ns,
            new_ns,
            ratio: (mean(ys) - mean(xs)).exp(),
            interval: None,
            p: 1.0,
            p_adjusted: 1.0,
            resolved: (new_ns - base_ns).abs() > tick,
            apart: y.0 > x.1 || x.0 > y.1,
            could_show: None,
            error: Error {
                judged,
                several,
                own: variance,
                variance,
                typical: variance,
                scale,
                degrees: if several {
                    degrees + OF_GROUP
                } else {
                    OF_ROUNDS
                },
                tick,
                grain: (tick / base_ns.min(new_ns).max(f64::MIN_POSITIVE)).ln_1p(),
                width: (x.1 - x.0).max(y.1 - y.0),
                logs,
            },
        }
    }

    /// Are there enough samples for the shift to count?
    pub const fn judged(&self) -> bool {
        self.error.judged
    }

    /// The logarithm of each boot, base side first.
    pub const fn logs(&self) -> &[Vec<f64>; 2] {
        &self.error.logs
    }

    /// What the counters cannot resolve, in nanoseconds.
    pub const fn tick(&self) -> f64 {
        self.error.tick
    }

    /// Has a side several boots?
    pub const fn is_of_several(&self) -> bool {
        self.error.several
    }

    /// Is it outside of what a side shows by itself: does every boot of the one lie beyond
    /// every boot of the other, and are the sides further apart than the boots of either?
    pub fn is_outside(&self) -> bool {
        self.apart && self.ratio.ln().abs() > self.error.width
    }

    /// Says how sure it is, when the noise of its groups has been taken in.
    pub fn settle(&mut self) {
        let error = (self.error.variance * self.error.scale).sqrt();
        let shift = self.ratio.ln();
        let t = match (shift.abs(), error) {
            (0.0, _) => 0.0,
            (shift, error) => shift / error,
        };
        self.p = student::two_sided(t, self.error.degrees);
        let degrees = match self.error.several {
            true => self.error.degrees + OF_INTERVAL,
            false => self.error.degrees,
        };
        let reach = student::limit(0.05, degrees) * (self.error.typical * self.error.scale).sqrt();
        let reach = reach.max(self.error.grain);
        self.interval = Some(((shift - reach).exp(), (shift + reach).exp()));
    }

    /// The smallest ratio that would have counted among so many tests.
    fn set_limit(&mut self, threshold: f64, family_error: f64, tests: usize) {
        let p = family_error / tests.max(1) as f64;
        let error = (self.error.variance * self.error.scale).sqrt();
        let least = student::limit(p, self.error.degrees) * error;
        let least = least.max(self.error.grain).max(self.error.width);
        self.could_show = Some(least.exp().max(threshold));
    }
}

/// Of one group of cases, a state's or an operation's: what three quarters of them vary by
/// at most, each varies by at least (not the mean: one operation that an emulator makes a
/// hundred times noisier than the others would hide them). With one run a side an operation may have changed in each of its states,
/// and differently: then only what more than one of its cases have gone the other way is
/// its noise, as a change goes one way.
pub fn take_noise(group: &mut [&mut Shift], is_operation: bool) {
    let logs: Vec<_> = group.iter().map(|s| s.ratio.ln()).collect();
    let several = group.first().is_some_and(|first| first.error.several);
    // The quartile of a chi-square distribution of 2 to 8 degrees of freedom, over those.
    let of_quartile = if several { 1.33 } else { 1.0 };
    let noise = if several {
        let all = sorted(group.iter().map(|s| s.error.own).collect());
        all[(all.len() - 1) * 3 / 4]
    } else if is_operation {
        0.0
    } else {
        spread(&logs).powi(2)
    };
    for shift in group {
        shift.error.variance = shift.error.variance.max(noise);
        shift.error.typical = shift.error.typical.max(noise / of_quartile);
        if is_operation && !several {
            let way = shift.ratio.ln().signum();
            let others = sorted(logs.iter().map(|log| -log * way).collect());
            let second = others.iter().rev().nth(1).copied().unwrap_or(0.0);
            shift.error.width = shift.error.width.max(second);
        }
    }
}

/// So few cases say nothing of each other.
const CASES: usize = 8;

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// How far values spread around their median, as a standard deviation of what is normal:
/// by the middle of their distances and by the last fifth, whichever says more. Fewer
/// than that may have moved.
fn spread(values: &[f64]) -> f64 {
    if values.len() < CASES {
        return 0.0;
    }
    let middle = sorted(values.to_vec())[values.len() / 2];
    let distances = sorted(values.iter().map(|v| (v - middle).abs()).collect());
    let at = |tenths: usize| distances[(values.len() - 1) * tenths / 10];
    // Of a normal distribution half lies within 0.6745, four fifths within 1.2816.
    (at(5) / 0.6745).max(at(8) / 1.2816)
}

/// Holm's step-down: adjusts the probabilities of a family of tests so that a
/// limit of `family_error` holds for the whole family, whatever their dependence. And
/// says of each what it could have shown.
pub fn holm(family: &mut [&mut Shift], threshold: f64, family_error: f64) {
    family.sort_by(|a, b| a.p.total_cmp(&b.p));
    let tests = family.len();
    let mut least = 0.0_f64;
    for (rank, shift) in family.iter_mut().enumerate() {
        least = least.max((tests - rank) as f64 * shift.p).min(1.0);
        shift.p_adjusted = least;
        shift.set_limit(threshold, family_error, tests);
    }
}

#[cfg(test)]
#[path = "shift_tests.rs"]
mod tests;
