//! Runs that between them need every sentence about the crash path.

use super::*;

/// A crash path that was walked up to this step.
fn crash(state: StaleState, verdict: Verdict, why: Option<&'static str>, last: Step) -> Run {
    with(
        run(&[(Subject::MachineKexec, state, verdict, why)]),
        |run| {
            let steps = Step::ALL.into_iter().take_while(|step| *step <= last);
            run.kdump = steps
                .map(|step| KdumpRecord {
                    step,
                    at_ms: 1,
                    cpu: 3,
                    cpus: None,
                    detail: None,
                })
                .collect();
        },
    )
}

/// Everything that can be said about the crash path.
pub fn of_crashes() -> Vec<(&'static str, Run)> {
    use StaleState::Qspinlock;
    let kexec = Subject::MachineKexec;
    let held = |last| {
        with(crash(Qspinlock, Blocked, None, last), |run| {
            run.blocks = vec![block(1, kexec)];
        })
    };
    vec![
        (
            "crash: walked",
            crash(Qspinlock, Completed, None, Step::Report),
        ),
        (
            "crash: the others parked",
            crash(Parked, Completed, None, Step::Report),
        ),
        (
            "crash: no core was stale",
            with(crash(Qspinlock, Completed, None, Step::Report), |run| {
                if let Some(plan) = &mut run.plan {
                    plan.stale = CpuSet::EMPTY;
                }
            }),
        ),
        (
            "crash: the plan was lost",
            with(crash(Qspinlock, Completed, None, Step::Report), |run| {
                run.plan = None;
                run.lost = vec![[3, 3]];
            }),
        ),
        (
            "crash: blocked before the last line",
            held(Step::FlushIcache),
        ),
        (
            "crash: blocked after the last line",
            by(held(Step::BroadcastIc), Maker::Fabric),
        ),
        (
            "crash: blocked and released",
            with(held(Step::FlushIcache), |run| {
                run.blocks = vec![released(block(1, kexec))];
            }),
        ),
        (
            "crash: blocked, no report of it",
            crash(Qspinlock, Blocked, None, Step::FlushIcache),
        ),
        (
            "crash: faulted",
            with(crash(Qspinlock, Faulted, None, Step::FlushIcache), |run| {
                run.faults = vec![fault(1, kexec)];
            }),
        ),
        (
            "crash: faulted, no report of it",
            crash(Qspinlock, Faulted, None, Step::FlushIcache),
        ),
        (
            "crash: incoherent",
            crash(
                Qspinlock,
                Incoherent,
                Some("segment initrd is WRONG"),
                Step::Segments,
            ),
        ),
        (
            "crash: undecided",
            crash(
                Qspinlock,
                Inconclusive,
                Some("CPU 2 left its state"),
                Step::Warn,
            ),
        ),
        (
            "crash: skipped",
            crash(Qspinlock, Skipped, None, Step::Load),
        ),
    ]
}
