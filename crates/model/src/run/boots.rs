//! Several boots of the same plan as one run: what differs from boot to boot is in it.

use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use super::Run;
use crate::{
    exit::ExitCode,
    glossary::Verdict,
    record::{CaseRecord, Dwell},
    rounds::{Class, Found, Rounds},
    verdict, words,
};

/// One boot of several.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Boot {
    /// The exit code of that boot alone.
    pub exit: u8,
    /// Its answer.
    pub answer: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The numbers of the cases that were slowed in it, certainly.
    pub slowed: Vec<u32>,
}

/// From the least serious to the most: what a case is over several boots.
const FROM_BEST: [Verdict; 7] = [
    Verdict::Skipped,
    Verdict::Inconclusive,
    Verdict::Completed,
    Verdict::Slowed,
    Verdict::Faulted,
    Verdict::Blocked,
    Verdict::Incoherent,
];

impl Run {
    /// Boots of the same plan as one run; `None` without any. A case has the most serious
    /// of its verdicts; `slowed` it is only if it was so in every boot. Its samples are
    /// those of all boots, and each boot counts as one of its rounds.
    pub fn of_boots(boots: Vec<Self>) -> Option<Self> {
        let own = boots.iter().map(|run| Boot {
            exit: run.exit,
            answer: run.answer.clone(),
            elapsed_ms: run.elapsed_ms,
            slowed: numbers(run, Verdict::Slowed),
        });
        let own: Vec<_> = own.collect();
        let of = boots.len();
        let mut boots = boots.into_iter();
        let mut all = boots.next()?;
        all.boots = own;
        let resolution = all.resolution();
        for case in &mut all.cases {
            case.rounds = of_boot(case, resolution);
        }
        for (nth, run) in boots.enumerate() {
            all.add(run, nth + 2, of);
        }
        for case in &mut all.cases {
            let slowed = all
                .boots
                .iter()
                .filter(|b| b.slowed.contains(&case.n))
                .count();
            if case.verdict == Verdict::Slowed && slowed < of {
                case.verdict = Verdict::Completed;
                case.why = Some(format!(
                    "slowed in {slowed} of {}",
                    words::count(of, "boot", "boots")
                ));
            }
        }
        if let Some(end) = &mut all.end {
            let count = |v: &Verdict| all.cases.iter().filter(|c| c.verdict == *v).count() as u32;
            let counts = Verdict::ALL.iter().map(|v| (*v, count(v)));
            end.verdicts = counts.filter(|(_, n)| *n > 0).collect();
        }
        let strict = all.plan.as_ref().is_some_and(|plan| plan.strict);
        let slowed = strict && all.cases.iter().any(|c| c.verdict == Verdict::Slowed);
        // What was late in some boots is not late.
        let codes = all
            .boots
            .iter()
            .filter_map(|b| ExitCode::from_number(b.exit.into()));
        let codes = codes.filter(|code| slowed || !strict || *code != ExitCode::Slowed);
        all.exit = codes.fold(ExitCode::Expected, ExitCode::worse) as u8;
        Some(all)
    }

    /// Adds what another boot found.
    fn add(&mut self, run: Self, nth: usize, of: usize) {
        let resolution = run.resolution();
        for case in run.cases {
            let rounds = of_boot(&case, resolution);
            match self.cases.iter_mut().find(|known| known.n == case.n) {
                Some(known) => join(known, case, rounds),
                None => self.cases.push(CaseRecord { rounds, ..case }),
            }
        }
        for text in run.notes {
            if !self.notes.contains(&text) {
                self.notes.push(format!("boot {nth} of {of}: {text}"));
            }
        }
        self.blocks.extend(run.blocks);
        self.starved.extend(run.starved);
        self.faults.extend(run.faults);
        self.bisections.extend(run.bisections);
        self.hazards.extend(run.hazards);
        self.elapsed_ms += run.elapsed_ms;
        self.console_bytes += run.console_bytes;
        self.garbled += run.garbled;
        self.unchecked += run.unchecked;
        self.restarts += run.restarts;
        self.lost.extend(run.lost);
        self.machine = self.machine.take().or(run.machine);
        self.plan = self.plan.take().or(run.plan);
        self.end = self.end.take().or(run.end);
        for maker in run.made_by {
            self.made_also_by(maker);
        }
    }

