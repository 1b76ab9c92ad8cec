//! What became of each case from one run to the other.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use stalecore_model::{
    glossary::{LineState, StaleState, Subject, Verdict},
    record::CaseRecord,
    run::Run,
    verdict,
};

use super::{
    bootstrap::Empirical,
    shift::{Shift, Side, holm},
};

/// What was compared and what came of it.
#[derive(Serialize)]
pub struct Comparison {
    /// From this ratio on a significant shift counts.
    pub threshold: f64,
    /// Were slow-downs compared instead of times?
    pub relative: bool,
    /// The probability of any false alarm among all tests.
    pub family_error: f64,
    /// The cases that both runs have.
    pub cases: Vec<Compared>,
    /// How many cases only the base run has.
    pub only_base: usize,
    /// How many cases only the new run has.
    pub only_new: usize,
}

/// One case in both runs.
#[derive(Serialize)]
pub struct Compared {
    /// What ran.
    pub op: Subject,
    /// How the stale cores were stuck.
    pub state: StaleState,
    /// What the caches held.
    pub line: LineState,
    /// `complete`, or `issue` where a side has no complete samples; none where
    /// no class has samples on both sides.
    pub class: Option<&'static str>,
    /// The verdict of the base run.
    pub base_verdict: Verdict,
    /// The verdict of the new run.
    pub new_verdict: Verdict,
    /// How the median moved.
    pub median: Option<Shift>,
    /// How the 99th percentile moved.
    pub p99: Option<Shift>,
    /// What became of it.
    pub change: Change,
}

/// What became of a case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// A more serious verdict: faulted, blocked or incoherent.
    Worse,
    /// Significantly later, beyond the threshold.
    Slower,
    /// Nothing to compare: too few samples, or no longer decided.
    Undecided,
    /// Neither.
    Same,
    /// Significantly earlier, beyond the threshold.
    Faster,
    /// A serious verdict is gone.
    Better,
}

impl Change {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Slower => "slower",
            Self::Undecided => "?",
            Self::Same => "same",
            Self::Faster => "faster",
            Self::Better => "better",
        }
    }

    /// Does it make the exit code 1?
    pub const fn fails(self) -> bool {
        matches!(self, Self::Worse | Self::Slower)
    }
}

/// The probability of one false alarm or more among all tests of a comparison.
const FAMILY_ERROR: f64 = 0.05;
/// Where the random numbers begin: fixed, so that a comparison is repeatable.
const SEED: u64 = 0x5741_1e0c_04e5;

type Key = (Subject, LineState, StaleState);

fn by_key(run: &Run) -> BTreeMap<Key, &CaseRecord> {
    run.cases
        .iter()
        .map(|c| ((c.op, c.line, c.state), c))
        .collect()
}

/// Compares two runs.
///
/// # Errors
/// The runs have no case in common.
pub fn compare(base: &Run, new: &Run, threshold: f64, relative: bool) -> Result<Comparison> {
    let (old, now) = (by_key(base), by_key(new));
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut cases: Vec<Compared> = old
        .iter()
        .filter_map(|(key, a)| {
            let (a, b) = ((base, *a), (new, *now.get(key)?));
            Some(measure(a, b, relative, &mut random))
        })
        .collect();
    if cases.is_empty() {
        bail!("the two runs have no case in common");
    }
    let mut family: Vec<&mut Shift> = cases
        .iter_mut()
        .flat_map(|c| [c.median.as_mut(), c.p99.as_mut()])
        .flatten()
        .filter(|s| s.judged())
        .collect();
    holm(&mut family);
    for case in &mut cases {
        case.change = change(case, threshold);
    }
    Ok(Comparison {
        threshold,
        relative,
        family_error: FAMILY_ERROR,
        only_base: old.len() - cases.len(),
        only_new: now.len() - cases.len(),
        cases,
    })
}

/// Measures the shifts of one case; what became of it is decided when the
/// whole family of tests is known.
fn measure(
    (base, a): (&Run, &CaseRecord),
    (new, b): (&Run, &CaseRecord),
    relative: bool,
    random: &mut impl Rng,
) -> Compared {
    let mut found = Compared {
        op: a.op,
        state: a.state,
        line: a.line,
        class: None,
        base_verdict: a.verdict,
        new_verdict: b.verdict,
        median: None,
        p99: None,
        change: Change::Undecided,
    };
    // Blocks of different size are different measurements.
    if a.batch != b.batch {
        return found;
    }
    for class in ["complete", "issue"] {
        let sides = (
            side(base, a, class, relative),
            side(new, b, class, relative),
        );
        if let (Some(before), Some(after)) = sides {
            found.class = Some(class);
            found.median = Some(Shift::of(&before, &after, 0.5, random));
            found.p99 = Some(Shift::of(&before, &after, 0.99, random));
            break;
        }
    }
    found
}

fn side(run: &Run, case: &CaseRecord, class: &str, relative: bool) -> Option<Side> {
    let hz = run.machine.as_ref().map_or(0, |m| m.counter_hz);
    // Ticks of unknown length compare with ticks of unknown length.
    let tick = if hz == 0 { 1.0 } else { 1e9 / hz as f64 };
    let empty = run.machine.as_ref().map(|m| &m.empty);
    let resolution = empty.map_or(2, verdict::resolution);
    let (stale, baseline) = match class {
        "complete" => (&case.complete, &case.base_complete),
        _ => (&case.issue, &case.base_issue),
    };
    let baseline = if relative {
        Some(Empirical::new(baseline, tick)?)
    } else {
        None
    };
    Some(Side {
        stale: Empirical::new(stale, tick)?,
        baseline,
        tick,
        grain: tick * resolution as f64,
    })
}

