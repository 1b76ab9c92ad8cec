//! The exit code: from the closing record, once everything that speaks of the
//! end agrees with it.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use stalecore_model::{exit::ExitCode, glossary::Verdict, record::SCHEMA, run::Run};

use super::{core_file::CoreFile, session::OURS, watch::Stop};

/// What is known of the end, besides the records.
pub struct Ending {
    /// Why the watch ended.
    pub stop: Stop,
    /// The code on the image's last line.
    pub line: Option<u8>,
    /// The emulator's own status, if it ended by itself.
    pub status: Option<ExitStatus>,
    /// Was the image to hand its code to the emulator?
    pub semihosting: bool,
    /// The emulator's first words on standard error.
    pub complaint: Option<String>,
    /// The last line on the console that was neither record nor KTAP.
    pub last_text: Option<String>,
    /// The core file that was wanted.
    pub core: Option<CoreFile>,
}

/// The exit code, and what went wrong with the run itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Judgement {
    /// For the shell.
    pub code: ExitCode,
    /// One line, where the run is not to be trusted.
    pub problem: Option<String>,
}

/// Judges a run; `expect` turns a verdict that is found into 0, and its absence
/// into 1.
pub fn judge(run: &Run, ending: &Ending, expect: Option<Verdict>) -> Judgement {
    if let Some((code, problem)) = problem(run, ending) {
        return Judgement {
            code,
            problem: Some(problem),
        };
    }
    let stated = match (&run.end, &ending.stop) {
        (Some(end), _) => ExitCode::from_number(end.exit.into()).unwrap_or(ExitCode::Harness),
        // The host speaks for an image that cannot.
        (None, Stop::Held(_)) => ExitCode::Blocked,
        (None, _) => ExitCode::Harness,
    };
    let found = |verdict| count(run, verdict) > 0;
    let asks = |verdict| match verdict {
        Verdict::Slowed if run.plan.as_ref().is_some_and(|p| p.strict) => ExitCode::Slowed,
        _ => ExitCode::of_verdict(verdict),
    };
    let asked = |except: Option<Verdict>| {
        Verdict::ALL
            .iter()
            .filter(|v| found(**v) && Some(**v) != except)
            .fold(ExitCode::Expected, |code, v| code.worse(asks(*v)))
    };
    let code = match expect {
        None => stated.worse(asked(None)),
        Some(expected) => {
            // A code that no case asks for is a failure of the harness itself.
            let unasked = if stated == asked(None) {
                ExitCode::Expected
            } else {
                stated
            };
            let met = if found(expected) {
                ExitCode::Expected
            } else {
                ExitCode::Slowed
            };
            asked(Some(expected)).worse(unasked).worse(met)
        }
    };
    Judgement {
        code,
        problem: None,
    }
}

/// How many cases ended so: as the closing record counts them, or as they came.
pub fn count(run: &Run, verdict: Verdict) -> u32 {
    let stated = run.end.iter().flat_map(|end| &end.verdicts);
    let stated = stated.filter(|(v, _)| *v == verdict).map(|(_, n)| *n).max();
    let seen = run.cases.iter().filter(|c| c.verdict == verdict).count();
    stated
        .unwrap_or(0)
        .max(u32::try_from(seen).unwrap_or(u32::MAX))
}

