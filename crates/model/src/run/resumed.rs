//! A run that was broken off, and the one that continued it, as one.

use alloc::{format, string::String, vec::Vec};

use super::{Run, TcgThread};
use crate::{
    histogram::Histogram,
    plan::Plan,
    record::{Machine, PlanRecord},
    words,
};

impl Run {
    /// Which cases of its first plan have no result here.
    pub fn missing(&self, plan: &Plan) -> impl Iterator<Item = u32> {
        let cases = plan.groups.iter().flat_map(|group| &group.cases);
        let numbers = cases.map(|case| case.number as u32);
        numbers.filter(|n| !self.cases.iter().any(|case| case.n == *n))
    }

    /// This run, which was broken off, and the one that ran what it lacks, as one
    /// run of the first plan.
    ///
    /// # Errors
    /// One line: the later run was on another machine, or by another plan, so that
    /// the two are not one run.
    pub fn resumed(mut self, later: Self) -> Result<Self, String> {
        self.same_as(&later)?;
        let (before, after) = (self.cases.len(), later.cases.len());
        if let Some(begins) = later.cases.first().filter(|_| before > 0) {
            self.notes.push(format!(
                "host: the run was broken off after {}, and resumed with case {}: {} ran in \
                 another boot, with {} of its own",
                words::cases(before),
                begins.n,
                words::cases(after),
                words::with(after, "a baseline", "baselines"),
            ));
        }
        self.joined(later)
    }

    /// This run, of a part of a plan, and the one that ran another part in a further boot,
    /// as one run.
    ///
    /// # Errors
    /// One line: the later run was on another machine, or by another plan, so that
    /// the two are not one run.
    pub fn joined(mut self, later: Self) -> Result<Self, String> {
        self.same_as(&later)?;
        // What was in flight when it was broken off has run again.
        let done = |n: u32| self.cases.iter().any(|case| case.n == n);
        self.blocks.retain(|block| done(block.n));
        self.faults.retain(|fault| done(fault.n));
        self.bisections.retain(|found| done(found.n));
        let mut end = later.end;
        for (verdict, n) in end.iter_mut().flat_map(|end| &mut end.verdicts) {
            let here = self.cases.iter().filter(|case| case.verdict == *verdict);
            *n += here.count() as u32;
        }
        if let Some(end) = &mut end {
            for case in &self.cases {
                if !end.verdicts.iter().any(|(v, _)| *v == case.verdict) {
                    let same = self.cases.iter().filter(|c| c.verdict == case.verdict);
                    end.verdicts.push((case.verdict, same.count() as u32));
                }
            }
        }
        // What each boot says again.
        let known = |note: &String| self.notes.contains(note);
        let new: Vec<_> = later
            .notes
            .into_iter()
            .filter(|note| !known(note))
            .collect();
        self.notes.extend(new);
        if self.tcg_thread != later.tcg_thread {
            let known = self.tcg_thread.and(later.tcg_thread);
            self.tcg_thread = known.map(|_| TcgThread::Split);
        }
        self.machine_command = later.machine_command;
        self.elapsed_ms += later.elapsed_ms;
        self.console_bytes += later.console_bytes;
        self.garbled += later.garbled;
        self.unchecked += later.unchecked;
        self.lost.extend(later.lost);
        self.restarts += later.restarts;
        self.machine = self.machine.or(later.machine);
        self.marks = later.marks.or(self.marks);
        if self.cores.len() < later.cores.len() {
            self.cores = later.cores;
        }
        self.topology = self.topology.or(later.topology);
        self.plan = self.plan.or(later.plan);
        self.icount = self.icount.or(later.icount);
        if !later.absent.is_empty() {
            self.absent = later.absent;
        }
        for maker in later.made_by {
            self.made_also_by(maker);
        }
        self.groups.extend(later.groups);
        self.groups.sort_by_key(|group| group.first);
        self.cases.extend(later.cases);
        self.cases.sort_by_key(|case| case.n);
        self.blocks.extend(later.blocks);
        self.faults.extend(later.faults);
        self.bisections.extend(later.bisections);
        self.resumes.extend(later.resumes);
        self.end = end;
        Ok(self)
    }

