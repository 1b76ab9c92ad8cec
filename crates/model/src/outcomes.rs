//! What has come of a run's cases so far, and what is said of that when it ends: the same
//! wherever it is run.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use crate::{
    exit::ExitCode,
    glossary::Verdict,
    ktap,
    plan::{Case, Group, Plan},
    record::Maker,
    rounds::{CONFIRMING_MS, OF_THE_FIRST, OF_WHAT_IS_LEFT},
    sorted::Sorted,
    words,
};

/// The outcomes of a run.
pub struct Outcomes {
    /// Does a slowed case count against the exit code?
    strict: bool,
    found: Sorted<usize, (Verdict, Option<String>)>,
    exit: ExitCode,
    /// The cases whose time was over before all their samples were taken.
    cut: Vec<usize>,
    /// The cases with a sample that was late.
    late: Vec<usize>,
    /// How long rounds that confirm have taken, in milliseconds.
    pub confirming_ms: u64,
    /// How many cases were left unconfirmed because of that.
    pub unconfirmed: usize,
    /// The initiator's clock in a baseline and its case, where they were furthest apart.
    clock: Option<(u64, u64)>,
}

/// A clock is steady that moves by less than this part.
const STEADY: u64 = 10;

impl Outcomes {
    /// Those of a run that has not begun. `strict` says whether a slowed case counts
    /// against the exit code.
    pub const fn new(strict: bool) -> Self {
        Self {
            strict,
            found: Sorted::new(),
            exit: ExitCode::Expected,
            cut: Vec::new(),
            late: Vec::new(),
            confirming_ms: 0,
            unconfirmed: 0,
            clock: None,
        }
    }

    /// Remembers the verdict of the case of that number, and what it means for the exit
    /// code.
    pub fn add(&mut self, number: usize, verdict: Verdict, why: Option<String>) {
        let mut code = verdict.exit_code();
        if self.strict && verdict == Verdict::Slowed {
            code = code.worse(ExitCode::Slowed);
        }
        self.exit = self.exit.worse(code);
        self.found.insert(number, (verdict, why));
    }

    /// The verdict of the case of that number, if it has one.
    pub fn of(&self, number: usize) -> Option<Verdict> {
        self.found.get(number).map(|(verdict, _)| *verdict)
    }

    /// Has the case no verdict yet?
    pub fn is_open(&self, case: &Case) -> bool {
        self.found.get(case.number).is_none()
    }

    /// The time of the case of that number was over before all its samples were taken.
    pub fn cut(&mut self, number: usize) {
        if !self.was_cut(number) {
            self.cut.push(number);
        }
    }

    /// The initiator's clock in the baseline of a case and in itself, in kHz.
    pub fn clock(&mut self, clock: (u64, u64)) {
        let apart = |(base, case): (u64, u64)| base.abs_diff(case) * STEADY / base.max(1);
        if apart(clock) > self.clock.map_or(0, apart) {
            self.clock = Some(clock);
        }
    }

    /// A single sample of the case of that number was late.
    pub fn late(&mut self, number: usize) {
        self.late.push(number);
    }

    /// Was it?
    pub fn was_cut(&self, number: usize) -> bool {
        self.cut.contains(&number)
    }

    /// The exit code so far.
    pub const fn exit_so_far(&self) -> ExitCode {
        self.exit
    }

    /// The exit code of the run, which is over; `broken` by a fault of the harness.
    pub fn exit(&self, broken: bool) -> ExitCode {
        let decided = |v: Verdict| !matches!(v, Verdict::Skipped | Verdict::Inconclusive);
        if broken {
            ExitCode::Harness
        } else if self.found.values().any(|(v, _)| decided(*v)) {
            self.exit
        } else {
            self.exit.worse(ExitCode::Inconclusive)
        }
    }

