//! The exit code: the closing record's, if everything else that speaks of the
//! end agrees with it.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use stalecore_model::{exit::ExitCode, glossary::Verdict, record::SCHEMA, run::Run, words};

use super::{
    session::{OURS, Session},
    watch::Stop,
};
use crate::lacks::lacks;

/// What runs the image, unless something else is said.
const QEMU: &str = "QEMU";

/// What is known about the end, besides the records.
pub struct Ending {
    /// Why the watch ended.
    pub stop: Stop,
    /// The code on the image's last line.
    pub line: Option<u8>,
    /// The emulator's own status, if it ended by itself.
    pub status: Option<ExitStatus>,
    /// What ended with that status.
    pub program: &'static str,
    /// Should the image have handed its code to the emulator?
    pub semihosting: bool,
    /// The emulator's first words on standard error.
    pub complaint: Option<String>,
    /// Why the cache checker does not vouch for the run, if it was asked to.
    pub unchecked: Option<String>,
    /// The last line on the console that was neither record nor KTAP.
    pub last_text: Option<String>,
}

impl Ending {
    /// An end of which only the reason is known.
    pub const fn new(stop: Stop) -> Self {
        Self {
            stop,
            line: None,
            status: None,
            program: QEMU,
            semihosting: false,
            complaint: None,
            unchecked: None,
            last_text: None,
        }
    }

    /// The end of a console that the session has read.
    pub fn of(stop: Stop, session: &mut Session) -> Self {
        Self {
            line: session.exit.map(|(code, _)| code),
            last_text: session.last_text.take(),
            ..Self::new(stop)
        }
    }
}

/// The exit code, and what went wrong with the run itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Judgement {
    /// For the shell.
    pub code: ExitCode,
    /// One line, where the run is not to be trusted.
    pub problem: Option<String>,
}

/// Judges a run.
///
/// `expect` gives 0 if that verdict is found and 1 if not; other cases still count.
/// Where results were lost, a finding stands, but finding nothing is no answer.
pub fn judge(run: &Run, ending: &Ending, expect: Option<Verdict>) -> Judgement {
    if let Some((code, problem)) = problem(run, ending) {
        return Judgement {
            code,
            problem: Some(problem),
        };
    }
    let stated = match (&run.end, &ending.stop) {
        (Some(end), _) => match ExitCode::from_number(end.exit.into()) {
            // The image took it for a block, but the host knows better.
            Some(ExitCode::Blocked) if !run.starved.is_empty() => asked(run, None),
            code => code.unwrap_or(ExitCode::Harness),
        },
        // The host speaks for an image that cannot.
        (None, Stop::Held(_)) => ExitCode::Blocked,
        (None, _) => ExitCode::Harness,
    };
    let code = match expect {
        None => stated.worse(asked(run, None)),
        Some(expected) => {
            // A code that no case calls for is a failure of the harness itself.
            let unasked = if stated == asked(run, None) {
                ExitCode::Expected
            } else {
                stated
            };
            let met = if is_met(run, expected) {
                ExitCode::Expected
            } else {
                ExitCode::Slowed
            };
            asked(run, Some(expected)).worse(unasked).worse(met)
        }
    };
    let finding = match code {
        ExitCode::Blocked | ExitCode::Incoherent | ExitCode::Faulted => true,
        ExitCode::Slowed => expect.is_none(),
        _ => false,
    };
    let unread = run.unread().filter(|unread| unread.results && !finding);
    let problem = ending
        .unchecked
        .clone()
        .or_else(|| hazards(run))
        .or_else(|| unread.map(|unread| lacks(run, &unread)));
    Judgement {
        code: match problem {
            Some(_) => code.worse(ExitCode::Harness),
            None => code,
        },
        problem,
    }
}

