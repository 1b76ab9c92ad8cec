//! Every sentence that an answer can be, as a person reads it: `sentences.txt`.
//! `STALECORE_BLESS=1 cargo test sentence` writes the file again.

use std::{fmt::Write, fs, path::Path};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState, Subject, Verdict},
    histogram::Histogram,
    kdump::{KdumpRecord, Step},
    plan::Case,
    record::{Block, CaseRecord, End, Fault, Hex, Maker, PlanRecord, Rung},
    run::Run,
};

use super::*;
use crate::run::{
    judge::{Ending, judge},
    watch::Stop,
};

use StaleState::{CpuOff, Parked, Spin, Wfe};
use Subject::{DcCivac, IcIvau, SelftestHang, SelftestSlow, SelftestUnseen};
use Verdict::{Blocked, Completed, Faulted, Incoherent, Inconclusive, Skipped, Slowed};

/// One case: what ran, how the stale cores were stuck, what came of it.
type Told = (Subject, StaleState, Verdict, Option<&'static str>);

fn samples(ticks: u64) -> Histogram {
    let mut samples = Histogram::new();
    samples.add_many(ticks, 64);
    samples
}

/// A run of these cases that ended in order, on a board.
fn run(told: &[Told]) -> Run {
    let cases: Vec<_> = told
        .iter()
        .enumerate()
        .map(|(nth, (subject, state, verdict, why))| {
            let case = Case {
                number: nth + 1,
                subject: *subject,
                state: *state,
                line: LineState::DirtyHere,
            };
            let mut record = CaseRecord::blank(&case, *verdict, why.map(str::to_string));
            if matches!(verdict, Completed | Slowed) {
                record.base_complete = samples(100);
                record.complete = samples(if *verdict == Slowed { 690 } else { 110 });
            }
            record
        })
        .collect();
    let count = |verdict| cases.iter().filter(|c| c.verdict == verdict).count() as u32;
    let verdicts: Vec<_> = Verdict::ALL.iter().map(|v| (*v, count(*v))).collect();
    let exit = verdicts.iter().filter(|(_, n)| *n > 0);
    let exit = exit.fold(ExitCode::Expected, |code, (v, _)| code.worse(v.exit_code()));
    Run {
        emulated: Some(false),
        console_bytes: 100,
        plan: Some(PlanRecord {
            cases: cases.len() as u32,
            initiators: CpuSet::one(0),
            stale: CpuSet::one(1),
            samples: 64,
            deadline_ms: 2400,
            threshold: 2000,
            strict: false,
        }),
        end: Some(End {
            exit: exit as u8,
            verdicts: verdicts.into_iter().filter(|(_, n)| *n > 0).collect(),
            elapsed_ms: 812,
        }),
        cases,
        ..Run::default()
    }
}

fn block(n: u32, op: Subject) -> Block {
    Block {
        n,
        op,
        initiator: 0,
        instruction: "ic ivau".into(),
        at: "flush_icache_range+92".into(),
        address: None,
        waited_ms: 2420,
        returned: 7,
        seen_by: "sentinel".into(),
        cores: vec![],
        baseline: false,
        behind: false,
        ladder: vec![],
    }
}

fn fault(n: u32, op: Subject) -> Fault {
    Fault {
        n,
        op,
        initiator: 0,
        esr: Hex(0x9600_0147),
        syndrome: "data abort, translation fault level 3".into(),
        far: Hex(0),
        elr: Hex(0),
        at: "selftest_fault+8".into(),
        returned: -14,
    }
}

fn with(mut run: Run, change: impl FnOnce(&mut Run)) -> Run {
    change(&mut run);
    run
}

fn by(run: Run, maker: Maker) -> Run {
    with(run, |run| run.made_by = vec![maker])
}

fn strict(run: Run) -> Run {
    with(run, |run| {
        if let Some(plan) = &mut run.plan {
            plan.strict = true;
        }
        if let Some(end) = &mut run.end {
            end.exit = 1;
        }
    })
}

/// A crash path that came to these steps.
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

fn released(mut block: Block) -> Block {
    block.ladder = vec![Rung {
        rung: "unlock".into(),
        us: 40,
        released: true,
    }];
    block
}

/// Everything that can be said of a plan's cases.
fn of_cases() -> Vec<(&'static str, Run)> {
    let skip = |state| (IcIvau, state, Skipped, Some("no core is left to be stale"));
    let fine = |state| (IcIvau, state, Completed, None);
    let slow = |state| (IcIvau, state, Slowed, None);
    let held = |state| (IcIvau, state, Blocked, None);
    let doubt = |state| (IcIvau, state, Inconclusive, Some("CPU 3 left its state"));
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
        ("one of two slowed", run(&[slow(Spin), fine(Wfe)])),
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

/// Everything that can be said of the crash path.
fn of_crashes() -> Vec<(&'static str, Run)> {
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

fn ended(run: &Run) -> Ending {
    Ending {
        stop: Stop::Closed,
        line: run.end.as_ref().map(|end| end.exit),
        status: None,
        semihosting: false,
        complaint: None,
        last_text: None,
        unchecked: None,
    }
}

fn told(text: &mut String, name: &str, run: &Run, expect: Option<Verdict>) {
    let judgement = judge(run, &ended(run), expect);
    let code = judgement.code as u8;
    let answer = answer(run, &judgement, expect);
    let _ = writeln!(text, "{name} ({code})\n    {answer}\n");
}

#[test]
fn every_sentence_reads_as_it_should() {
    let mut text = String::new();
    for (name, run) in of_cases().iter().chain(&of_crashes()) {
        told(&mut text, name, run, None);
    }
    let fine = run(&[(IcIvau, Spin, Completed, None)]);
    let both = with(
        run(&[
            (IcIvau, Spin, Blocked, None),
            (DcCivac, Spin, Faulted, None),
        ]),
        |run| {
            run.blocks = vec![block(1, IcIvau)];
            run.faults = vec![fault(2, DcCivac)];
        },
    );
    let mixed = run(&[
        (IcIvau, Spin, Completed, None),
        (IcIvau, Wfe, Inconclusive, Some("CPU 3 left its state")),
    ]);
    for (name, run, expected) in [
        ("expected and found", &fine, Completed),
        ("expected and not found", &fine, Blocked),
        ("expected and found, but not only", &both, Faulted),
        ("expected and found, the most serious", &both, Blocked),
        (
            "expected and found, another proves nothing",
            &mixed,
            Completed,
        ),
        (
            "expected and not found, another is serious",
            &both,
            Incoherent,
        ),
    ] {
        told(&mut text, name, run, Some(expected));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/answer/sentences.txt");
    if std::env::var_os("STALECORE_BLESS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, expected);
}

/// Every set of verdicts with every expectation: words and code are one.
#[test]
fn expectation_words_and_code_agree() {
    let states = [
        Spin,
        Wfe,
        CpuOff,
        StaleState::MmuOff,
        StaleState::Wfe,
        StaleState::DmbLoop,
        StaleState::Qspinlock,
    ];
    for set in 1_u32..1 << Verdict::ALL.len() {
        let told: Vec<Told> = Verdict::ALL
            .iter()
            .enumerate()
            .filter(|(bit, _)| set >> bit & 1 != 0)
            .map(|(bit, verdict)| (Subject::ALL[bit + 1], states[bit], *verdict, None))
            .collect();
        let run = run(&told);
        for expected in Verdict::ALL {
            let judgement = judge(&run, &ended(&run), Some(*expected));
            let text = answer(&run, &judgement, Some(*expected));
            let code = judgement.code as u8;
            let there = told.iter().any(|t| t.2 == *expected);
            let what = format!("{told:?}, {expected}: {code} {text}");
            assert_eq!(text.starts_with("As expected"), there, "{what}");
            assert_eq!(
                text.contains("but not only that"),
                there && code != 0,
                "{what}"
            );
            assert_eq!(text.starts_with("Not as expected"), !there, "{what}");
            assert!(there || code != 0, "{what}");
            // What was not expected counts as it does without an expectation.
            let others = told.iter().filter(|t| t.2 != *expected);
            let others = others.fold(ExitCode::Expected, |code, t| code.worse(t.2.exit_code()));
            let met = if there {
                ExitCode::Expected
            } else {
                ExitCode::Slowed
            };
            assert_eq!(judgement.code, others.worse(met), "{what}");
        }
    }
}
