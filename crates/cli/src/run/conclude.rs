//! What is made from a console that was read to its end, whoever wrote it: the
//! judgement, the files, the words on the screen.

use std::collections::HashSet;

use stalecore_model::{console::printable, exit::ExitCode, run::Run, words};

use super::{
    answer,
    args::OutputArgs,
    core_file::CoreFile,
    judge::{self, Ending},
    outdir::OutDir,
    session::Session,
    show,
};
use crate::{report, stderr, stdout};

/// Far more than there are combinations.
const MOST_CASES: u32 = 100_000;

/// Judges, saves and shows, and gives the exit code; if a core file was wanted, it
/// says whether there is one.
///
/// The verdict is shown before it is saved, so that it is seen even if the disk is
/// full; a terminal that does not take it changes nothing.
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
    run.take_back_starved();
    let judgement = judge::judge(&run, ending, asked.expect);
    run.answer = printable(answer::answer(&run, &judgement, asked.expect).as_bytes());
    let clean = judgement.problem.is_none();
    // What was found does not depend on the problems that follow.
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
    if asked.unseen {
        // It is one boot of several.
    } else if asked.json {
        // For a program, which would not notice what is missing.
        let shown = stdout::print_json(&format!("{}\n", serde_json::to_string(&run)?));
        problems.extend(shown.err().map(|error| format!("{error:#}")));
    } else if clean || !nothing {
        let text = show::text(&run, show::width(), asked.all_states);
        let shown = stdout::print_coloured(&text);
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
    } else if !asked.quiet && !asked.unseen {
        stderr::say(&format!(
            "results: {out}; to look at: {out}/{}",
            report::FILE
        ));
    }
    Ok(with(&problems))
}

/// What went wrong on the way, as far as the console itself shows.
fn what_was_odd(session: &Session) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(format!("host: {text}"));
    let run: &Run = &session.run;
    if run.garbled > 0 {
        let lines = words::count(run.garbled as usize, "line", "lines");
        let were = words::with(run.garbled as usize, "was", "were");
        let too_long = match (run.garbled, session.too_long) {
            (_, 0) => String::new(),
            (1, _) => ", as it was too long".into(),
            (_, n) => format!(", {n} of them too long"),
        };
        note(format!("{lines} of the console {were} garbled{too_long}"));
    }
    let unread = missing_cases(run);
    if !unread.is_empty() {
        let many = unread.len() > 1 || unread[0][0] != unread[0][1];
        note(format!(
            "no record of {} {} was read",
            words::with(usize::from(many) + 1, "case", "cases"),
            words::ranges(&unread)
        ));
    }
    if run.followed_by > 0 {
        note(format!(
            "behind the end of this run {} began; only the first is read",
            words::count(run.followed_by as usize, "other run", "others")
        ));
    }
    if run.end.is_some() {
        let planned = run.plan.as_ref().map_or(0, |plan| plan.cases);
        if session.tree_cases != planned {
            note(format!(
                "{} planned, the KTAP tree has {}",
                words::count(planned as usize, "case is", "cases are"),
                match session.tree_cases {
                    0 => "none".into(),
                    n => n.to_string(),
                }
            ));
        }
    }
    notes
}

/// The numbers of planned cases that have no record, where the console lost
/// something: otherwise they were not reached.
fn missing_cases(run: &Run) -> Vec<[u32; 2]> {
    if run.unread().is_none() {
        return Vec::new();
    }
    let read: HashSet<u32> = run.cases.iter().map(|case| case.n).collect();
    // Bounded, whatever a console claims.
    let planned = run.plan.as_ref().map_or(0, |plan| plan.cases);
    let mut missing: Vec<[u32; 2]> = Vec::new();
    for n in (1..=planned.min(MOST_CASES)).filter(|n| !read.contains(n)) {
        match missing.last_mut() {
            Some([_, last]) if *last + 1 == n => *last = n,
            _ => missing.push([n, n]),
        }
    }
    missing
}
