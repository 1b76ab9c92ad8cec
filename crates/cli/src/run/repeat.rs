//! `run --repeat N`: the same plan in several boots, one after the other, and one result
//! of them.

use stalecore_model::{exit::ExitCode, run::Run, words};

use super::{Args, answer, begin, interrupt, judge::Judgement, outdir::OutDir, session, show};
use crate::{report, stderr, stdout, store};

/// Runs the plan in so many boots. Where one cannot be judged, or is broken off, those
/// behind it are not begun.
///
/// # Errors
/// What keeps a boot from being started, or the results from being saved.
pub fn run(mut args: Args, times: usize) -> anyhow::Result<ExitCode> {
    let out = OutDir::open(args.output.out.as_deref())?;
    // Who reads it before the first boot has ended sees whose it is.
    out.save(&session::begun())?;
    let quiet = args.output.quiet;
    args.output.unseen = true;
    let mut boots = Vec::new();
    let mut problem = None;
    for nth in 1..=times {
        if !quiet {
            stderr::say(&format!("boot {nth} of {times}"));
        }
        let dir = out.boot(nth);
        args.output.out = Some(dir.clone());
        let code = begin(&args, None)?;
        let boot = store::read(&dir)?;
        if matches!(code, ExitCode::Harness | ExitCode::Silence) {
            let why = boot
                .answer
                .strip_prefix("No answer: ")
                .unwrap_or(&boot.answer);
            let why = why.split(". ").next().unwrap_or(why).trim_end_matches('.');
            problem = Some(format!("boot {nth} of {times}: {why}"));
        }
        boots.push(boot);
        if problem.is_some() || interrupt::asked() {
            break;
        }
    }
    let made = boots.len();
    let Some(mut run) = Run::of_boots(boots) else {
        anyhow::bail!("--repeat: no boot was made");
    };
    run.command = session::begun().command;
    let code = ExitCode::from_number(run.exit.into()).unwrap_or(ExitCode::Harness);
    let judgement = Judgement { code, problem };
    let answer = answer::answer(&run, &judgement, args.output.expect);
    run.answer = format!(
        "{answer} That is over {}.",
        words::count(made, "boot", "boots")
    );
    out.save(&run)?;
    let drawn = out.draw(&run);
    if args.output.json {
        stdout::print_json(&format!("{}\n", serde_json::to_string(&run)?))?;
    } else {
        let text = show::text(&run, show::width(), args.output.all_states);
        if let Err(error) = stdout::print_coloured(&text) {
            stderr::complain(&format!("{error:#}"));
        }
    }
    let at = out.path().display();
    if let Err(problems) = drawn {
        stderr::complain(&format!(
            "{}; what was measured is in {at}",
            problems.join("; ")
        ));
        return Ok(code.worse(ExitCode::Harness));
    }
    if !quiet {
        stderr::say(&format!("results: {at}; to look at: {at}/{}", report::FILE));
    }
    Ok(code)
}
