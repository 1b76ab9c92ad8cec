//! Every sentence that an answer can have, as a person reads it: `sentences.txt`.
//! `STALECORE_BLESS=1 cargo test sentence` rewrites the file.

mod crashes;
mod plans;

use std::{fmt::Write, fs, path::Path};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{StaleState, Subject, Verdict},
    histogram::Histogram,
    kdump::{KdumpRecord, Step},
    record::{Block, End, Hex, Late, Maker, PlanRecord, Record, Rung},
    rounds::{Class, Rounds},
    run::{Run, SerialLine},
};

use self::{crashes::of_crashes, plans::of_cases};
use super::*;
use crate::{
    run::{
        judge::{Ending, judge},
        watch::Stop,
    },
    synthetic::{
        self,
        plain::{block, case, fault},
    },
};

use StaleState::{BranchSelf, CpuOff, Parked, Spin, TicketLock, Wfe};
use Subject::{
    DcCivac, IcIvau, IfetchCold, LdrCold, LdrDevice, PsciVersion, SelftestHang, SelftestSlow,
    SelftestUnseen,
};
use Verdict::{Blocked, Completed, Faulted, Incoherent, Inconclusive, Skipped, Slowed};

/// One case: what ran, how the stale cores were stuck, the verdict and why.
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
            let mut record = case(nth + 1, *subject, *state, *verdict, *why);
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
            options: Some(String::new()),
            under_test: None,
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

fn released(mut block: Block) -> Block {
    block.ladder = vec![Rung {
        rung: "unlock".into(),
        us: 40,
        released: true,
    }];
    block
}

fn ended(run: &Run) -> Ending {
    Ending {
        line: run.end.as_ref().map(|end| end.exit),
        ..Ending::new(Stop::Closed)
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
