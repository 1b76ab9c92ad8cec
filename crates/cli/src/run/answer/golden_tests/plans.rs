//! Runs that between them need every sentence about a plan's cases.

use super::*;

/// Everything that can be said about a plan's cases.
pub fn of_cases() -> Vec<(&'static str, Run)> {
    let skip = |state| (IcIvau, state, Skipped, Some("no core is left to be stale"));
    let fine = |state| (IcIvau, state, Completed, None);
    let slow = |state| (IcIvau, state, Slowed, None);
    let held = |state| (IcIvau, state, Blocked, None);
    let doubt = |state| (IcIvau, state, Inconclusive, Some("CPU 3 left its state"));
    let late = |cases: &[Told], ticks: &[u64]| {
        with(run(cases), |run| {
            run.machine = Some(synthetic::machine(8, samples(12)));
            for (case, ticks) in run.cases.iter_mut().zip(ticks) {
                case.late = Some(Late {
                    cpu: 0,
                    round: 3,
                    complete: true,
                    nth: 14,
                    operand: Hex(0x4000),
                    ticks: *ticks,
                    control: 8300,
                    at_ms: 3214,
                    ago_ms: 40,
                    starved: None,
                });
            }
        })
    };
    // Each case in five rounds, so many times as late as its baseline.
    let rounds = |cases: &[Told], late: &[u64]| {
        with(run(cases), |run| {
            run.machine = Some(synthetic::machine(8, samples(12)));
            for (case, late) in run.cases.iter_mut().zip(late) {
                let mut rounds = Rounds::new(Class::Complete);
                for _ in 0..5 {
                    rounds.push(Some(1024), 1024 * late, (16, 16));
                }
                case.rounds = Some(rounds);
            }
        })
    };
    let one_block = || {
        with(run(&[held(Spin)]), |run| {
            run.blocks = vec![block(1, IcIvau)]
        })
    };
    let hang = |told: &[Told]| {
        let n = told.iter().position(|t| t.0 == SelftestHang).unwrap() as u32 + 1;
        with(run(told), |run| run.blocks = vec![block(n, SelftestHang)])
    };
    vec![
        ("one case returned", run(&[fine(Spin)])),
        (
            "all returned, the control not counted",
            run(&[fine(Parked), fine(Spin), fine(Wfe)]),
        ),
        ("one skipped", run(&[fine(Spin), skip(CpuOff)])),
        (
            "several skipped",
            run(&[fine(Spin), skip(CpuOff), skip(Wfe)]),
        ),
        ("the only one slowed", run(&[slow(Spin)])),
        (
            "one late in a sample",
            late(&[fine(Spin), fine(Wfe)], &[200_000_000]),
        ),
        (
            "two late in a sample, one slowed",
            late(&[fine(Spin), slow(Wfe)], &[200_000_000, 300_000_000]),
        ),
        ("one of two slowed", run(&[slow(Spin), fine(Wfe)])),
        (
            "one slowed, but not against cores that are awake",
            rounds(&[fine(Spin), slow(Wfe)], &[2, 3]),
        ),
        (
            "two slowed, one of them not against cores that are awake",
            rounds(&[fine(Spin), slow(Wfe), slow(BranchSelf)], &[2, 3, 9]),
        ),
        (
            "all slowed but spin, none against cores that are awake",
            rounds(&[fine(Spin), slow(Wfe), slow(BranchSelf)], &[2, 3, 3]),
        ),
        (
            "some of several slowed, but not against cores that are awake",
            rounds(
                &[fine(Spin), slow(Wfe), slow(BranchSelf), slow(TicketLock)],
                &[2, 3, 3, 9],
            ),
        ),
        (
            "two of three slowed",
            run(&[slow(Spin), slow(Wfe), fine(CpuOff)]),
        ),
        ("all slowed", run(&[slow(Spin), slow(Wfe)])),
        (
            "slowed beyond the limit",
            strict(run(&[slow(Spin), fine(Wfe)])),
        ),
        ("all slowed beyond the limit", strict(run(&[slow(Spin)]))),
        ("one proves nothing", run(&[doubt(Spin)])),
        ("one of two proves nothing", run(&[doubt(Spin), fine(Wfe)])),
        (
            "several prove nothing, some slowed",
            run(&[
                doubt(Spin),
                doubt(Wfe),
                slow(CpuOff),
                fine(StaleState::MmuOff),
            ]),
        ),
        (
            "no core is left to be stale",
            run(&[fine(Parked), skip(Spin)]),
        ),
        ("all skipped", run(&[skip(Spin), skip(Wfe)])),
        ("nothing was read", run(&[])),
        ("only the control was asked for", run(&[fine(Parked)])),
        (
            "only the control, several cases",
            run(&[fine(Parked), (DcCivac, Parked, Completed, None)]),
        ),
        ("blocked", one_block()),
        (
            "blocked, and what is no maintenance is not",
            with(
                run(&[
                    held(Spin),
                    (LdrCold, Spin, Completed, None),
                    (IfetchCold, Spin, Slowed, None),
                    (LdrDevice, Wfe, Completed, None),
                ]),
                |run| run.blocks = vec![block(1, IcIvau)],
            ),
        ),
        (
            "what is no maintenance is blocked as well",
            with(
                run(&[held(Spin), (LdrCold, Spin, Blocked, None), fine(Wfe)]),
                |run| run.blocks = vec![block(1, IcIvau), block(2, LdrCold)],
            ),
        ),
        (
            "firmware alone does not answer",
            with(
                run(&[fine(Spin), (PsciVersion, Spin, Blocked, None)]),
                |run| run.blocks = vec![block(2, PsciVersion)],
            ),
        ),
        (
            "blocked with every other core parked",
            with(run(&[held(Parked), skip(Spin)]), |run| {
                run.blocks = vec![block(1, IcIvau)]
            }),
        ),
        (
            "blocked and released",
            with(one_block(), |run| {
                run.blocks = vec![released(block(1, IcIvau))]
            }),
        ),
        (
            "blocked until a reset",
            with(one_block(), |run| run.blocks[0].waited_ms = 0),
        ),
        ("blocked, no report of it", run(&[held(Spin), fine(Wfe)])),
        (
            "several blocked",
            with(run(&[held(Spin), held(Wfe), fine(CpuOff)]), |run| {
                run.blocks = vec![block(1, IcIvau), block(2, IcIvau)]
            }),
        ),
        (
            "incoherent",
            run(&[(
                IcIvau,
                Spin,
                Incoherent,
                Some("CPU 0 executed code of generation 3, 4 had been written"),
            )]),
        ),
        (
            "incoherent, no reason",
            run(&[
                (IcIvau, Spin, Incoherent, None),
                (DcCivac, Spin, Incoherent, None),
            ]),
        ),
        (
            "faulted",
            with(run(&[(IcIvau, Spin, Faulted, None)]), |run| {
                run.faults = vec![fault(1, IcIvau)]
            }),
        ),
        (
            "faulted, no report of it",
            run(&[(IcIvau, Spin, Faulted, None)]),
        ),
        (
            "blocked and faulted",
            with(run(&[(DcCivac, Spin, Faulted, None), held(Wfe)]), |run| {
                run.blocks = vec![block(2, IcIvau)];
                run.faults = vec![fault(1, DcCivac)];
            }),
        ),
        ("the fabric: blocked", by(one_block(), Maker::Fabric)),
        (
            "the fabric: all returned",
            by(run(&[fine(Spin), fine(Wfe)]), Maker::Fabric),
        ),
        ("the fabric: slowed", by(run(&[slow(Spin)]), Maker::Fabric)),
        (
            "the fabric: slowed beyond the limit",
            by(strict(run(&[slow(Spin)])), Maker::Fabric),
        ),
        (
            "the fabric: faulted",
            by(
                with(run(&[(IcIvau, Spin, Faulted, None)]), |run| {
                    run.faults = vec![fault(1, IcIvau)]
                }),
                Maker::Fabric,
            ),
        ),
        (
            "the fabric: incoherent",
            by(run(&[(IcIvau, Spin, Incoherent, None)]), Maker::Fabric),
        ),
        (
            "the fabric: undecided",
            by(run(&[doubt(Spin)]), Maker::Fabric),
        ),
        (
            "the fabric: only the control",
            by(run(&[fine(Parked)]), Maker::Fabric),
        ),
        (
            "a plugin: all returned",
            by(run(&[fine(Spin)]), Maker::Plugin),
        ),
        (
            "a self-test hangs",
            hang(&[(SelftestHang, Spin, Blocked, None)]),
        ),
        (
            "a self-test hangs beside a case",
            hang(&[fine(Spin), (SelftestHang, Spin, Blocked, None)]),
        ),
        (
            "a self-test is slow",
            run(&[(SelftestSlow, Spin, Slowed, None)]),
        ),
        (
            "a self-test proves nothing",
            run(&[(
                SelftestUnseen,
                Spin,
                Inconclusive,
                Some("the step-by-step pass on CPU 0 saw no operation"),
            )]),
        ),
        (
            "emulated",
            with(run(&[fine(Spin)]), |run| run.emulated = Some(true)),
        ),
        (
            "emulated or not is unknown",
            with(run(&[fine(Spin)]), |run| run.emulated = None),
        ),
        (
            "a fabric or not is unknown",
            with(run(&[fine(Spin)]), |run| {
                run.serial = Some(SerialLine::default());
                run.plan.as_mut().unwrap().options = None;
            }),
        ),
        (
            "a fabric by the plan's own word",
            with(run(&[held(Spin)]), |run| {
                let mut plan = run.plan.take().unwrap();
                plan.options = Some("stalecore.fabric=deaf=spin".into());
                run.take(Record::Plan(plan));
            }),
        ),
        (
            "the plan was lost",
            with(run(&[fine(Spin), slow(Wfe)]), |run| {
                run.plan = None;
                run.lost = vec![[3, 3]];
            }),
        ),
        (
            "a record of no case was lost",
            with(run(&[fine(Spin), fine(Wfe)]), |run| run.lost = vec![[4, 4]]),
        ),
        (
            "records of no case were lost",
            with(run(&[fine(Spin)]), |run| run.lost = vec![[2, 2], [7, 9]]),
        ),
        (
            "blocked, and a case was lost",
            with(run(&[held(Spin), fine(Wfe)]), |run| {
                run.blocks = vec![block(1, IcIvau)];
                run.lost = vec![[7, 7]];
                run.cases.pop();
            }),
        ),
        (
            "all but one were lost",
            with(run(&[fine(Spin), fine(Wfe), fine(CpuOff)]), |run| {
                run.lost = vec![[7, 8]];
                run.cases.truncate(1);
            }),
        ),
        (
            "what blocked was lost",
            with(run(&[fine(Spin), held(Wfe)]), |run| {
                run.lost = vec![[8, 9]];
                run.cases.pop();
            }),
        ),
        (
            "all cases were lost",
            with(run(&[fine(Spin), fine(Wfe)]), |run| {
                run.lost = vec![[5, 6]];
                run.cases.clear();
            }),
        ),
        (
            "the closing record counts otherwise",
            with(run(&[fine(Spin)]), |run| {
                if let Some(end) = &mut run.end {
                    end.verdicts = vec![(Slowed, 1)];
                }
            }),
        ),
    ]
}
