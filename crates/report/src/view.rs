//! The runs as the sections need them: cases found by what they are, with a
//! name and a clock for each run.

use std::collections::{BTreeMap, BTreeSet};

use stalecore_model::{
    glossary::{Kind, LineState, StaleState, Subject, Verdict},
    maintenance::MessageClass,
    options::Milli,
    record::CaseRecord,
    run::Run,
};

use super::text::Clock;

/// What identifies a case in every run. Ordered as the heat map shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The group of rows.
    pub family: Family,
    /// What ran.
    pub op: Subject,
    /// What the caches held.
    pub line: LineState,
    /// How the stale cores were stuck.
    pub state: StaleState,
}

/// The groups of rows of the heat map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// One instruction.
    Operation,
    /// A kernel loop.
    Routine,
    /// Should never depend on another core.
    Control,
    /// Proves that a verdict can be given.
    Selftest,
}

impl Family {
    fn of(op: Subject) -> Self {
        match op.kind() {
            Kind::Operation if op.sends() == Some(MessageClass::Local) => Self::Control,
            Kind::Operation if op.is_no_maintenance() => Self::Control,
            Kind::Operation => Self::Operation,
            Kind::Routine => Self::Routine,
            Kind::Selftest => Self::Selftest,
        }
    }

    /// The heading of the group.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operation => "operations",
            Self::Routine => "routines",
            Self::Control => "controls",
            Self::Selftest => "self-tests",
        }
    }
}

impl Key {
    /// The key of a case.
    pub fn of(case: &CaseRecord) -> Self {
        Self {
            family: Family::of(case.op),
            op: case.op,
            line: case.line,
            state: case.state,
        }
    }
}

/// A case as the page names it.
pub struct Entry<'a> {
    /// The number after `#case-` in the page's links: the case's own number if there
    /// is only one run.
    pub id: u32,
    /// The case in each run, in the order of the runs.
    pub found: Vec<Option<&'a CaseRecord>>,
}

/// Everything that is drawn.
pub struct View<'a> {
    /// The runs.
    pub runs: &'a [Run],
    /// The clock of each.
    pub clocks: Vec<Clock>,
    /// The cases of all runs.
    pub cases: BTreeMap<Key, Entry<'a>>,
}

impl<'a> View<'a> {
    /// Looks through the runs.
    pub fn new(runs: &'a [Run]) -> Self {
        let mut cases: BTreeMap<Key, Entry<'a>> = BTreeMap::new();
        for (nth, run) in runs.iter().enumerate() {
            for case in &run.cases {
                let entry = cases.entry(Key::of(case)).or_insert_with(|| Entry {
                    id: case.n,
                    found: vec![None; runs.len()],
                });
                // Of two records of one case, the first counts.
                entry.found[nth].get_or_insert(case);
            }
        }
        if runs.len() > 1 {
            for (id, entry) in (1..).zip(cases.values_mut()) {
                entry.id = id;
            }
        }
        Self {
            runs,
            clocks: runs.iter().map(Clock::of).collect(),
            cases,
        }
    }

    /// The stale states that occur, in the glossary's order.
    pub fn states(&self) -> BTreeSet<StaleState> {
        self.cases.keys().map(|k| k.state).collect()
    }

    /// The line states that occur.
    pub fn lines(&self) -> BTreeSet<LineState> {
        self.cases.keys().map(|k| k.line).collect()
    }

    /// The link to a case of one run, if the page has it.
    pub fn link(&self, run: usize, number: u32) -> Option<String> {
        let case = self.runs.get(run)?.cases.iter().find(|c| c.n == number)?;
        let entry = self.cases.get(&Key::of(case))?;
        Some(format!("#case-{}", entry.id))
    }
}

/// The name of a run where several are shown: A, B … Z, then numbers.
pub fn label(nth: usize) -> String {
    match u8::try_from(nth) {
        Ok(n @ 0..26) => char::from(b'A' + n).to_string(),
        _ => (nth + 1).to_string(),
    }
}

/// How much later than its baseline a case of this run was, as the image judges
/// it. None where a side has no samples.
pub fn slowdown(run: &Run, case: &CaseRecord) -> Option<Milli> {
    case.slowdown(run.resolution())
}

/// Between what it lies, some 95 % sure, where the record has the rounds.
pub fn interval(run: &Run, case: &CaseRecord) -> Option<(Milli, Milli)> {
    let rounds = case.rounds.as_ref()?;
    rounds
        .slowdown(run.resolution())
        .map(|(_, interval)| interval)
}

/// How many cases ended with each verdict, the most serious first; verdicts
/// without cases are left out.
pub fn count_verdicts(run: &Run) -> Vec<(Verdict, usize)> {
    let count = |v: Verdict| run.cases.iter().filter(|c| c.verdict == v).count();
    Verdict::ALL
        .iter()
        .rev()
        .map(|v| (*v, count(*v)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    #[test]
    fn cases_of_two_runs_are_brought_together() {
        let shape = |cases, seed| Shape {
            cases,
            seed,
            ..Shape::default()
        };
        let runs = [synthetic::run(&shape(20, 1)), synthetic::run(&shape(30, 2))];
        let view = View::new(&runs);
        assert_eq!(view.cases.len(), 30);
        let both = view
            .cases
            .values()
            .filter(|e| e.found.iter().all(Option::is_some));
        assert_eq!(both.count(), 20);
        let ids: BTreeSet<_> = view.cases.values().map(|e| e.id).collect();
        assert_eq!(ids.len(), 30);
    }

    #[test]
    fn links_lead_to_the_case_of_that_number() {
        let runs = [synthetic::run(&Shape {
            cases: 5,
            ..Shape::default()
        })];
        let view = View::new(&runs);
        assert_eq!(view.link(0, 3).as_deref(), Some("#case-3"));
        assert_eq!(view.link(0, 99), None);
        assert_eq!(view.link(1, 3), None);
    }

    #[test]
    fn runs_have_letters() {
        assert_eq!(
            (label(0), label(25), label(26)),
            ("A".into(), "Z".into(), "27".into())
        );
    }
}
