//! One case in the runs of one side: where each boot puts it, and how sure of that each
//! is by itself.

use rand::Rng;
use stalecore_model::{
    record::CaseRecord,
    rounds::{Class, Rounds},
    run::Run,
    verdict,
};

use super::bootstrap::{Empirical, RESAMPLES};

/// The fewest rounds whose spread says something.
const ROUNDS: usize = 3;

/// One case in one boot.
pub struct Boot {
    /// With stale cores.
    pub stale: Empirical,
    /// Of the baseline, where the comparison is relative to it.
    pub baseline: Option<Empirical>,
    /// The length of the counter's tick, in nanoseconds.
    pub tick: f64,
    /// The smallest difference that the counter can show, in nanoseconds.
    pub grain: f64,
    /// The natural logarithms of the rounds' medians, or of their slow-downs; where
    /// rounds showed nothing the record has none.
    pub rounds: Vec<f64>,
}

impl Boot {
    /// A case of a run, of one class; `None` where that has no samples.
    pub fn of(run: &Run, case: &CaseRecord, class: Class, relative: bool) -> Option<Self> {
        let hz = run.machine.as_ref().map_or(0, |m| m.counter_hz);
        // Ticks of unknown length compare with ticks of unknown length.
        let tick = if hz == 0 { 1.0 } else { 1e9 / hz as f64 };
        let empty = run.machine.as_ref().map(|m| &m.empty);
        let resolution = empty.map_or(2, verdict::resolution);
        let (stale, baseline) = match class {
            Class::Complete => (&case.complete, &case.base_complete),
            Class::Issue => (&case.issue, &case.base_issue),
        };
        let baseline = if relative {
            Some(Empirical::new(baseline, tick)?)
        } else {
            None
        };
        let rounds = case.rounds.as_ref().filter(|rounds| rounds.class == class);
        Some(Self {
            stale: Empirical::new(stale, tick)?,
            baseline,
            tick,
            grain: tick * resolution as f64,
            rounds: rounds.map_or(Vec::new(), |rounds| logarithms(rounds, relative)),
        })
    }

    /// What is compared: the time, or how many times the baseline's it is.
    /// Nothing is shorter than half a tick.
    fn level(&self, mut of: impl FnMut(&Empirical) -> f64) -> f64 {
        let mut time = |e| of(e).max(self.tick / 2.0);
        let stale = time(&self.stale);
        stale / self.baseline.as_ref().map_or(1.0, time)
    }

    /// The logarithm of a quantile, or of the ratio of two.
    pub fn log(&self, quantile: f64) -> f64 {
        self.level(|e| e.quantile(quantile)).ln()
    }

    /// Are there enough samples for this quantile?
    pub fn supports(&self, quantile: f64) -> bool {
        self.stale.supports(quantile) && self.baseline.as_ref().is_none_or(|b| b.supports(quantile))
    }

    /// The standard error of [`Self::log`] by what this boot alone shows: its samples,
    /// and for the median its rounds, whichever says more.
    pub fn error(&self, quantile: f64, random: &mut impl Rng) -> f64 {
        let draws: Vec<f64> = (0..RESAMPLES)
            .map(|_| self.level(|e| e.resample(quantile, random)).ln())
            .collect();
        let samples = variance(&draws).sqrt();
        if quantile != 0.5 || self.rounds.len() < ROUNDS {
            return samples;
        }
        // A median of n varies by a quarter more than a mean of n.
        let of_one = variance(&self.rounds).sqrt();
        samples.max(1.2533 * of_one / (self.rounds.len() as f64).sqrt())
    }
}

fn logarithms(rounds: &Rounds, relative: bool) -> Vec<f64> {
    let at_least = |ticks: u64| (ticks as f64).max(0.5).ln();
    match relative {
        false => rounds.case.iter().map(|case| at_least(*case)).collect(),
        true => rounds
            .case
            .iter()
            .zip(&rounds.base)
            .map(|(case, base)| at_least(*case) - at_least(*base))
            .collect(),
    }
}

/// The mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The variance of what they are drawn from; 0 of fewer than two.
pub fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    squares / values.len().saturating_sub(1).max(1) as f64
}
