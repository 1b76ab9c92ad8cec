//! What is made of a console that was read to its end, whoever wrote it: the
//! judgement, the files, the words on the screen.

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
use crate::{junit, report, stdout};

use stalecore_model::exit::ExitCode;

/// Judges, saves and shows, and gives the exit code; of the core file, if one
/// was wanted, it says what came of it.
///
/// # Errors
/// The results cannot be saved or shown.
pub fn conclude(
    session: Session,
    ending: &Ending,
    core: Option<&CoreFile>,
    out: &OutDir,
    asked: &OutputArgs,
) -> anyhow::Result<ExitCode> {
    let notes = what_was_odd(&session);
    let mut run = session.run;
    run.notes.extend(notes);
    let mut judgement = judge::judge(&run, ending, asked.expect);
    run.answer = printable(answer::answer(&run, &judgement, asked.expect).as_bytes());
    // What was found does not depend on it.
    if let Some(core) = core {
        let image = run.marks.as_ref().map_or(0, |marks| marks.image.0);
        let told = core.told(image);
        let (Ok(text) | Err(text)) = &told;
        run.notes.push(format!("host: {text}"));
        if let Err(problem) = told {
            judgement.problem.get_or_insert(problem);
            judgement.code = judgement.code.worse(ExitCode::Harness);
        }
    }
    run.exit = judgement.code as u8;
    out.save(&run)?;
    report::write_html(std::slice::from_ref(&run), &out.path().join(report::FILE))?;
    junit::write(&run, &out.path().join(junit::FILE))?;
    let nothing = run.cases.is_empty() && run.blocks.is_empty();
    if asked.json {
        stdout::print(&format!("{}\n", serde_json::to_string(&run)?))?;
    } else if judgement.problem.is_none() || !nothing {
        stdout::print(&show::text(&run, show::width(), asked.all_states))?;
    }
    let out = out.path().display();
    if let Some(problem) = &judgement.problem {
        let problem = printable(problem.as_bytes());
        eprintln!("stalecore: {problem}; what was measured is in {out}");
    } else if !asked.quiet {
        eprintln!("results: {out}; to look at: {out}/{}", report::FILE);
    }
    Ok(judgement.code)
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