    /// How many of the plan's cases have each verdict; those that the run did not reach
    /// are skipped.
    pub fn counts(&self, plan: &Plan) -> Vec<(Verdict, u32)> {
        let count = |verdict: &Verdict| {
            let found = self.found.values().filter(|(v, _)| v == verdict).count();
            match verdict {
                Verdict::Skipped => found + plan.len() - self.found.len(),
                _ => found,
            }
        };
        let all = Verdict::ALL.iter().map(|v| (*v, count(v) as u32));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// How long a group of the plan may take to confirm what its rounds show, in
    /// milliseconds: what is left is split over the groups that are, and no group has less
    /// than a few times what its first rounds have taken.
    pub fn confirming_left_ms(&self, plan: &Plan, first_ms: u64) -> u64 {
        let open = |group: &&Group| group.cases.iter().any(|case| self.is_open(case));
        let groups = plan.groups.iter().filter(open).count() as u64;
        let left = CONFIRMING_MS.saturating_sub(self.confirming_ms);
        (left / groups.clamp(1, OF_WHAT_IS_LEFT)).max(first_ms.saturating_mul(OF_THE_FIRST))
    }

    /// What a person should know of how it was measured.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let cut = match self.cut[..] {
            [] => None,
            [only] => Some(format!("case {only}")),
            [first, ..] => Some(format!("{} cases, case {first} the first,", self.cut.len())),
        };
        let cut = cut.map(|which| {
            format!(
                "{which} took so long that there are fewer samples, or depths of the sweep, than \
                 were asked for"
            )
        });
        let unconfirmed = (self.unconfirmed > 0).then(|| {
            format!(
                "{} left unconfirmed, as fresh rounds had taken {} ms",
                words::count(
                    self.unconfirmed,
                    "case beyond the threshold was",
                    "cases beyond the threshold were"
                ),
                self.confirming_ms
            )
        });
        let moved = self.clock.map(|(base, case)| {
            format!(
                "the initiator's clock was not steady: {} MHz with every other core parked, {} \
                 MHz beside stale ones; what takes more cycles because of that is not slowed",
                base / 1000,
                case / 1000
            )
        });
        cut.into_iter().chain(unconfirmed).chain(moved)
    }

    /// Writes the tree; `by` says what makes the outcome of a case, where it is not the
    /// machine's own cores.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_tree(
        &self,
        out: &mut dyn fmt::Write,
        plan: &Plan,
        by: impl Fn(&Case) -> Option<Maker>,
    ) -> fmt::Result {
        ktap::write_tree(out, plan, self.strict, |case| {
            let found = self.found.get(case.number);
            found.map(|(verdict, why)| ktap::Outcome {
                verdict: *verdict,
                why: why.as_deref(),
                by: by(case),
                late: self.late.contains(&case.number),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn plan() -> Plan {
        let options = "stalecore.ops=ic-ivau,dc-civac,dc-cvau stalecore.stale=spin,wfe";
        Plan::new(&Options::from_bootargs(options).unwrap(), 4).unwrap()
    }

    fn after(strict: bool, verdicts: &[Verdict]) -> Outcomes {
        let mut outcomes = Outcomes::new(strict);
        for (verdict, number) in verdicts.iter().zip(1..) {
            outcomes.add(number, *verdict, None);
        }
        outcomes
    }

    #[test]
    fn what_was_not_reached_is_skipped_and_counts_are_the_plan_s() {
        use Verdict::{Blocked, Completed, Skipped};
        let plan = plan();
        assert_eq!(plan.len(), 6);
        let outcomes = after(false, &[Completed, Blocked, Completed, Skipped]);
        assert_eq!(
            outcomes.counts(&plan),
            [(Completed, 2), (Skipped, 3), (Blocked, 1)]
        );
        assert_eq!(outcomes.of(2), Some(Blocked));
        let open = |case: &&Case| outcomes.is_open(case);
        let all = plan.groups.iter().flat_map(|group| &group.cases);
        assert_eq!(all.filter(open).count(), 2);
    }

    #[test]
    fn the_most_serious_is_the_code_and_nothing_decided_is_none() {
        use Verdict::{Blocked, Completed, Inconclusive, Skipped, Slowed};
        let code = |strict, verdicts: &[Verdict]| after(strict, verdicts).exit(false);
        assert_eq!(code(false, &[Completed, Slowed]), ExitCode::Expected);
        assert_eq!(code(true, &[Completed, Slowed]), ExitCode::Slowed);
        assert_eq!(code(true, &[Completed]), ExitCode::Expected);
        assert_eq!(code(true, &[Slowed, Blocked]), ExitCode::Blocked);
        assert_eq!(code(false, &[Completed, Skipped]), ExitCode::Expected);
        assert_eq!(code(false, &[Skipped]), ExitCode::Inconclusive);
        assert_eq!(code(false, &[Inconclusive]), ExitCode::Inconclusive);
        assert_eq!(code(false, &[]), ExitCode::Inconclusive);
        assert_eq!(after(false, &[Completed]).exit(true), ExitCode::Harness);
    }

    #[test]
    fn the_time_to_confirm_is_split_over_what_is_left() {
        let plan = plan();
        let mut outcomes = Outcomes::new(false);
        assert_eq!(outcomes.confirming_left_ms(&plan, 0), CONFIRMING_MS / 2);
        for case in &plan.groups[0].cases {
            outcomes.add(case.number, Verdict::Completed, None);
        }
        assert_eq!(outcomes.confirming_left_ms(&plan, 0), CONFIRMING_MS);
        outcomes.confirming_ms = CONFIRMING_MS + 1;
        assert_eq!(outcomes.confirming_left_ms(&plan, 0), 0);
        assert_eq!(outcomes.confirming_left_ms(&plan, 700), 1400);
    }

    #[test]
    fn notes_count_in_words() {
        let mut outcomes = Outcomes::new(false);
        assert_eq!(outcomes.notes().count(), 0);
        outcomes.cut(7);
        outcomes.cut(7);
        (outcomes.unconfirmed, outcomes.confirming_ms) = (1, 900);
        let notes: Vec<_> = outcomes.notes().collect();
        assert!(notes[0].starts_with("case 7 took so long"), "{notes:?}");
        assert!(notes[1].starts_with("1 case beyond the threshold was left"));
        outcomes.clock((2_600_000, 2_450_000));
        assert_eq!(outcomes.notes().count(), 2);
        outcomes.clock((2_000_000, 2_600_000));
        outcomes.clock((2_600_000, 2_300_000));
        let clock = outcomes.notes().last().unwrap();
        assert!(
            clock.contains("2000 MHz with") && clock.contains("2600 MHz beside"),
            "{clock}"
        );
        outcomes.cut(9);
        outcomes.unconfirmed = 2;
        let notes: Vec<_> = outcomes.notes().collect();
        assert!(notes[0].starts_with("2 cases, case 7 the first, took so long"));
        assert!(notes[1].starts_with("2 cases beyond the threshold were left"));
    }

    #[test]
    fn the_tree_has_each_verdict_its_reason_and_what_was_late() {
        let plan = plan();
        let mut outcomes = after(true, &[Verdict::Completed, Verdict::Slowed]);
        outcomes.add(3, Verdict::Skipped, Some("no such page".into()));
        outcomes.late(1);
        assert_eq!(outcomes.exit_so_far(), ExitCode::Slowed);
        let mut tree = String::new();
        let by = |case: &Case| (case.number == 2).then_some(Maker::Fabric);
        outcomes.write_tree(&mut tree, &plan, by).unwrap();
        for line in [
            "    ok 1 spin # late\n    ok 2 wfe # SKIP not reached\nok 1 - ic-ivau\n",
            "    not ok 1 spin # slowed, made by the fabric, a model\n",
            "    ok 1 spin # SKIP no such page\n",
        ] {
            assert!(tree.contains(line), "{tree}");
        }
    }
}
