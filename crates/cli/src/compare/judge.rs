//! How each case changed from one run to the other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use stalecore_model::{
    exit::ExitCode,
    glossary::{LineState, StaleState, Subject, Verdict},
    record::CaseRecord,
    rounds::Class,
    run::Run,
};

use super::{
    operation::{Operation, operations},
    shift::{self, Shift, holm},
    side::Boot,
};

/// What was compared, and the result.
#[derive(Serialize)]
pub struct Comparison {
    /// A significant shift counts from this ratio on.
    pub threshold: f64,
    /// Were slow-downs compared instead of times?
    pub relative: bool,
    /// How many runs each side has, base first.
    pub runs: [usize; 2],
    /// Were all of them emulated?
    pub emulated: bool,
    /// The probability of any false alarm among all tests.
    pub family_error: f64,
    /// The cases that all runs have.
    pub cases: Vec<Compared>,
    /// Each operation in all of these together; none of one run a side.
    pub operations: Vec<Operation>,
    /// How many cases only base runs have.
    pub only_base: usize,
    /// How many cases only new runs have.
    pub only_new: usize,
    /// How many cases both sides have, and not every run.
    pub not_in_all: usize,
    /// Were results of any run lost on the way?
    pub lacking: bool,
}

impl Comparison {
    /// How many of the common cases could be compared.
    pub fn compared(&self) -> usize {
        let decided = |case: &&Compared| case.change != Change::Undecided;
        self.cases.iter().filter(decided).count()
    }

    /// The operations that got worse, in a case or as a whole; some more than once.
    pub fn failed(&self) -> impl Iterator<Item = Subject> {
        let cases = self.cases.iter().map(|case| (case.op, case.change));
        let operations = self.operations.iter().map(|of| (of.op, of.change));
        let all = operations.chain(cases);
        all.filter(|(_, change)| change.fails()).map(|(op, _)| op)
    }

    /// The exit code: that nothing got worse is said only of what was compared, and where
    /// nothing was lost.
    pub fn code(&self) -> ExitCode {
        if self.failed().next().is_some() {
            ExitCode::Slowed
        } else if self.lacking {
            ExitCode::Harness
        } else if self.compared() == 0 {
            ExitCode::Inconclusive
        } else {
            ExitCode::Expected
        }
    }
}

/// One case on both sides.
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
    /// The verdict of the base side: the most serious of its runs'.
    pub base_verdict: Verdict,
    /// The verdict of the new side.
    pub new_verdict: Verdict,
    /// In how many runs of each side a single sample was late, base first. It changes
    /// nothing else.
    pub late: [usize; 2],
    /// How the median moved.
    pub median: Option<Shift>,
    /// How the 99th percentile moved.
    pub p99: Option<Shift>,
    /// What became of it.
    pub change: Change,
    /// Could it have changed by the threshold, and noise hide that?
    pub noisy: bool,
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

    /// What a ratio is by itself.
    pub fn of_ratio(ratio: f64, threshold: f64) -> Self {
        match ratio {
            ratio if ratio >= threshold => Self::Slower,
            ratio if ratio <= 1.0 / threshold => Self::Faster,
            _ => Self::Same,
        }
    }

    /// What a shift is, if it counts among all tests of its family.
    pub fn of_shift(shift: &Shift, threshold: f64, family_error: f64) -> Option<Self> {
        let counts = shift.p_adjusted < family_error && shift.resolved && shift.is_outside();
        let change = Self::of_ratio(shift.ratio, threshold);
        (counts && change != Self::Same).then_some(change)
    }

    /// Does it make the exit code 1?
    pub const fn fails(self) -> bool {
        matches!(self, Self::Worse | Self::Slower)
    }
}

/// The probability of one false alarm or more among all tests of a comparison.
const FAMILY_ERROR: f64 = 0.05;
/// The seed of the random numbers: fixed, so that a comparison is repeatable.
const SEED: u64 = 0x5741_1e0c_04e5;

type Key = (Subject, LineState, StaleState);

/// The cases of each run of a side, those that all of them have.
fn by_key(side: &[Run]) -> (BTreeMap<Key, Vec<&CaseRecord>>, BTreeSet<Key>) {
    let mut cases: BTreeMap<Key, Vec<&CaseRecord>> = BTreeMap::new();
    for case in side.iter().flat_map(|run| &run.cases) {
        cases
            .entry((case.op, case.line, case.state))
            .or_default()
            .push(case);
    }
    let any = cases.keys().copied().collect();
    cases.retain(|_, of_runs| of_runs.len() == side.len());
    (cases, any)
}