    /// Is this the same machine, with the same roles?
    fn same_as(&self, later: &Self) -> Result<(), String> {
        let differs = |what: &str, was: &str, is: &str| {
            Err(format!("another {what}: {is}, and it was {was}"))
        };
        if self.host != later.host {
            return differs("host", &self.host, &later.host);
        }
        if let (Some(was), Some(is)) = (&self.machine, &later.machine)
            && unmeasured(was) != unmeasured(is)
        {
            return differs("machine", &named(was), &named(is));
        }
        if let (Some(was), Some(is)) = (&self.plan, &later.plan)
            && rules(was) != rules(is)
        {
            let text =
                |plan: &PlanRecord| format!("initiators {}, stale {}", plan.initiators, plan.stale);
            return differs("plan", &text(was), &text(is));
        }
        Ok(())
    }
}

/// A machine without what is measured anew in each boot.
fn unmeasured(machine: &Machine) -> Machine {
    Machine {
        empty: Histogram::new(),
        counter_hz: 0,
        ..machine.clone()
    }
}

/// A machine in a few words.
fn named(machine: &Machine) -> String {
    format!(
        "{}, {}, entered at EL{}, image {}",
        machine.model,
        words::count(machine.cpus as usize, "CPU", "CPUs"),
        machine.entry_el,
        machine.version
    )
}

