//! The answer in one sentence or a few, the most serious first: can a stuck core
//! delay or block another core's cache maintenance, on this machine?
//!
//! Every sentence about a whole run is made here. `sentences.txt` has all of
//! them, and the tests compare.

mod cases;
mod crash;
#[cfg(test)]
mod golden_tests;

use stalecore_model::{
    exit::ExitCode,
    glossary::{StaleState, Verdict},
    record::Maker,
    run::Run,
    words,
};

use super::judge::{Judgement, is_met};
use crate::lacks::lacks;

/// The answer, without a newline.
pub fn answer(run: &Run, judgement: &Judgement, expect: Option<Verdict>) -> String {
    let lacks = run.unread().map(|unread| lacks(run, &unread));
    let mut sentences = match &judgement.problem {
        Some(problem) => vec![format!("No answer: {problem}.")],
        None => {
            let mut found = found(run);
            if let Some(first) = found.first_mut() {
                *first = expectation(run, judgement.code, expect) + first;
            }
            found
        }
    };
    let said = |lacks: &String| judgement.problem.as_ref() == Some(lacks);
    let lacks = lacks.filter(|lacks| !said(lacks));
    sentences.extend(lacks.map(|lacks| capital(&lacks) + "."));
    sentences.extend(absent(run));
    sentences.extend(worth(run).map(str::to_string));
    sentences.extend(modelled(run).map(str::to_string));
    sentences.join(" ")
}

/// What was found, the most serious first.
fn found(run: &Run) -> Vec<String> {
    let mut found = if run.is_crash() {
        crash::sentences(run)
    } else {
        cases::sentences(run)
    };
    found.sort_by_key(|sentence| sentence.code.rank());
    found.into_iter().map(|s| s.text + ".").collect()
}

/// A sentence without its full stop, and what it means for the exit code.
struct Sentence {
    code: ExitCode,
    text: String,
}

/// What an answer can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Yes,
    /// Something that is no maintenance stands still as well.
    NotAlone,
    Delayed,
    NotBlocked,
    No,
    Stale,
    Faulted,
    Undecided,
    /// No core was stale, and none was asked to be.
    Control,
}

impl Lead {
    /// The beginning of a sentence about what the machine's own cores did, or
    /// `maker`, if one did it.
    fn words(self, maker: Option<Maker>) -> String {
        let Some(maker) = maker else {
            return match self {
                Self::Yes => "Yes: ",
                Self::NotAlone => "Not maintenance alone: ",
                Self::Delayed => "Yes, delayed: ",
                Self::NotBlocked => "Not blocked: ",
                Self::No => "No: ",
                Self::Stale => "Stale: ",
                Self::Faulted => "Faulted: ",
                Self::Undecided => "Undecided: ",
                Self::Control => "The control only: ",
            }
            .into();
        };
        let (how, what) = match self {
            Self::Yes => ("Made by", ""),
            Self::NotAlone => ("Made by", "not maintenance alone: "),
            Self::Delayed => ("Made by", "delayed: "),
            Self::NotBlocked => ("With", "not blocked: "),
            Self::No => ("With", ""),
            Self::Stale => ("Made by", "stale: "),
            Self::Faulted => ("Made by", "faulted: "),
            Self::Undecided => ("With", "undecided: "),
            Self::Control => ("With", "the control only: "),
        };
        format!("{how} {}: {what}", maker.about())
    }
}

fn expectation(run: &Run, code: ExitCode, expect: Option<Verdict>) -> String {
    match expect {
        None => String::new(),
        Some(verdict) if !is_met(run, verdict) => {
            format!("Not as expected (no case {verdict}): ")
        }
        Some(verdict) if code == ExitCode::Expected => format!("As expected ({verdict}): "),
        Some(verdict) => format!("As expected ({verdict}), but not only that: "),
    }
}

/// How many of the machine's cores took part, where not all of them did.
fn absent(run: &Run) -> Option<String> {
    let (absent, machine) = (run.absent(), run.machine.as_ref()?);
    let all = machine.cpus as usize;
    let inherited = run.inherited();
    let silent = absent.difference(&inherited);
    let inherited = (!inherited.is_empty()).then(|| {
        let is = words::with(inherited.len(), "is", "are");
        format!(
            "{} {is} stale since before this boot (inherited)",
            words::cpus(&inherited)
        )
    });
    let silent = (!silent.is_empty()).then(|| format!("{} did not answer", words::cpus(&silent)));
    let why: Vec<_> = inherited.into_iter().chain(silent).collect();
    (!absent.is_empty() && all >= absent.len()).then(|| {
        format!(
            "{} of {} took part: {}.",
            all - absent.len(),
            words::count(all, "core", "cores"),
            why.join(", ")
        )
    })
}

/// What the figures are worth.
fn worth(run: &Run) -> Option<&'static str> {
    match run.emulated {
        Some(false) => None,
        Some(true) => Some(
            "The machine is emulated: this is about the harness only, and says nothing about \
             silicon.",
        ),
        None => Some("Whether the machine is emulated is not known."),
    }
}

/// Of a board's line or a log, only the records say whether there was a fabric.
fn modelled(run: &Run) -> Option<&'static str> {
    let unknown = run.serial.is_some() && run.has_fabric().is_none();
    unknown.then_some("Whether the fabric, a model, made it is not known.")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// The stale state of a case, even of one that has no record.
fn state_of(run: &Run, n: u32) -> Option<StaleState> {
    let case = run.cases.iter().find(|c| c.n == n).map(|c| c.state);
    case.or_else(|| {
        let groups = run.groups.iter();
        groups
            .filter(|g| (g.first..g.first.saturating_add(g.cases)).contains(&n))
            .map(|g| g.state)
            .next_back()
    })
}

/// The stale state of a case in a word.
pub fn state_named(run: &Run, n: u32) -> String {
    state_of(run, n).map_or_else(|| "an unknown state".into(), |state| state.to_string())
}

/// `, made by the fabric, a model`, to follow the name of a case that has a maker.
pub fn made_by(run: &Run, n: u32) -> String {
    maker_of(run, n).map_or(String::new(), |maker| {
        format!(", made by {}", maker.about())
    })
}

/// How the other cores were, in the middle of a sentence.
fn others_in(run: &Run, state: Option<StaleState>) -> String {
    let inherited = match run.inherited() {
        cpus if cpus.is_empty() => String::new(),
        cpus => format!("{} stuck since before this boot and ", words::cpus(&cpus)),
    };
    match state {
        Some(StaleState::Parked) => format!("with {inherited}every other core parked"),
        Some(state) => format!("with {inherited}the stale cores in {state}"),
        None => format!("with {inherited}the stale cores in a state that is not known"),
    }
}

/// Who made the result of a case, by its number.
fn maker_of(run: &Run, n: u32) -> Option<Maker> {
    let case = run.cases.iter().find(|case| case.n == n).map(|c| c.op);
    let block = || run.blocks.iter().find(|b| b.n == n).map(|b| b.op);
    let fault = || run.faults.iter().find(|f| f.n == n).map(|f| f.op);
    run.maker(case.or_else(block).or_else(fault)?)
}
