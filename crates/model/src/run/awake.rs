//! The second baseline: other cores that are awake. `parked` cores sleep (WFI), and that
//! itself may change what an operation takes.

use super::Run;
use crate::{glossary::StaleState, options::Milli, record::CaseRecord};

/// Each core in a loop of loads from a line of its own: awake, and no more than that.
pub const AWAKE: StaleState = StaleState::Spin;

impl Run {
    /// How many times as late as beside cores that are [`AWAKE`] a case was, and between
    /// what that lies: the least of the case over the most of the other, and the reverse,
    /// so more than 95 % sure. `None` where either has no rounds.
    pub fn against_awake(&self, case: &CaseRecord) -> Option<(Milli, (Milli, Milli))> {
        if matches!(case.state, AWAKE | StaleState::Parked) {
            return None;
        }
        let same = |c: &&CaseRecord| (c.op, c.line, c.state) == (case.op, case.line, AWAKE);
        let awake = self.cases.iter().find(same)?.rounds.as_ref()?;
        let rounds = case.rounds.as_ref()?;
        if rounds.class != awake.class {
            return None;
        }
        let (middle, (low, high)) = rounds.slowdown(self.resolution())?;
        let (awake, (least, most)) = awake.slowdown(self.resolution())?;
        let ratio = |of: Milli, to: Milli| {
            let milli = u64::from(of) * 1000 / u64::from(to).max(1);
            Milli::try_from(milli).unwrap_or(Milli::MAX)
        };
        Some((ratio(middle, awake), (ratio(low, most), ratio(high, least))))
    }

    /// Is it certain that a case is not later than the plan's threshold against cores that
    /// are awake?
    pub fn as_beside_awake(&self, case: &CaseRecord) -> bool {
        let threshold = self.plan.as_ref().map(|plan| plan.threshold);
        let high = self.against_awake(case).map(|(_, (_, high))| high);
        matches!((high, threshold), (Some(high), Some(most)) if high <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;
    use crate::{
        glossary::{LineState, Subject, Verdict},
        plan::Case,
        rounds::{Class, Rounds},
    };
    use alloc::{vec, vec::Vec};

    fn case(n: u32, state: StaleState, late: &[u64]) -> CaseRecord {
        let case = Case {
            number: n as usize,
            subject: Subject::IcIvau,
            state,
            line: LineState::Cold,
        };
        let mut rounds = Rounds::new(Class::Complete);
        for late in late {
            rounds.push(Some(1024), *late, (64, 64));
        }
        CaseRecord {
            rounds: Some(rounds),
            ..CaseRecord::blank(&case, Verdict::Slowed, None)
        }
    }

    fn run(cases: Vec<CaseRecord>) -> Run {
        Run {
            machine: Some(machine()),
            cases,
            ..Run::default()
        }
    }

    /// Against cores that are awake, in hundredths: medians are known to a sixteenth, and
    /// the counter takes one more.
    fn against(run: &Run, nth: usize) -> Option<[u32; 3]> {
        let (middle, (low, high)) = run.against_awake(&run.cases[nth])?;
        Some([middle, low, high].map(|milli| (milli + 5) / 10))
    }

    #[test]
    fn what_all_cores_that_are_awake_do_is_not_the_states() {
        let run = run(vec![
            case(1, StaleState::Spin, &[3072; 5]),
            case(2, StaleState::BranchSelf, &[3072; 5]),
            case(3, StaleState::TlbiStorm, &[6144, 6144, 7168, 8192, 9216]),
            case(4, StaleState::Parked, &[1024; 5]),
        ]);
        assert_eq!(against(&run, 1), Some([100, 100, 100]));
        assert_eq!(against(&run, 2), Some([233, 200, 302]));
        assert_eq!((against(&run, 0), against(&run, 3)), (None, None));
    }

    #[test]
    fn both_intervals_count() {
        let run = run(vec![
            case(1, StaleState::Spin, &[1024, 2048, 2048, 2048, 4096]),
            case(2, StaleState::BranchSelf, &[2048, 4096, 4096, 4096, 8192]),
        ]);
        assert_eq!(against(&run, 1), Some([200, 50, 801]));
    }

    #[test]
    fn other_operations_and_classes_are_no_baseline() {
        let mut run = run(vec![
            case(1, StaleState::Spin, &[3072; 5]),
            case(2, StaleState::BranchSelf, &[3072; 5]),
        ]);
        run.cases[0].rounds.as_mut().unwrap().class = Class::Issue;
        assert_eq!(run.against_awake(&run.cases[1]), None);
        run.cases[0].op = Subject::DcCivac;
        assert_eq!(run.against_awake(&run.cases[1]), None);
    }

    /// Only the whole interval says so.
    #[test]
    fn as_beside_awake_cores_is_what_lies_within_the_threshold_with_all_of_its_interval() {
        let within = |late: [u64; 5], threshold: Option<Milli>| {
            let mut run = run(vec![
                case(1, StaleState::Spin, &[1024; 5]),
                case(2, StaleState::BranchSelf, &late),
            ]);
            run.plan = threshold.map(|threshold| crate::record::PlanRecord {
                cases: 2,
                initiators: crate::cpuset::CpuSet::one(0),
                stale: crate::cpuset::CpuSet::one(1),
                samples: 5,
                deadline_ms: 1000,
                threshold,
                strict: true,
                options: None,
                under_test: None,
            });
            run.as_beside_awake(&run.cases[1])
        };
        assert!(within([1024; 5], Some(2000)));
        assert!(!within([1024, 1024, 1024, 1024, 4096], Some(2000)));
        assert!(!within([4096; 5], Some(2000)) && within([4096; 5], Some(5000)));
        assert!(!within([1024; 5], None));
    }
}