/// What a plan says besides its cases.
fn rules(plan: &PlanRecord) -> PlanRecord {
    PlanRecord {
        cases: 0,
        options: None,
        // Where its memory was is each boot's own.
        under_test: None,
        ..plan.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glossary::{StaleState, Verdict},
        options::Options,
        record::{CaseRecord, End},
    };
    use alloc::{string::ToString, vec};

    fn plan() -> Plan {
        let options =
            Options::from_bootargs("stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe");
        Plan::new(&options.unwrap(), 4).unwrap()
    }

    /// A run with these of the plan's cases.
    fn run(numbers: &[usize], verdict: Verdict, ended: bool) -> Run {
        let plan = plan();
        let all: Vec<_> = plan.groups.iter().flat_map(|g| &g.cases).collect();
        let case = |n: &usize| CaseRecord::blank(all[*n - 1], verdict, None);
        Run {
            host: "qemu".to_string(),
            cases: numbers.iter().map(case).collect(),
            elapsed_ms: 5,
            end: ended.then(|| End {
                exit: 0,
                verdicts: vec![(verdict, numbers.len() as u32)],
                elapsed_ms: 1,
            }),
            ..Run::default()
        }
    }

    #[test]
    fn what_is_missing_is_what_has_no_result() {
        let missing = |run: &Run| run.missing(&plan()).collect::<Vec<_>>();
        assert_eq!(missing(&Run::default()), [1, 2, 3, 4]);
        assert_eq!(missing(&run(&[1, 3], Verdict::Completed, false)), [2, 4]);
        assert!(missing(&run(&[1, 2, 3, 4], Verdict::Completed, true)).is_empty());
    }

    #[test]
    fn both_parts_are_one_run() {
        let first = run(&[1, 2], Verdict::Blocked, false);
        let whole = first
            .resumed(run(&[3, 4], Verdict::Completed, true))
            .unwrap();
        let numbers: Vec<_> = whole.cases.iter().map(|case| case.n).collect();
        assert_eq!((numbers, whole.elapsed_ms), (vec![1, 2, 3, 4], 10));
        let verdicts = whole.end.as_ref().map(|end| end.verdicts.clone());
        let both = vec![(Verdict::Completed, 2), (Verdict::Blocked, 2)];
        assert_eq!((verdicts, whole.unread()), (Some(both), None));
        assert!(
            whole.notes[0].contains("resumed with case 3"),
            "{:?}",
            whole.notes
        );
    }

    #[test]
    fn parts_in_other_threads_are_told_in_the_plans_order() {
        let part = |numbers: &[usize], threads| Run {
            tcg_thread: threads,
            notes: vec!["said in each".to_string()],
            ..run(numbers, Verdict::Completed, true)
        };
        let waits = || part(&[3, 4], Some(TcgThread::Single));
        let busy = part(&[1, 2], Some(TcgThread::Multi));
        let whole = waits().joined(busy).unwrap();
        let numbers: Vec<_> = whole.cases.iter().map(|case| case.n).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(whole.tcg_thread, Some(TcgThread::Split));
        assert_eq!(whole.notes, ["said in each"]);
        let of = |later| waits().joined(part(&[1], later)).unwrap().tcg_thread;
        assert_eq!(of(Some(TcgThread::Single)), Some(TcgThread::Single));
        assert_eq!(of(None), None);
    }

    #[test]
    fn what_was_in_flight_counts_once() {
        let case = *plan().groups[1].cases.first().unwrap();
        assert_eq!(case.state, StaleState::Wfe);
        let seen = crate::mark::Seen {
            sequence: 1,
            site: None,
            address: 0,
            returned: 0,
        };
        let block = || case.block(0, &seen, 2000, "sentinel");
        let mut first = run(&[1, 2], Verdict::Completed, false);
        first.blocks = vec![block()];
        let mut second = run(&[3, 4], Verdict::Blocked, true);
        second.blocks = vec![block()];
        assert_eq!(first.resumed(second).unwrap().blocks.len(), 1);
    }

    #[test]
    fn another_machine_or_plan_is_refused() {
        let part = |host: &str, cpus, stale| {
            let mut run = run(&[1], Verdict::Completed, false);
            run.host = host.into();
            run.machine = Some(super::super::tests::machine());
            run.machine.as_mut().unwrap().cpus = cpus;
            run.plan = Some(PlanRecord {
                cases: 4,
                initiators: crate::cpuset::CpuSet::one(0),
                stale: crate::cpuset::CpuSet::one(stale),
                samples: 64,
                deadline_ms: 2000,
                threshold: 2000,
                strict: false,
                options: None,
                under_test: None,
            });
            run
        };
        let error = |later| part("qemu", 4, 1).resumed(later).unwrap_err();
        assert!(error(part("kvm", 4, 1)).contains("another host: kvm, and it was qemu"));
        let machine = error(part("qemu", 8, 1));
        assert!(
            machine.contains("another machine: ") && machine.contains(", 8 CPUs, entered at EL")
        );
        assert!(machine.contains(", and it was ") && machine.contains(", 4 CPUs, "));
        assert!(error(part("qemu", 4, 2)).contains("another plan: "));
        let mut same = part("qemu", 4, 1);
        same.machine.as_mut().unwrap().counter_hz += 1;
        same.plan.as_mut().unwrap().cases = 3;
        assert!(part("qemu", 4, 1).resumed(same).is_ok());
    }

    #[test]
    fn what_was_lost_in_either_part_is_lost_of_the_whole() {
        let part = |numbers: &[usize], n: u32| Run {
            garbled: n.into(),
            unchecked: (10 * n).into(),
            restarts: 100 * n,
            console_bytes: (1000 * n).into(),
            lost: vec![[n, n]],
            ..run(numbers, Verdict::Completed, true)
        };
        let whole = part(&[1, 2], 1).joined(part(&[3, 4], 2)).unwrap();
        assert_eq!((whole.garbled, whole.unchecked), (3, 30));
        assert_eq!((whole.restarts, whole.console_bytes), (300, 3000));
        assert_eq!(whole.lost, [[1, 1], [2, 2]]);
    }

    /// The part that brought up more of them says more; who was absent, the later one.
    #[test]
    fn cores_are_told_by_the_part_that_has_most() {
        use crate::{cpuset::CpuSet, hex::Hex, record::Absent};
        let part = |numbers: &[usize], kinds: usize, absent: Option<usize>| Run {
            cores: (0..kinds)
                .map(|midr| crate::record::Cores {
                    cpus: CpuSet::one(midr),
                    mpidr: Vec::new(),
                    midr: Hex(midr as u64),
                    revidr: Hex(0),
                    ctr: Hex(0),
                    clidr: Hex(0),
                    ccsidr: Vec::new(),
                    dczid: Hex(0),
                    cntfrq: 0,
                    pmu: None,
                })
                .collect(),
            absent: absent
                .map(|cpu| Absent {
                    cpus: CpuSet::one(cpu),
                    why: String::new(),
                    inherited: false,
                })
                .into_iter()
                .collect(),
            ..run(numbers, Verdict::Completed, true)
        };
        let of = |first, later| {
            let whole: Run = Run::joined(first, later).unwrap();
            (whole.cores.len(), whole.absent().lowest())
        };
        let (few, many) = (|| part(&[1], 1, Some(5)), || part(&[2], 3, None));
        assert_eq!(of(few(), many()), (3, Some(5)));
        assert_eq!(of(many(), few()), (3, Some(5)));
        assert_eq!(of(few(), part(&[2], 1, Some(6))), (1, Some(6)));
    }
}