fn problem(run: &Run, ending: &Ending) -> Option<(ExitCode, String)> {
    let harness = |text: String| Some((ExitCode::Harness, text));
    match &ending.stop {
        Stop::Interrupted => return harness(format!("interrupted {}", so_far(run))),
        Stop::Log(error) => return harness(format!("console.log cannot be written: {error}")),
        Stop::Flood => {
            return harness(format!(
                "the console was flooded: {} MiB {}",
                run.console_bytes >> 20,
                so_far(run)
            ));
        }
        Stop::GaveUp(reason) => return harness(format!("the loader gave up: {reason}")),
        _ => {}
    }
    // The image's version of the records, where it is not this command's own.
    if let Some(newer) = run.machine.as_ref().filter(|m| m.schema > SCHEMA) {
        return harness(format!(
            "the image ({}) writes records of schema {}, this command ({}) reads up to {SCHEMA}",
            newer.version,
            newer.schema,
            env!("CARGO_PKG_VERSION")
        ));
    }
    let Some(end) = &run.end else {
        return match &ending.stop {
            Stop::Held(_) => None,
            Stop::Silent(time) => Some((
                ExitCode::Silence,
                format!(
                    "silent for {} s {}{}",
                    time.as_secs(),
                    so_far(run),
                    firmware_s_last_words(run, ending)
                ),
            )),
            Stop::Deadline(time) => Some((
                ExitCode::Silence,
                format!(
                    "not over after {} s {}{}",
                    time.as_secs(),
                    so_far(run),
                    firmware_s_last_words(run, ending)
                ),
            )),
            _ => harness(no_end(run, ending)),
        };
    };
    let says = end.exit;
    if ExitCode::from_number(says.into()).is_none() {
        return harness(format!(
            "the closing record has the unknown exit code {says}"
        ));
    }
    if let Some(line) = ending.line.filter(|line| *line != says) {
        return harness(format!(
            "the closing record says exit code {says}, the last line says {line}"
        ));
    }
    let expected = if ending.semihosting { says } else { 0 };
    match ending.status {
        Some(status) if status.code() != Some(expected.into()) => harness(format!(
            "the closing record says exit code {says}, but {}",
            how_it_ended(ending)
        )),
        Some(_) if !ending.semihosting && ending.line.is_none() => harness(format!(
            "the closing record says exit code {says}, but the last line is missing"
        )),
        _ => None,
    }
}

/// The run has ended, and has not said so.
fn no_end(run: &Run, ending: &Ending) -> String {
    if run.console_bytes == 0 {
        return format!("nothing came from the machine: {}", how_it_ended(ending));
    }
    // An image that refuses says why, and ends in order.
    if let (Some(_), Some(text)) = (ending.line, &ending.last_text)
        && let Some(reason) = text.strip_prefix(OURS)
    {
        return format!("the image gave up {}: {reason}", so_far(run));
    }
    let garbled = match run.garbled {
        0 => String::new(),
        n => format!("; {n} lines were garbled"),
    };
    format!(
        "no closing record {}: {}{garbled}{}",
        so_far(run),
        how_it_ended(ending),
        last_words(ending)
    )
}

fn last_words(ending: &Ending) -> String {
    let last = ending.last_text.as_ref();
    last.map_or(String::new(), |text| {
        format!(
            "; its last words: {}",
            text.chars().take(120).collect::<String>()
        )
    })
}

/// Before the image has spoken, what was said says where the boot stopped.
fn firmware_s_last_words(run: &Run, ending: &Ending) -> String {
    match run.plan {
        None => last_words(ending),
        Some(_) => String::new(),
    }
}

fn how_it_ended(ending: &Ending) -> String {
    let mut text = match ending.status {
        None if matches!(ending.stop, Stop::LastLine) => "its last line had come".to_string(),
        None => "the machine was stopped".to_string(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("QEMU ended with status {code}"),
            (_, signal) => format!("QEMU was killed by signal {}", signal.unwrap_or(0)),
        },
    };
    if let Some(complaint) = &ending.complaint {
        text += &format!(" ({complaint})");
    }
    text
}

fn so_far(run: &Run) -> String {
    match &run.plan {
        Some(plan) => format!("after {} of {} cases", run.cases.len(), plan.cases),
        None => "before the first case".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{self, Shape};
    use stalecore_model::{
        cpuset::CpuSet,
        record::{End, PlanRecord},
    };
    use std::time::Duration;

    fn run(exit: u8, verdicts: &[(Verdict, u32)], strict: bool) -> Run {
        Run {
            console_bytes: 100,
            plan: Some(PlanRecord {
                cases: 9,
                initiators: CpuSet::one(0),
                stale: CpuSet::one(1),
                samples: 1,
                deadline_ms: 1,
                threshold: 2000,
                strict,
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
            stop: Stop::Closed,
            line,
            status: status.map(|s| ExitStatus::from_raw(s << 8)),
            semihosting: true,
            complaint: None,
            last_text: None,
            core: None,
        }
    }

    fn code(run: &Run, expect: Option<Verdict>) -> u8 {
        let exit = run.end.as_ref().map(|e| e.exit);
        judge(run, &ending(exit, exit.map(i32::from)), expect).code as u8
    }

    #[test]
    fn what_the_image_says_counts() {
        for exit in [0, 1, 2, 3, 4, 5, 6] {
            assert_eq!(code(&run(exit, &[], false), None), exit);
        }
        assert_eq!(code(&run(77, &[], false), None), 2);
        // A verdict in the records counts even where the end forgot it.
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
}
