//! Which cases an answer counts, and who made them.

use alloc::vec::Vec;

use super::{Run, Unread};
use crate::{
    glossary::{StaleState, Subject, Verdict},
    record::{CaseRecord, Machine, Maker, PlanRecord, SEALED},
};

impl Run {
    /// Is this the crash path, and not a plan of cases?
    pub const fn is_crash(&self) -> bool {
        !self.kdump.is_empty()
    }

    /// Was only the control asked for, with every other core parked? Not
    /// where a case may have been something else: its record was lost.
    pub fn only_control(&self) -> bool {
        let whole = |unread: Unread| unread.of == Some(unread.read);
        // Where a kernel has left a core stuck, one is stale in each case.
        if !self.unread().is_none_or(whole) || !self.inherited().is_empty() {
            return false;
        }
        let parked = |state: &StaleState| *state == StaleState::Parked;
        let mut states = self.cases.iter().map(|case| &case.state);
        let mut groups = self.groups.iter().map(|group| &group.state);
        !self.cases.is_empty() && states.all(parked) && groups.all(parked)
    }

    /// Does this case test what was asked? The control, with every other core
    /// parked, does not, unless nothing else was asked for; and a crash path
    /// that no stale core could hold up does not.
    pub fn counts(&self, case: &CaseRecord) -> bool {
        let stale = || self.plan.as_ref().is_some_and(|p| !p.stale.is_empty());
        if case.state == StaleState::Parked {
            self.only_control() || !self.inherited().is_empty()
        } else {
            !self.is_crash() || stale()
        }
    }

    /// Was any of what was asked decided? If not, the run proves
    /// nothing.
    pub fn decided(&self) -> bool {
        let decided = |v| !matches!(v, Verdict::Skipped | Verdict::Inconclusive);
        let mut cases = self.cases.iter();
        cases.any(|case| decided(case.verdict) && self.counts(case))
    }

    /// Was there a fabric? `None` where neither the host's flags nor the image's
    /// records tell.
    pub fn has_fabric(&self) -> Option<bool> {
        if self.made_by.contains(&Maker::Fabric) {
            return Some(true);
        }
        // Each case would have said so, the plan too.
        let says = |machine: &Machine| machine.schema >= SEALED;
        let cases = !self.cases.is_empty() && self.machine.as_ref().is_some_and(says);
        let plan = self.plan.as_ref().and_then(PlanRecord::has_fabric);
        plan.or_else(|| cases.then_some(false))
    }

    /// Who makes the results of this subject, where it is not the machine's own
    /// cores and caches.
    pub fn maker(&self, subject: Subject) -> Option<Maker> {
        let fabric = self.made_by.contains(&Maker::Fabric);
        let plugin = self.made_by.contains(&Maker::Plugin);
        let plugin = || plugin.then_some(Maker::Plugin);
        Maker::of(subject, fabric).or_else(plugin)
    }

    /// Everybody who made a result of this run, or may have.
    pub fn makers(&self) -> Vec<Maker> {
        let cases = self.cases.iter().filter_map(|case| self.maker(case.op));
        let mut makers: Vec<_> = self.made_by.iter().copied().chain(cases).collect();
        makers.sort();
        makers.dedup();
        makers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cpuset::CpuSet,
        glossary::LineState,
        kdump::{KdumpRecord, Step},
        plan::Case,
        record::{Absent, GroupRecord, Record},
        run::tests::machine,
    };
    use alloc::{string::String, vec};

    fn plan(options: Option<&str>) -> PlanRecord {
        PlanRecord {
            cases: 1,
            initiators: CpuSet::one(0),
            stale: CpuSet::one(1),
            samples: 64,
            deadline_ms: 2000,
            threshold: 2000,
            strict: false,
            options: options.map(Into::into),
            under_test: None,
        }
    }

    #[test]
    fn the_plan_tells_of_a_fabric() {
        for (options, told) in [
            (None, None),
            (Some(""), Some(false)),
            (Some("stalecore.ops=ic-ivau"), Some(false)),
            (
                Some("stalecore.ops=ic-ivau stalecore.fabric=deaf=spin"),
                Some(true),
            ),
        ] {
            let mut run = Run::default();
            assert!(run.take(Record::Plan(plan(options))));
            assert_eq!(run.has_fabric(), told, "{options:?}");
            let maker = (told == Some(true)).then_some(Maker::Fabric);
            assert_eq!(run.maker(Subject::IcIvau), maker);
            // A reset forgets the plan, not who made what came before it.
            run.begin_again();
            assert_eq!(run.maker(Subject::IcIvau), maker);
        }
    }