    /// What a case's boots show, where there were several; `found` is what the rounds say
    /// into which they are put.
    pub(super) fn found_over_boots(&self, case: &CaseRecord, threshold: u32) -> Option<Found> {
        let slowed = self
            .boots
            .iter()
            .filter(|b| b.slowed.contains(&case.n))
            .count();
        let (_, (_, high)) = case.rounds.as_ref()?.slowdown(self.resolution())?;
        Some(match slowed {
            n if n == self.boots.len() => Found::Later,
            0 if high <= threshold => Found::Same,
            _ => Found::Noisy,
        })
    }

    /// What the counter cannot resolve, in its ticks.
    pub fn resolution(&self) -> u64 {
        let empty = self.machine.as_ref().map(|machine| &machine.empty);
        empty.map_or(0, verdict::resolution)
    }
}

fn numbers(run: &Run, verdict: Verdict) -> Vec<u32> {
    let cases = run.cases.iter().filter(|case| case.verdict == verdict);
    cases.map(|case| case.n).collect()
}

/// A boot as one round: as late as its own table says.
fn of_boot(case: &CaseRecord, resolution: u64) -> Option<Rounds> {
    let class = case.rounds.as_ref().map_or(
        if case.complete.count() > 0 {
            Class::Complete
        } else {
            Class::Issue
        },
        |rounds| rounds.class,
    );
    let (issue, complete) = case.baseline();
    let base = match class {
        Class::Issue => issue,
        Class::Complete => complete,
    };
    let base = base.quantile(500)?.max(1);
    let late = case.slowdown(resolution)?;
    let mut rounds = Rounds::new(class);
    let ticks = u128::from(base) * u128::from(late) / 1000;
    rounds.push(Some(base), u64::try_from(ticks).unwrap_or(u64::MAX), (1, 1));
    Some(rounds)
}

