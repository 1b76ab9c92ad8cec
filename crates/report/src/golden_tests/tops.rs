//! The head of the page, how it was run, and how several runs differ.

use maud::Markup;
use stalecore_model::{
    glossary::{Subject, Verdict},
    record::{End, Icount, Maker},
    run::{Run, SerialLine},
};

use super::{Drawn, case, plan, run, section, timed};
use crate::{answer, differ, how, view::View};

/// A run that lost these records of its cases.
fn lost(cases: usize, of: u32, lost: &[[u32; 2]]) -> Run {
    Run {
        lost: lost.into(),
        plan: Some(plan(of, "1")),
        ..run(
            8,
            (1..=cases).map(|n| case(n, Verdict::Completed)).collect(),
        )
    }
}

fn one() -> Run {
    run(8, vec![case(1, Verdict::Completed)])
}

fn made(by: &[Maker]) -> Run {
    let made_by = by.into();
    Run { made_by, ..one() }
}

fn emulated(emulated: Option<bool>) -> Run {
    Run { emulated, ..one() }
}

fn differences(view: &View<'_>) -> Markup {
    differ::table(view.runs)
}

fn how_often(times: u64, notes: usize) -> Run {
    let serial = SerialLine {
        cuts: times,
        ..SerialLine::default()
    };
    Run {
        garbled: times,
        restarts: times as u32,
        serial: Some(serial),
        plan: Some(plan(times as u32, if times == 0 { "" } else { "1-6" })),
        notes: (1..=notes).map(|n| format!("note {n}")).collect(),
        console_bytes: 92 * 1024,
        elapsed_ms: 41_230,
        ..one()
    }
}

pub fn drawn() -> Vec<Drawn> {
    let top = |name, runs: &[Run]| section(name, answer::section, runs);
    let ran = |name, run: Run| section(name, how::section, &[run]);
    let ended = |verdicts: &[(Verdict, u32)]| End {
        exit: 4,
        verdicts: verdicts.into(),
        elapsed_ms: 1,
    };
    let icount = Icount {
        empty: 3,
        written: 3,
        more: vec![(Subject::IcIvau, 1), (Subject::DsbSy, -1)],
    };
    let two = || {
        run(
            1,
            vec![case(1, Verdict::Completed), case(2, Verdict::Skipped)],
        )
    };
    let missing = |of| Run {
        plan: Some(plan(of, "1")),
        ..one()
    };
    vec![
        top("nothing came", &[Run::default()]),
        top("a machine of one core", &[two()]),
        top("one case was not reached", &[missing(2)]),
        top("three cases were not reached", &[missing(4)]),
        top("emulated", &[emulated(Some(true))]),
        top("emulated or not is unknown", &[emulated(None)]),
        top("made by one", &[made(&[Maker::Fabric])]),
        top("made by two", &[made(&[Maker::Fabric, Maker::Plugin])]),
        top("the one case was not read", &[lost(0, 1, &[[5, 5]])]),
        top("one of two cases was read", &[lost(1, 2, &[[5, 5]])]),
        top(
            "two of three cases were read",
            &[lost(2, 3, &[[5, 6], [8, 8]])],
        ),
        top(
            "how many cases is not known",
            &[Run {
                plan: None,
                ..lost(1, 1, &[[3, 3]])
            }],
        ),
        top(
            "the closing record counts others",
            &[Run {
                end: Some(ended(&[(Verdict::Blocked, 1)])),
                ..one()
            }],
        ),
        top("one is the latest", &[run(8, vec![timed(1, 2)])]),
        top(
            "two are the latest",
            &[run(8, vec![timed(1, 2), timed(2, 3)])],
        ),
        top("two runs", &[one(), run(1, vec![timed(1, 2)])]),
        top(
            "two runs, one of them emulated",
            &[one(), emulated(Some(true))],
        ),
        top(
            "three runs, one emulated, one not read",
            &[
                one(),
                emulated(Some(true)),
                Run {
                    emulated: None,
                    ..lost(1, 2, &[[5, 5]])
                },
            ],
        ),
        top(
            "two runs, one of them made",
            &[one(), made(&[Maker::SelfTest])],
        ),
        section("two runs are alike", differences, &[one(), one()]),
        section("two runs differ", differences, &[Run::default(), one()]),
        ran("how: nothing came", Run::default()),
        ran("how: none of anything", how_often(0, 0)),
        ran("how: one of each", how_often(1, 1)),
        ran("how: two of each", how_often(2, 2)),
        {
            let mut drawn = ran("how: one note too many", how_often(2, 201));
            let from = drawn.page.find("<li>note 200").unwrap();
            drawn.page.drain(..from);
            drawn
        },
        ran("how: a limit that counts", {
            let mut run = one();
            run.plan.as_mut().unwrap().strict = true;
            run.end = Some(ended(&[(Verdict::Completed, 1)]));
            run
        }),
        ran(
            "how: instructions counted",
            Run {
                icount: Some(icount),
                ..one()
            },
        ),
    ]
}
