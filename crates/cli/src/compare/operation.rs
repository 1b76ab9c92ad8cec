//! Each operation in all of its cases together, against the other operations.
//!
//! What an operation has become is so whatever its stale cores do, so that its cases bear
//! each other out, and there are twenty operations to test and not five hundred cases. What
//! a boot does to all operations alike is none's: where there are enough of them, each
//! boot is measured from its middle one.

use std::{array, collections::BTreeMap};

use serde::Serialize;
use stalecore_model::glossary::Subject;

use super::{
    judge::{Change, Compared},
    shift::{self, Shift, holm},
    side::mean,
};

/// Of fewer operations the middle one may be what has changed.
const SEVERAL: usize = 4;

/// One operation over all of its cases that have enough samples.
#[derive(Serialize)]
pub struct Operation {
    /// What ran.
    pub op: Subject,
    /// How many cases of it.
    pub cases: usize,
    /// How the mean of their medians' logarithms moved, against the middle operation's
    /// where there are four and more; its times are those themselves.
    pub median: Shift,
    /// Slower, faster or the same.
    pub change: Change,
}

/// The operations with two cases or more, where a side has several boots: what the cases
/// of one boot have in common is known from those alone. `family_error` is the probability
/// of any false alarm among them.
pub fn operations(cases: &[Compared], threshold: f64, family_error: f64) -> Vec<Operation> {
    let mut medians: BTreeMap<_, Vec<&Shift>> = BTreeMap::new();
    for case in cases {
        let median = case.median.as_ref();
        let median = median.filter(|m| m.judged() && m.is_of_several());
        medians.entry(case.op).or_default().extend(median);
    }
    medians.retain(|_, of_cases| of_cases.len() > 1);
    let means: Vec<_> = medians
        .values()
        .map(|of_cases| together(of_cases))
        .collect();
    let middle = middle(&means);
    let mut found: Vec<_> = medians
        .iter()
        .zip(means)
        .map(|((op, of_cases), means)| Operation {
            op: *op,
            cases: of_cases.len(),
            median: between(of_cases, means, middle.as_ref()),
            change: Change::Same,
        })
        .collect();
    let mut family: Vec<_> = found.iter_mut().map(|op| &mut op.median).collect();
    shift::take_noise(&mut family, false);
    family.iter_mut().for_each(|median| median.settle());
    holm(&mut family, threshold, family_error);
    for op in &mut found {
        let median = &op.median;
        let change = Change::of_shift(median, threshold, family_error);
        // Later than the others alone is not later: they may be earlier.
        let times = median.new_ns / median.base_ns;
        op.change = change
            .filter(|change| *change == Change::of_ratio(times, threshold))
            .unwrap_or(Change::Same);
    }
    found
}

/// Of each boot of both sides, a logarithm.
type Logs = [Vec<f64>; 2];

/// The mean of several cases in each boot.
fn together(cases: &[&Shift]) -> Logs {
    array::from_fn(|side| {
        let boots = 0..cases[0].logs()[side].len();
        let mean_of = |boot: usize| mean_by(cases, |case| case.logs()[side][boot]);
        boots.map(mean_of).collect()
    })
}

/// The middle operation's in each boot; none of too few.
fn middle(operations: &[Logs]) -> Option<Logs> {
    (operations.len() >= SEVERAL).then(|| {
        array::from_fn(|side| {
            let boots = 0..operations[0][side].len();
            let middle_of = |boot: usize| {
                let mut all: Vec<_> = operations.iter().map(|logs| logs[side][boot]).collect();
                all.sort_by(f64::total_cmp);
                f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2])
            };
            boots.map(middle_of).collect()
        })
    })
}

fn between(cases: &[&Shift], mut logs: Logs, middle: Option<&Logs>) -> Shift {
    for (side, middle) in logs.iter_mut().zip(middle.into_iter().flatten()) {
        for (log, middle) in side.iter_mut().zip(middle) {
            *log -= middle;
        }
    }
    let base_ns = mean_by(cases, |case| case.base_ns.ln()).exp();
    let new_ns = mean_by(cases, |case| case.new_ns.ln()).exp();
    let tick = cases.iter().map(|case| case.tick()).fold(0.0, f64::max);
    Shift::between(logs, [base_ns, new_ns], tick, true)
}

fn mean_by(cases: &[&Shift], of: impl Fn(&Shift) -> f64) -> f64 {
    mean(&cases.iter().map(|case| of(case)).collect::<Vec<_>>())
}