fn join(known: &mut CaseRecord, case: CaseRecord, rounds: Option<Rounds>) {
    let real = |case: &CaseRecord| case.was_late().map(|late| late.ticks);
    if real(&case) > real(known) || known.late.is_none() {
        known.late = case.late;
    }
    let rank = |verdict: Verdict| FROM_BEST.iter().position(|v| *v == verdict);
    if rank(case.verdict) > rank(known.verdict) {
        (known.verdict, known.why) = (case.verdict, case.why);
    }
    known.by = known.by.or(case.by);
    if known.batch == case.batch {
        known.issue.merge(&case.issue);
        known.complete.merge(&case.complete);
        known.base_issue.merge(&case.base_issue);
        known.base_complete.merge(&case.base_complete);
    }
    for Dwell {
        ms,
        samples,
        baseline,
    } in case.dwell
    {
        if let Some(dwell) = known.dwell.iter_mut().find(|dwell| dwell.ms == ms) {
            dwell.samples.merge(&samples);
            dwell.baseline.merge(&baseline);
        }
    }
    match (&mut known.rounds, rounds) {
        (Some(known), Some(more)) => {
            known.base.extend(more.base);
            known.case.extend(more.case);
        }
        (none, more) => *none = more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glossary::{LineState, StaleState, Subject},
        histogram::Histogram,
        plan::Case,
        record::PlanRecord,
    };

    fn boot(late: [u64; 3], slowed: &[u32], blocked: &[u32]) -> Run {
        let cases = late.iter().zip(1..).map(|(late, n)| {
            let case = Case {
                number: n as usize,
                subject: Subject::IcIvau,
                state: StaleState::ALL[n as usize],
                line: LineState::DirtyHere,
            };
            let verdict = match n {
                n if blocked.contains(&n) => Verdict::Blocked,
                n if slowed.contains(&n) => Verdict::Slowed,
                _ => Verdict::Completed,
            };
            let mut record = CaseRecord::blank(&case, verdict, None);
            record.complete.add_many(*late, 9);
            record.base_complete.add_many(1000, 9);
            record
        });
        let mut run = Run {
            cases: cases.collect(),
            exit: if blocked.is_empty() {
                u8::from(!slowed.is_empty())
            } else {
                4
            },
            elapsed_ms: 10,
            ..Run::default()
        };
        run.plan = Some(PlanRecord {
            cases: 3,
            initiators: crate::cpuset::CpuSet::one(0),
            stale: crate::cpuset::CpuSet::one(1),
            samples: 9,
            deadline_ms: 1000,
            threshold: 2000,
            strict: true,
            options: None,
            under_test: None,
        });
        run
    }

    fn verdicts(run: &Run) -> Vec<Verdict> {
        run.cases.iter().map(|case| case.verdict).collect()
    }

    #[test]
    fn slowed_is_what_was_so_in_every_boot() {
        use Verdict::{Completed, Slowed};
        let boots = [
            boot([3000, 3000, 1000], &[1, 2], &[]),
            boot([5000, 1000, 1000], &[1], &[]),
            boot([4000, 1000, 1000], &[1], &[]),
        ];
        let run = Run::of_boots(boots.into()).unwrap();
        assert_eq!(verdicts(&run), [Slowed, Completed, Completed]);
        let found: Vec<_> = run.cases.iter().map(|case| run.found(case)).collect();
        assert_eq!(
            found,
            [Some(Found::Later), Some(Found::Noisy), Some(Found::Same)]
        );
        assert_eq!(run.cases[1].why.as_deref(), Some("slowed in 1 of 3 boots"));
        // The boots are the interval.
        let rounds = run.cases[0].rounds.as_ref().unwrap();
        let (middle, (low, high)) = rounds.slowdown(2).unwrap();
        assert!(
            low < 3050 && middle > 3800 && high > 4900,
            "{low} {middle} {high}"
        );
        assert_eq!(
            (run.exit, run.elapsed_ms, run.cases[0].complete.count()),
            (1, 30, 27)
        );
    }

    #[test]
    fn late_in_one_boot_is_no_reason_to_fail_and_a_block_is() {
        let quiet = || boot([1000; 3], &[], &[]);
        let run = Run::of_boots([quiet(), boot([3000, 1000, 1000], &[1], &[])].into()).unwrap();
        assert_eq!(run.exit, 0);
        let run = Run::of_boots([quiet(), boot([1000; 3], &[], &[3])].into()).unwrap();
        assert_eq!((run.exit, run.cases[2].verdict), (4, Verdict::Blocked));
        assert_eq!(Run::of_boots(Vec::new()), None);
    }

    #[test]
    fn dwells_of_all_boots_are_one_and_the_issue_class_decides_where_there_is_no_other() {
        let dwell = |ms, late| {
            let mut dwell = Dwell {
                ms,
                samples: Histogram::new(),
                baseline: Histogram::new(),
            };
            dwell.samples.add_many(late, 5);
            dwell.baseline.add_many(1000, 5);
            dwell
        };
        let boot = |late| {
            let mut boot = boot([1000; 3], &[], &[]);
            let case = &mut boot.cases[0];
            case.dwell = [10, 100].map(|ms| dwell(ms, late)).into();
            case.issue = core::mem::take(&mut case.complete);
            case.base_issue = core::mem::take(&mut case.base_complete);
            boot
        };
        let run = Run::of_boots([boot(3000), boot(5000)].into()).unwrap();
        let case = &run.cases[0];
        let dwells: Vec<_> = case
            .dwell
            .iter()
            .map(|d| (d.ms, d.samples.count()))
            .collect();
        assert_eq!(dwells, [(10, 10), (100, 10)]);
        let (late, base) = (&case.dwell[1].samples, &case.dwell[1].baseline);
        assert_eq!((late.max(), base.max()), (Some(5000), Some(1000)));
        let rounds = case.rounds.as_ref().unwrap();
        assert_eq!((rounds.class, rounds.case.len()), (Class::Issue, 2));
    }

    #[test]
    fn what_each_boot_counts_is_counted_together() {
        let of = |n: u32, text: &str| Run {
            garbled: n.into(),
            unchecked: (10 * n).into(),
            restarts: 100 * n,
            console_bytes: (1000 * n).into(),
            notes: [text.into()].into(),
            ..boot([1000; 3], &[], &[])
        };
        let run = Run::of_boots([of(1, "hot"), of(2, "hot"), of(4, "cold")].into()).unwrap();
        assert_eq!((run.garbled, run.unchecked, run.restarts), (7, 70, 700));
        assert_eq!((run.console_bytes, run.elapsed_ms), (7000, 30));
        // What the first has said is not said again, and whose the others are is.
        assert_eq!(run.notes, ["hot", "boot 3 of 3: cold"]);
    }

    #[test]
    fn the_closing_record_counts_the_verdicts_of_all_boots() {
        use crate::record::End;
        let of = |blocked: &[u32]| {
            let mut boot = boot([1000; 3], &[], blocked);
            boot.end = Some(End {
                exit: boot.exit,
                verdicts: [(Verdict::Completed, 3)].into(),
                elapsed_ms: 1,
            });
            boot
        };
        let run = Run::of_boots([of(&[]), of(&[2])].into()).unwrap();
        let counts = [(Verdict::Completed, 2), (Verdict::Blocked, 1)];
        assert_eq!(run.end.unwrap().verdicts, counts);
    }

    /// Where the boots lie on both sides of the threshold nobody knows.
    #[test]
    fn a_case_that_is_slowed_in_no_boot_is_the_same_only_within_the_threshold() {
        let of = |late| boot([late, 1000, 1000], &[], &[]);
        let found = |late: [u64; 3]| {
            let run = Run::of_boots(late.map(of).into()).unwrap();
            run.found(&run.cases[0])
        };
        assert_eq!(found([1000, 1100, 1200]), Some(Found::Same));
        assert_eq!(found([1000, 1100, 9000]), Some(Found::Noisy));
    }

    #[test]
    fn of_several_late_samples_the_latest_that_is_real_is_kept() {
        use crate::record::{Late, Starved};
        let late = |ticks, real: bool| Late {
            cpu: 0,
            round: 1,
            complete: true,
            nth: 1,
            operand: crate::hex::Hex(0),
            ticks,
            control: 1,
            at_ms: 1,
            ago_ms: 1,
            starved: (!real).then_some(Starved {
                cpu: 0,
                queued_ms: 1,
                ran_ms: 1,
                of_ms: 2,
                all: false,
            }),
        };
        let kept = |boots: &[Option<Late>]| {
            let boots = boots.iter().map(|late| {
                let mut boot = boot([1000; 3], &[], &[]);
                boot.cases[0].late = *late;
                boot
            });
            let run = Run::of_boots(boots.collect()).unwrap();
            run.cases[0].late.as_ref().map(|late| late.ticks)
        };
        let (short, long, starved) = (late(5, true), late(9, true), late(99, false));
        for (first, second, ticks) in [
            (None, Some(&short), 5),
            (Some(&short), None, 5),
            (Some(&short), Some(&long), 9),
            (Some(&long), Some(&short), 9),
            (Some(&starved), Some(&short), 5),
            (Some(&short), Some(&starved), 5),
            (None, Some(&starved), 99),
        ] {
            let boots = [first.copied(), second.copied()];
            assert_eq!(kept(&boots), Some(ticks), "{boots:?}");
        }
    }

    /// The counter's resolution is that of the empty block.
    #[test]
    fn what_the_counter_cannot_resolve_is_known_where_the_machine_is() {
        assert_eq!(Run::default().resolution(), 0);
        let mut machine = crate::run::tests::machine();
        machine.empty.add_many(70, 9);
        let resolution = verdict::resolution(&machine.empty);
        let run = Run {
            machine: Some(machine),
            ..Run::default()
        };
        assert!(resolution > 1);
        assert_eq!(run.resolution(), resolution);
    }
}