/// What the cache checker found is the harness's own fault, except for what is wrong
/// on purpose, as the plan asked.
fn hazards(run: &Run) -> Option<String> {
    let own = run.hazards.iter().filter(|hazard| hazard.meant.is_empty());
    let hazards = match own.count() {
        0 => return None,
        n => words::count(n, "hazard", "hazards"),
    };
    Some(format!(
        "{hazards}: the image relies on memory that a cache may hide or overwrite"
    ))
}

/// The exit code that the cases call for, leaving out those with the verdict `expected`.
fn asked(run: &Run, expected: Option<Verdict>) -> ExitCode {
    let asks = |verdict| match verdict {
        Verdict::Slowed if run.plan.as_ref().is_some_and(|p| p.strict) => ExitCode::Slowed,
        _ => verdict.exit_code(),
    };
    let nothing = expected.is_none() && !run.decided();
    let begin = match nothing {
        true => ExitCode::Inconclusive,
        false => ExitCode::Expected,
    };
    Verdict::ALL
        .iter()
        .filter(|v| count(run, **v) > 0 && Some(**v) != expected)
        .fold(begin, |code, v| code.worse(asks(*v)))
}

/// Is there a case with this verdict? A serious one counts in the control too.
pub fn is_met(run: &Run, expected: Verdict) -> bool {
    match expected {
        Verdict::Blocked | Verdict::Incoherent | Verdict::Faulted => count(run, expected) > 0,
        _ => {
            let mut cases = run.cases.iter();
            cases.any(|case| case.verdict == expected && run.counts(case))
        }
    }
}

/// How many cases have this verdict: as the closing record counts them, or as they
/// were read, whichever is more.
pub fn count(run: &Run, verdict: Verdict) -> u32 {
    let stated = run.stated(verdict);
    let seen = run.cases.iter().filter(|c| c.verdict == verdict).count();
    stated
        .unwrap_or(0)
        .max(u32::try_from(seen).unwrap_or(u32::MAX))
}

fn problem(run: &Run, ending: &Ending) -> Option<(ExitCode, String)> {
    let harness = |text: String| Some((ExitCode::Harness, text));
    match &ending.stop {
        // Behind its closing record there is nothing left to interrupt.
        Stop::Interrupted if run.end.is_none() => {
            return harness(format!("interrupted {}", so_far(run)));
        }
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
    // The image may write a newer version of the records than this command reads.
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

/// The run is over, but no closing record said so.
fn no_end(run: &Run, ending: &Ending) -> String {
    if run.console_bytes == 0 {
        return format!("nothing came from the machine: {}", how_it_ended(ending));
    }
    // An image that refuses says why, and ends in order.
    if let (Some(_), Some(text)) = (ending.line, &ending.last_text)
        && let Some(reason) = text.strip_prefix(OURS)
    {
        let who = match ending.program {
            QEMU => "the image",
            other => other,
        };
        return format!("{who} gave up {}: {reason}", so_far(run));
    }
    let garbled = match run.garbled {
        0 => String::new(),
        1 => "; 1 line was garbled".into(),
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

/// Before the image has spoken, the last words on the console say where the boot stopped.
fn firmware_s_last_words(run: &Run, ending: &Ending) -> String {
    match run.plan {
        None => last_words(ending),
        Some(_) => String::new(),
    }
}

fn how_it_ended(ending: &Ending) -> String {
    let mut text = match ending.status {
        None if matches!(ending.stop, Stop::LastLine) => "its last line had come".to_string(),
        None if matches!(ending.stop, Stop::LogEnds) => "the log ends there".to_string(),
        None => "the machine was stopped".to_string(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("{} ended with status {code}", ending.program),
            (_, signal) => format!(
                "{} was killed by signal {}",
                ending.program,
                signal.unwrap_or(0)
            ),
        },
    };
    if let Some(complaint) = &ending.complaint {
        text += &format!(" ({complaint})");
    }
    text
}

fn so_far(run: &Run) -> String {
    match &run.plan {
        Some(plan) => format!(
            "after {} of {}",
            run.cases.len(),
            words::cases(plan.cases as usize)
        ),
        None => "before the first case".to_string(),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
