//! What is made of a console that was read to its end, whoever wrote it: the
//! judgement, the files, the words on the screen.

use std::io::{IsTerminal, stdout};

use stalecore_model::{console::printable, glossary::Verdict, run::Run};

use super::{
    answer,
    args::OutputArgs,
    core_file::CoreFile,
    judge::{self, Ending},
    outdir::OutDir,
    session::Session,
    show,
};
use crate::{colour, report, stderr, stdout};

use stalecore_model::exit::ExitCode;

/// Judges, saves and shows, and gives the exit code; of the core file, if one
/// was wanted, it says what came of it.
///
/// The verdict is shown before it is saved, so that a full disk does not keep it
/// from anybody; and what a terminal does not take changes nothing.
///
/// # Errors
/// The run cannot be put into words.
pub fn conclude(
    session: Session,
    ending: &Ending,
    core: Option<&CoreFile>,
    out: &OutDir,
    asked: &OutputArgs,
) -> anyhow::Result<ExitCode> {
    let notes = what_was_odd(&session);
    let log_failed = session.log_failed;
    let mut run = session.run;
    run.notes.extend(notes);
    let judgement = judge::judge(&run, ending, asked.expect);
    run.answer = printable(answer::answer(&run, &judgement, asked.expect).as_bytes());
    let clean = judgement.problem.is_none();
    // What was found does not depend on what follows.
    let mut problems: Vec<_> = judgement.problem.into_iter().collect();
    if let Some(error) = log_failed {
        problems.push(format!("console.log cannot be written: {error}"));
    }
    if let Some(core) = core {
        let image = run.marks.as_ref().map_or(0, |marks| marks.image.0);
        let told = core.told(image);
        let (Ok(text) | Err(text)) = &told;
        run.notes.push(format!("host: {text}"));
        problems.extend(told.err());
    }
    let with = |problems: &[String]| match problems {
        [] => judgement.code,
        _ => judgement.code.worse(ExitCode::Harness),
    };
    run.exit = with(&problems) as u8;
    let nothing = run.cases.is_empty() && run.blocks.is_empty() && run.hazards.is_empty();
    if asked.json {
        // For a program, which would not notice what is missing.
        let shown = stdout::print(&format!("{}\n", serde_json::to_string(&run)?));
        problems.extend(shown.err().map(|error| format!("{error:#}")));
    } else if clean || !nothing {
        let mut text = show::text(&run, show::width(), asked.all_states);
        if colour::wanted(stdout().is_terminal()) {
            text = colour::coloured(&text);
        }
        let shown = stdout::print(&text);
        if let Err(error) = shown {
            stderr::complain(&format!("{error:#}"));
        }
    }
    let saved = out.save(&run);
    problems.extend(saved.err().map(|error| format!("{error:#}")));
    problems.extend(out.draw(&run).err().into_iter().flatten());
    let out = out.path().display();
    if !problems.is_empty() {
        let problem = printable(problems.join("; ").as_bytes());
        stderr::complain(&format!("{problem}; what was measured is in {out}"));
    } else if !asked.quiet {
        stderr::say(&format!(
            "results: {out}; to look at: {out}/{}",
            report::FILE
        ));
    }
    Ok(with(&problems))
}

/// What the console itself shows to have gone wrong on the way.
fn what_was_odd(session: &Session) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(format!("host: {text}"));
    let run: &Run = &session.run;
    if run.garbled > 0 {
        note(format!(
            "{} lines of the console were garbled, {} of them too long",
            run.garbled, session.too_long
        ));
    }
    if let Some(end) = &run.end {
        // A case that the run did not reach is skipped, and has no record.
        let ran = |verdict: &Verdict| *verdict != Verdict::Skipped;
        let stated: u32 = end
            .verdicts
            .iter()
            .filter(|(v, _)| ran(v))
            .map(|(_, n)| n)
            .sum();
        let seen = run.cases.iter().filter(|c| ran(&c.verdict)).count();
        if usize::try_from(stated) != Ok(seen) {
            note(format!(
                "the closing record counts {stated} cases that ran, {seen} of which came over the \
                 console"
            ));
        }
        let planned = run.plan.as_ref().map_or(0, |plan| plan.cases);
        if session.tree_cases != planned {
            note(format!(
                "{planned} cases are planned, the KTAP tree has {}",
                session.tree_cases
            ));
        }
    }
    notes
}
