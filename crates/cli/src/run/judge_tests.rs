use super::*;
use crate::synthetic::{self, Shape};
use stalecore_model::{
    cpuset::CpuSet,
    glossary::{StaleState, Subject},
    hazard::{Hazard, Kind},
    record::{End, Hex, PlanRecord},
};
use std::time::Duration;

/// A run that ended in order, with this many cases of each verdict.
fn run(exit: u8, verdicts: &[(Verdict, u32)], strict: bool) -> Run {
    let each = verdicts.iter().flat_map(|(v, n)| (0..*n).map(move |_| *v));
    let case = |(nth, verdict)| {
        let state = StaleState::ALL[nth + 1];
        synthetic::plain::case(nth + 1, Subject::IcIvau, state, verdict, None)
    };
    Run {
        cases: each.enumerate().map(case).collect(),
        console_bytes: 100,
        plan: Some(PlanRecord {
            cases: 9,
            initiators: CpuSet::one(0),
            stale: CpuSet::one(1),
            samples: 1,
            deadline_ms: 1,
            threshold: 2000,
            strict,
            options: None,
            under_test: None,
        }),
        end: Some(End {
            exit,
            verdicts: verdicts.to_vec(),
            elapsed_ms: 1,
        }),
        ..Run::default()
    }
}

fn ending(line: Option<u8>, status: Option<i32>) -> Ending {
    Ending {
        line,
        status: status.map(|s| ExitStatus::from_raw(s << 8)),
        semihosting: true,
        ..Ending::new(Stop::Closed)
    }
}

fn code(run: &Run, expect: Option<Verdict>) -> u8 {
    let exit = run.end.as_ref().map(|e| e.exit);
    judge(run, &ending(exit, exit.map(i32::from)), expect).code as u8
}

#[test]
fn a_hazard_is_2_unless_it_is_meant() {
    let side = || stalecore_model::hazard::Side {
        cpu: 0,
        at: "f".into(),
        pc: Hex(0),
        what: "dc ivac".into(),
    };
    let found = |meant: &[Subject]| Hazard {
        kind: Kind::DirtyDiscarded,
        by: side(),
        with: side(),
        line: Hex(0x40),
        meant: meant.to_vec(),
    };
    let mut run = run(0, &[(Verdict::Completed, 1)], false);
    run.hazards = vec![found(&[Subject::DcIvac])];
    assert_eq!(code(&run, None), 0);
    run.hazards.push(found(&[]));
    assert_eq!(code(&run, None), 2);
    let problem = judge(&run, &ending(Some(0), Some(0)), None).problem;
    assert!(problem.is_some_and(|text| text.starts_with("1 hazard:")));
}

#[test]
fn what_the_image_says_counts() {
    for exit in [0, 1, 2, 3, 4, 5, 6] {
        assert_eq!(
            code(&run(exit, &[(Verdict::Completed, 1)], false), None),
            exit
        );
    }
    assert_eq!(code(&run(77, &[(Verdict::Completed, 1)], false), None), 2);
    // Where nothing was tested, its 0 does not count.
    assert_eq!(code(&run(0, &[], false), None), 6);
    assert_eq!(code(&run(0, &[(Verdict::Skipped, 2)], false), None), 6);
    // A verdict in the records counts even if the end forgot it.
    assert_eq!(code(&run(0, &[(Verdict::Blocked, 1)], false), None), 4);
}

#[test]
fn expectations() {
    use Verdict::{Blocked, Completed, Faulted, Incoherent, Slowed};
    let blocked = run(4, &[(Blocked, 1), (Completed, 8)], false);
    assert_eq!(code(&blocked, Some(Blocked)), 0);
    assert_eq!(code(&blocked, Some(Incoherent)), 4);
    let fine = run(0, &[(Completed, 9)], false);
    assert_eq!(code(&fine, Some(Blocked)), 1);
    assert_eq!(code(&fine, Some(Completed)), 0);
    // What was not expected still counts.
    let both = run(4, &[(Blocked, 1), (Faulted, 1)], false);
    assert_eq!(code(&both, Some(Blocked)), 3);
    assert_eq!(code(&run(1, &[(Slowed, 2)], true), Some(Slowed)), 0);
    // A harness error is none of the cases'.
    assert_eq!(code(&run(2, &[(Blocked, 1)], false), Some(Blocked)), 2);
}