/// Compares two sides, each of one run or several.
///
/// # Errors
/// They have no case in common.
pub fn compare(base: &[Run], new: &[Run], threshold: f64, relative: bool) -> Result<Comparison> {
    let ((old, any_old), (now, any_now)) = (by_key(base), by_key(new));
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut cases: Vec<Compared> = old
        .iter()
        .filter_map(|(key, a)| {
            let b = now.get(key)?;
            Some(measure((base, a), (new, b), relative, &mut random))
        })
        .collect();
    if cases.is_empty() {
        bail!("the runs have no case in common");
    }
    settle(&mut cases);
    // Two families share the error: the operations as a whole, and the cases.
    let operations = operations(&cases, threshold, FAMILY_ERROR / 2.0);
    let of_cases = match operations.is_empty() {
        true => FAMILY_ERROR,
        false => FAMILY_ERROR / 2.0,
    };
    let mut family: Vec<&mut Shift> = cases
        .iter_mut()
        .flat_map(|c| [c.median.as_mut(), c.p99.as_mut()])
        .flatten()
        .filter(|s| s.judged())
        .collect();
    holm(&mut family, threshold, of_cases);
    for case in &mut cases {
        case.change = change(case, threshold, of_cases);
        case.noisy = case.change == Change::Same && is_noisy(case, threshold);
    }
    let both = any_old.intersection(&any_now).count();
    Ok(Comparison {
        threshold,
        relative,
        runs: [base.len(), new.len()],
        emulated: base.iter().chain(new).all(|run| run.emulated == Some(true)),
        family_error: FAMILY_ERROR,
        only_base: any_old.len() - both,
        only_new: any_now.len() - both,
        not_in_all: both - cases.len(),
        lacking: base
            .iter()
            .chain(new)
            .any(|run| run.unread().is_some_and(|u| u.results)),
        cases,
        operations,
    })
}

/// Says how sure each shift is, by what the cases of its stale state, and those of its
/// operation, show together.
fn settle(cases: &mut [Compared]) {
    let quantiles: [fn(&mut Compared) -> Option<&mut Shift>; 2] =
        [|c| c.median.as_mut(), |c| c.p99.as_mut()];
    let groups: [fn(&Compared) -> Group; 3] = [
        |c| Group::Op(c.op),
        |c| Group::State(c.line, c.state),
        |_| Group::All,
    ];
    let several = cases
        .iter()
        .any(|c| c.median.as_ref().is_some_and(Shift::is_of_several));
    for of in quantiles {
        // What all cases of several boots vary by is no operation's and no state's.
        for group in &groups[..if several { 2 } else { 3 }] {
            let mut found: BTreeMap<_, Vec<&mut Shift>> = BTreeMap::new();
            for case in &mut *cases {
                let group = group(case);
                let shift = of(case).filter(|shift| shift.judged());
                found.entry(group).or_default().extend(shift);
            }
            for (group, shifts) in &mut found {
                shift::take_noise(shifts, matches!(group, Group::Op(_)));
            }
        }
        let shifts = cases.iter_mut().filter_map(of).filter(|s| s.judged());
        shifts.for_each(Shift::settle);
    }
}

/// Cases that vary alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Op(Subject),
    State(LineState, StaleState),
    All,
}

/// Measures the shifts of one case; how it changed is decided when the
/// whole family of tests is known.
fn measure(
    (base, a): (&[Run], &[&CaseRecord]),
    (new, b): (&[Run], &[&CaseRecord]),
    relative: bool,
    random: &mut impl Rng,
) -> Compared {
    let mut found = Compared {
        op: a[0].op,
        state: a[0].state,
        line: a[0].line,
        class: None,
        base_verdict: worst(a),
        new_verdict: worst(b),
        late: [a, b].map(|side| side.iter().filter(|case| case.was_late().is_some()).count()),
        median: None,
        p99: None,
        change: Change::Undecided,
        noisy: false,
    };
    // Blocks of different size are different measurements.
    if a.iter().chain(b).any(|case| case.batch != a[0].batch) {
        return found;
    }
    let side = |runs: &[Run], cases: &[&CaseRecord], class| -> Option<Vec<Boot>> {
        let boots = runs.iter().zip(cases);
        boots
            .map(|(run, case)| Boot::of(run, case, class, relative))
            .collect()
    };
    for (class, name) in [(Class::Complete, "complete"), (Class::Issue, "issue")] {
        if let (Some(before), Some(after)) = (side(base, a, class), side(new, b, class)) {
            found.class = Some(name);
            found.median = Some(Shift::of(&before, &after, 0.5, random));
            found.p99 = Some(Shift::of(&before, &after, 0.99, random));
            break;
        }
    }
    found
}

/// The most serious verdict of some; one that decided nothing only where all did.
fn worst(cases: &[&CaseRecord]) -> Verdict {
    let verdicts = cases.iter().map(|case| case.verdict);
    verdicts
        .max_by_key(|verdict| (seriousness(*verdict), *verdict == Verdict::Slowed))
        .unwrap_or(Verdict::Skipped)
}

/// How serious a verdict is; none where it decided nothing. Slowed and
/// completed are one: the shift says how late a case is.
const fn seriousness(verdict: Verdict) -> Option<u8> {
    match verdict {
        Verdict::Skipped | Verdict::Inconclusive => None,
        Verdict::Completed | Verdict::Slowed => Some(0),
        Verdict::Faulted => Some(1),
        Verdict::Blocked => Some(2),
        Verdict::Incoherent => Some(3),
    }
}

fn change(case: &Compared, threshold: f64, family_error: f64) -> Change {
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
    let both = [&case.median, &case.p99].into_iter().flatten();
    let judged: Vec<_> = both.filter(|shift| shift.judged()).collect();
    let moved = judged
        .iter()
        .filter_map(|shift| Change::of_shift(shift, threshold, family_error));
    match moved.min() {
        Some(change) => change,
        None if !judged.is_empty() || before > Some(0) => Change::Same,
        None => Change::Undecided,
    }
}

/// Does an interval reach beyond a threshold that is above 1?
fn is_noisy(case: &Compared, threshold: f64) -> bool {
    let reaches = |shift: &Shift| shift.interval.is_some_and(|(_, high)| high >= threshold);
    threshold > 1.0 && case.median.as_ref().is_some_and(reaches)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