    fn case(number: usize, state: StaleState, verdict: Verdict) -> CaseRecord {
        let case = Case {
            number,
            subject: Subject::IcIvau,
            state,
            line: LineState::DirtyHere,
        };
        CaseRecord::blank(&case, verdict, None)
    }

    fn run(cases: &[(StaleState, Verdict)]) -> Run {
        let mut run = Run::default();
        for (number, (state, verdict)) in (1..).zip(cases) {
            let record = case(number, *state, *verdict);
            assert!(run.take(Record::Case(record.into())));
        }
        run
    }

    #[test]
    fn the_control_alone_proves_nothing_of_stale_cores() {
        use StaleState::{Parked, Spin};
        use Verdict::{Completed, Inconclusive, Skipped};
        for (cases, decided) in [
            (&[][..], false),
            (&[(Parked, Completed), (Spin, Skipped)], false),
            (&[(Parked, Completed), (Spin, Inconclusive)], false),
            (&[(Parked, Skipped), (Spin, Completed)], true),
            // Nothing else was asked for.
            (&[(Parked, Completed)], true),
            (&[(Parked, Inconclusive)], false),
        ] {
            assert_eq!(run(cases).decided(), decided, "{cases:?}");
        }
    }

    #[test]
    fn only_the_control_was_asked_for_where_nothing_else_can_have_been() {
        use StaleState::{Parked, Spin};
        let parked = || run(&[(Parked, Verdict::Completed)]);
        assert!(parked().only_control() && !run(&[]).only_control());
        assert!(!run(&[(Parked, Verdict::Completed), (Spin, Verdict::Skipped)]).only_control());
        // A group of others had begun.
        let mut more = parked();
        assert!(more.take(Record::Group(GroupRecord {
            state: Spin,
            line: LineState::DirtyHere,
            first: 2,
            cases: 1,
        })));
        assert!(!more.only_control());
        // The plan had a case more, whose record was lost.
        let mut lost = parked();
        let two = PlanRecord {
            cases: 2,
            ..plan(None)
        };
        assert!(lost.take(Record::Plan(two)));
        lost.lost.push([3, 4]);
        assert!(!lost.only_control());
        // A kernel has left a core stuck, beside which even the control is a case.
        let mut inherited = parked();
        inherited.absent.push(Absent {
            cpus: CpuSet::one(3),
            why: String::new(),
            inherited: true,
        });
        assert!(!inherited.only_control() && inherited.decided());
    }

    #[test]
    fn a_crash_path_without_a_stale_core_decides_nothing() {
        for (stale, decided) in [(CpuSet::one(1), true), (CpuSet::EMPTY, false)] {
            let mut run = run(&[(StaleState::Spin, Verdict::Completed)]);
            let plan = PlanRecord {
                stale,
                ..plan(None)
            };
            assert!(run.take(Record::Plan(plan)));
            assert!(run.decided() && !run.is_crash());
            assert!(run.take(Record::Kdump(KdumpRecord {
                step: Step::Bye,
                at_ms: 1,
                cpu: 0,
                cpus: None,
                detail: None,
            })));
            assert_eq!((run.is_crash(), run.decided()), (true, decided));
        }
    }

    #[test]
    fn a_case_of_an_image_that_would_have_told_has_no_fabric() {
        for (schema, cases, told) in [
            (SEALED, 1, Some(false)),
            (SEALED + 1, 1, Some(false)),
            (SEALED - 1, 1, None),
            (SEALED, 0, None),
        ] {
            let mut run = run(&[(StaleState::Spin, Verdict::Completed)][..cases]);
            let machine = Machine {
                schema,
                ..machine()
            };
            run.machine = Some(machine);
            assert_eq!(run.has_fabric(), told, "{schema}, {cases}");
        }
    }

    #[test]
    fn a_case_tells_of_a_fabric_where_the_plan_was_lost() {
        let mut record = case(1, StaleState::Spin, Verdict::Blocked);
        let mut run = Run::default();
        run.take(Record::Case(record.clone().into()));
        // Nobody knows whether its image would have told.
        assert_eq!(run.has_fabric(), None);
        record.by = Some(Maker::Fabric);
        let mut run = Run::default();
        run.take(Record::Case(record.into()));
        assert_eq!(
            (run.has_fabric(), run.made_by),
            (Some(true), vec![Maker::Fabric])
        );
    }
}
