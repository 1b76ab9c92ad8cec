//! The result of the crash path, in sentences: how far it was walked, and what
//! ended it.

use stalecore_model::{
    glossary::{StaleState, Verdict},
    kdump::Step,
    run::Run,
};

use super::{Lead, Sentence, maker_of, others_in, state_of};

/// The result of the path: one sentence.
pub fn sentences(run: &Run) -> Vec<Sentence> {
    let case = run.cases.first();
    let n = case.map_or(1, |case| case.n);
    let maker = maker_of(run, n);
    let why = case.and_then(|case| case.why.as_deref());
    let others = others(run, n);
    let no_stale = run.plan.as_ref().is_some_and(|plan| plan.stale.is_empty());
    let unknown = run.plan.is_none();
    let walked = "the crash path was walked to the crash kernel";
    let (verdict, lead, text) = match case.map(|case| case.verdict) {
        Some(Verdict::Blocked) => (Verdict::Blocked, Lead::Yes, ended(run, n, &others)),
        Some(Verdict::Faulted) => (Verdict::Faulted, Lead::Faulted, faulted(run, n) + &others),
        Some(Verdict::Incoherent) => {
            let why = why.unwrap_or("what had been loaded was not there");
            (
                Verdict::Incoherent,
                Lead::Stale,
                format!("{walked}{others}, and {why}"),
            )
        }
        Some(Verdict::Completed | Verdict::Slowed) if no_stale => (
            Verdict::Inconclusive,
            Lead::Undecided,
            format!("{walked}; no core was stale"),
        ),
        Some(Verdict::Completed | Verdict::Slowed) if unknown => (
            Verdict::Inconclusive,
            Lead::Undecided,
            format!("{walked}; which cores were stale is not known"),
        ),
        Some(Verdict::Completed | Verdict::Slowed) => {
            let lead = match run.only_control() {
                true => Lead::Control,
                false => Lead::No,
            };
            (Verdict::Completed, lead, format!("{walked}{others}"))
        }
        Some(Verdict::Inconclusive | Verdict::Skipped) | None => {
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            let text = format!("the crash path came to \"{}\"{why}", last(run).about());
            (Verdict::Inconclusive, Lead::Undecided, text)
        }
    };
    let text = lead.words(maker) + &text;
    vec![Sentence {
        code: verdict.exit_code(),
        text,
    }]
}

fn others(run: &Run, n: u32) -> String {
    match state_of(run, n) {
        Some(StaleState::Parked) => {
            ", with the other cores parked, so that they stopped when asked".into()
        }
        state => format!(", {}", others_in(run, state)),
    }
}

/// The last step that was begun.
fn last(run: &Run) -> Step {
    run.kdump.last().map_or(Step::Load, |record| record.step)
}

/// On which side of the last line the path ended.
fn side(run: &Run) -> &'static str {
    match run.kdump.iter().any(|record| record.step == Step::Bye) {
        true => "after \"Bye!\"",
        false => "before \"Bye!\"",
    }
}

fn ended(run: &Run, n: u32, others: &str) -> String {
    let Some(block) = run.blocks.iter().find(|block| block.n == n) else {
        return format!(
            "the crash path ended at \"{}\", {}{others}",
            last(run).about(),
            side(run)
        );
    };
    let released = block
        .released()
        .map_or(String::new(), |released| format!("; {released}"));
    format!(
        "the crash path ended in {} on CPU {}, {}: it had not returned {}{others}{released}",
        block.place(),
        block.initiator,
        side(run),
        block.waited()
    )
}

fn faulted(run: &Run, n: u32) -> String {
    match run.faults.iter().find(|fault| fault.n == n) {
        Some(fault) => format!(
            "the crash path took an exception at {} ({}) on CPU {}, {}",
            fault.at,
            fault.syndrome,
            fault.initiator,
            side(run)
        ),
        None => format!("the crash path took an exception, {}", side(run)),
    }
}