#[test]
fn everything_that_speaks_of_the_end_must_agree() {
    let run = run(4, &[(Verdict::Blocked, 1)], false);
    let of = |ending: &Ending| judge(&run, ending, None);
    assert_eq!(of(&ending(Some(4), Some(4))).problem, None);
    // The machine was stopped after its last line.
    assert_eq!(of(&ending(Some(4), None)).problem, None);
    for (wrong, part) in [
        (ending(Some(0), Some(4)), "the last line says 0"),
        (ending(Some(4), Some(1)), "QEMU ended with status 1"),
        (
            Ending {
                semihosting: false,
                ..ending(Some(4), Some(4))
            },
            "status 4",
        ),
        (
            Ending {
                semihosting: false,
                ..ending(None, Some(0))
            },
            "last line is missing",
        ),
        (
            Ending {
                status: Some(ExitStatus::from_raw(11)),
                ..ending(Some(4), None)
            },
            "signal 11",
        ),
    ] {
        let judgement = of(&wrong);
        assert_eq!(judgement.code, ExitCode::Harness);
        let problem = judgement.problem.unwrap();
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn without_its_closing_record_a_run_is_an_error() {
    let cut = Run {
        end: None,
        garbled: 3,
        ..run(0, &[], false)
    };
    let of = |stop| {
        let judgement = judge(
            &cut,
            &Ending {
                stop,
                last_text: Some("Synchronous Abort".into()),
                ..ending(None, Some(0))
            },
            Some(Verdict::Blocked),
        );
        (judgement.code as u8, judgement.problem.unwrap())
    };
    let (code, problem) = of(Stop::Closed);
    assert_eq!(code, 2);
    for part in ["0 of 9", "status 0", "3 lines", "Synchronous Abort"] {
        assert!(problem.contains(part), "{problem}");
    }
    let second = Duration::from_secs(1);
    assert_eq!(of(Stop::Silent(second)).0, 124);
    assert_eq!(of(Stop::Deadline(second)).0, 124);
    assert_eq!(of(Stop::Interrupted).0, 2);
    assert_eq!(of(Stop::Flood).0, 2);
}

#[test]
fn who_interrupts_a_run_that_is_over_has_its_code() {
    for (exit, verdict) in [(0, Verdict::Completed), (4, Verdict::Blocked)] {
        let ending = Ending::new(Stop::Interrupted);
        let judgement = judge(&run(exit, &[(verdict, 1)], false), &ending, None);
        assert_eq!((judgement.code as u8, judgement.problem), (exit, None));
    }
}

#[test]
fn an_image_that_is_newer_is_named() {
    let mut run = synthetic::run(&Shape::default());
    let of = |run: &Run| judge(run, &ending(Some(4), Some(4)), None);
    assert_eq!(of(&run).problem, None);
    run.machine.as_mut().unwrap().schema = SCHEMA + 1;
    let judgement = of(&run);
    assert_eq!(judgement.code, ExitCode::Harness);
    let problem = judgement.problem.unwrap();
    assert!(
        problem.contains(&format!("records of schema {}", SCHEMA + 1)),
        "{problem}"
    );
}

#[test]
fn an_image_that_gives_up_is_quoted() {
    let judgement = judge(
        &Run {
            console_bytes: 100,
            ..Run::default()
        },
        &Ending {
            last_text: Some("stalecore: no PSCI".into()),
            ..ending(Some(2), Some(2))
        },
        None,
    );
    assert_eq!(
        (judgement.code as u8, judgement.problem.as_deref()),
        (2, Some("the image gave up before the first case: no PSCI"))
    );
}

#[test]
fn an_emulator_that_dies_at_once_is_quoted() {
    let nothing = Run::default();
    let judgement = judge(
        &nothing,
        &Ending {
            complaint: Some("qemu: unable to find CPU model 'x'".into()),
            ..ending(None, Some(1))
        },
        None,
    );
    let problem = judgement.problem.unwrap();
    assert!(
        problem.contains("status 1") && problem.contains("CPU model 'x'"),
        "{problem}"
    );
}