/// How serious a verdict is; none where it decided nothing. Slowed and
/// completed are one: how late a case is, the shift says.
const fn seriousness(verdict: Verdict) -> Option<u8> {
    match verdict {
        Verdict::Skipped | Verdict::Inconclusive => None,
        Verdict::Completed | Verdict::Slowed => Some(0),
        Verdict::Faulted => Some(1),
        Verdict::Blocked => Some(2),
        Verdict::Incoherent => Some(3),
    }
}

fn change(case: &Compared, threshold: f64) -> Change {
    let (before, after) = (
        seriousness(case.base_verdict),
        seriousness(case.new_verdict),
    );
    if after.unwrap_or(0) > before.unwrap_or(0) {
        return Change::Worse;
    }
    match (before, after) {
        (_, None) | (None, _) => return Change::Undecided,
        (Some(a), Some(b)) if b < a => return Change::Better,
        _ => {}
    }
    let judged = || {
        [case.median, case.p99]
            .into_iter()
            .flatten()
            .filter(|s| s.judged())
    };
    let counts = |s: &Shift| s.p_adjusted < FAMILY_ERROR && s.resolved;
    if judged().any(|s| counts(&s) && s.ratio >= threshold) {
        Change::Slower
    } else if judged().any(|s| counts(&s) && s.ratio <= 1.0 / threshold) {
        Change::Faster
    } else if judged().next().is_some() || before > Some(0) {
        Change::Same
    } else {
        Change::Undecided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{self, Shape};

    fn run(shape: Shape) -> Run {
        synthetic::run(&shape)
    }

    fn count(found: &Comparison, change: Change) -> usize {
        found.cases.iter().filter(|c| c.change == change).count()
    }

    #[test]
    fn a_run_compared_with_itself_has_not_changed() {
        let one = run(Shape::default());
        let found = compare(&one, &one, 1.0, false).unwrap();
        assert_eq!(found.cases.len(), 432);
        assert!(
            found
                .cases
                .iter()
                .all(|c| matches!(c.change, Change::Same | Change::Undecided))
        );
        assert_eq!(count(&found, Change::Undecided), 1);
    }

    /// The same cases measured once more: other samples of the same latencies.
    fn again(run: &Run, samples: u32, seed: u64) -> Run {
        let mut random = synthetic::random(seed);
        let mut run = run.clone();
        for case in &mut run.cases {
            let middle = 100.0 + f64::from(case.n);
            case.verdict = Verdict::Completed;
            case.complete = synthetic::histogram(&mut random, samples, middle);
        }
        run
    }

    /// What the whole method is for, at a threshold of 1, where significance
    /// alone decides.
    #[test]
    fn runs_of_the_same_thing_raise_an_alarm_in_one_of_twenty() {
        let one = run(Shape {
            cases: 24,
            ..Shape::default()
        });
        for samples in [64, 600] {
            let alarms = (0..20).filter(|seed| {
                let (a, b) = (
                    again(&one, samples, *seed),
                    again(&one, samples, seed + 1000),
                );
                let found = compare(&a, &b, 1.0, false).unwrap();
                found.cases.iter().any(|c| c.change != Change::Same)
            });
            let alarms = alarms.count();
            assert!(alarms <= 3, "{alarms} of 20 with {samples} samples");
        }
    }

    #[test]
    fn a_delay_is_found_and_named_and_gone_again() {
        let base = run(Shape::default());
        let mut late = base.clone();
        for case in late.cases.iter_mut().filter(|c| c.op == Subject::IcIvau) {
            let mut random = synthetic::random(u64::from(case.n));
            if case.complete.count() > 0 {
                case.complete = synthetic::histogram(&mut random, 64, 20_000.0);
            }
        }
        let found = compare(&base, &late, 1.25, false).unwrap();
        for case in &found.cases {
            let slower = case.op == Subject::IcIvau
                && case.class == Some("complete")
                && case.state != StaleState::CpuOffInflight;
            assert_eq!(
                case.change == Change::Slower,
                slower,
                "{} {}",
                case.op,
                case.state
            );
        }
        let back = compare(&late, &base, 1.25, false).unwrap();
        assert_eq!(count(&back, Change::Faster), count(&found, Change::Slower));
    }

    #[test]
    fn a_new_block_is_worse_and_a_lost_case_is_undecided() {
        let base = run(Shape::default());
        let mut new = base.clone();
        new.cases[5].verdict = Verdict::Blocked;
        new.cases[6].verdict = Verdict::Skipped;
        new.cases.pop();
        let found = compare(&base, &new, 1.25, false).unwrap();
        assert_eq!(count(&found, Change::Worse), 1);
        assert_eq!(count(&found, Change::Undecided), 2);
        assert_eq!((found.only_base, found.only_new), (1, 0));
        assert_eq!(
            count(&compare(&new, &base, 1.25, false).unwrap(), Change::Better),
            1
        );
    }

    #[test]
    fn runs_without_a_common_case_cannot_be_compared() {
        let base = run(Shape {
            cases: 1,
            ..Shape::default()
        });
        assert!(compare(&base, &Run::default(), 1.25, false).is_err());
    }

    #[test]
    fn sixty_four_samples_have_no_99th_percentile() {
        let one = run(Shape {
            cases: 30,
            samples: 64,
            ..Shape::default()
        });
        let found = compare(&one, &one, 1.25, false).unwrap();
        assert!(
            found
                .cases
                .iter()
                .filter_map(|c| c.p99)
                .all(|s| !s.judged())
        );
        assert!(
            found
                .cases
                .iter()
                .filter_map(|c| c.median)
                .all(|s| s.judged())
        );
    }
}
