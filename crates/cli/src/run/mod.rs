//! `stalecore run`: boots the image in QEMU, reads what it reports, and says
//! what that means.

mod answer;
mod args;
mod child;
mod el3;
mod figures;
mod findings;
#[cfg(test)]
mod hostile_tests;
mod image;
mod interrupt;
mod judge;
mod limits;
mod machine;
mod outdir;
mod progress;
mod qemu;
mod qmp;
mod session;
mod show;
mod silence;

mod table;
mod watch;

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::ExitStatus,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use stalecore_model::{
    console::printable, exit::ExitCode, glossary::Verdict, plan::Plan, record::SCHEMA, run::Run,
};

pub use args::Args;
use judge::Ending;
use limits::Limits;
use machine::Boot;
use outdir::OutDir;
use progress::Progress;
use qemu::Qemu;
use session::Session;
use watch::Stop;

use crate::{junit, report, stdout, words};

/// How long the emulator may take to end once its console is closed.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// How many of the emulator's complaints are kept.
const COMPLAINTS: usize = 20;

/// Runs the image and gives the exit code.
///
/// # Errors
/// What keeps the run from being started, or its results from being saved.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cpus = args.machine.cpus;
    let mut options = args.plan.0;
    options.semihosting = !args.no_semihosting;
    let plan = Plan::new(&options, cpus).map_err(|e| anyhow!(args::as_flag(&e)))?;
    args.machine.check().map_err(|e| anyhow!(e))?;
    let timeout = args.timeout.map(|s| Duration::from_secs(s.into()));
    let limits = Limits::of(&options, &plan, cpus, timeout);
    let scratch = tempfile::Builder::new().prefix("stalecore-").tempdir();
    let scratch = scratch.context("temporary directory")?;
    let monitor = scratch.path().join("qmp");
    let image = image::find(args.image.as_deref(), scratch.path())?;
    let qemu = Qemu::find(args.qemu.as_deref())?;
    let loader = scratch.path().join("el3.elf");
    if args.machine.at_el3() {
        fs::write(&loader, el3::elf()).with_context(|| loader.display().to_string())?;
    }
    let words = args.machine.arguments(&Boot {
        image: &image,
        el3: args.machine.at_el3().then_some(&loader),
        arguments: &options.to_bootargs(),
        monitor: &monitor,
        icount: options.icount,
        semihosting: options.semihosting,
    });
    let out = OutDir::open(args.out.as_deref())?;
    let run = Run {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_string(),
        command: std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        machine_command: machine::as_text(&qemu.program, &words),
        host: format!("qemu {} (tcg)", qemu.version),
        emulated: true,
        exit: ExitCode::Harness as u8,
        answer: "The run has not ended.".to_string(),
        ..Run::default()
    };
    // Before the machine starts: a directory that cannot be written is found
    // now, and a host that is killed leaves what it knew.
    out.save(&run)?;
    let mut session = Session::new(run, out.console()?, Progress::new(args.quiet));
    interrupt::install()?;
    if !args.quiet {
        eprintln!("{}", words::shell(&session.run.machine_command));
    }
    let mut ending = boot(&qemu.program, &words, limits, &monitor, &mut session)?;
    ending.semihosting = options.semihosting;
    let mut run = session.run;
    let judgement = judge::judge(&run, &ending, args.expect);
    note_what_was_odd(
        &mut run,
        &ending,
        &args.machine.el,
        session.tree_cases,
        session.too_long,
    );
    run.answer = printable(answer::answer(&run, &judgement, args.expect).as_bytes());
    run.exit = judgement.code as u8;
    out.save(&run)?;
    report::write_html(std::slice::from_ref(&run), &out.path().join(report::FILE))?;
    junit::write(&run, &out.path().join(junit::FILE))?;
    let nothing = run.cases.is_empty() && run.blocks.is_empty();
    if args.json {
        stdout::print(&format!("{}\n", serde_json::to_string(&run)?))?;
    } else if judgement.problem.is_none() || !nothing {
        stdout::print(&show::text(&run, show::width(), args.all_states))?;
    }
    let out = out.path().display();
    if let Some(problem) = &judgement.problem {
        let problem = printable(problem.as_bytes());
        eprintln!("stalecore: {problem}; what was measured is in {out}");
    } else if !args.quiet {
        eprintln!("results: {out}; to look at: {out}/{}", report::FILE);
    }
    Ok(judgement.code)
}

/// Starts the machine, reads its console to the end, and leaves nothing of it.
fn boot(
    program: &Path,
    words: &[OsString],
    limits: Limits,
    monitor: &Path,
    session: &mut Session,
) -> anyhow::Result<Ending> {
    let begin = Instant::now();
    let (mut child, stdout, stderr) =
        child::Child::start(program, words).with_context(|| program.display().to_string())?;
    let complaints = complaints(stderr);
    let stop = watch::watch(&watch::read(stdout), limits, session);
    session.finish();
    session.run.elapsed_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    if session.run.end.is_none() && matches!(stop, Stop::Silent(_) | Stop::Deadline(_)) {
        session.run.notes.extend(silence::look(monitor));
    }
    let status: Option<ExitStatus> = match stop {
        Stop::Closed => child.wait(LAST_BREATH)?,
        _ => None,
    };
    drop(child);
    let complaints: Vec<_> = complaints.iter().take(COMPLAINTS).collect();
    let notes = complaints.iter().map(|line| format!("QEMU says: {line}"));
    session.run.notes.extend(notes);
    Ok(Ending {
        stop,
        line: session.exit.map(|(code, _)| code),
        status,
        semihosting: false,
        complaint: complaints.into_iter().next(),
        last_text: session.last_text.take(),
    })
}

/// Reads the emulator's standard error, and keeps its first lines.
fn complaints(stderr: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(COMPLAINTS);
    thread::spawn(move || {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            // The rest of an endless line comes as further lines.
            match stderr.by_ref().take(1024).read_until(b'\n', &mut line) {
                Ok(n) if n > 0 => {}
                _ => break,
            }
            let text = printable(line.trim_ascii_end());
            if !text.is_empty() {
                // When no more are wanted, they are still read.
                let _ = sender.try_send(text);
            }
        }
    });
    receiver
}

fn note_what_was_odd(run: &mut Run, ending: &Ending, el: &str, tree_cases: u32, too_long: u64) {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(format!("host: {text}"));
    if run.garbled > 0 {
        note(format!(
            "{} lines of the console were garbled, {too_long} of them too long",
            run.garbled
        ));
    }
    if matches!(ending.stop, Stop::LastLine) {
        note("the machine did not end after its last line, and was stopped".to_string());
    }
    if let Some(machine) = run
        .machine
        .as_ref()
        .filter(|m| m.entry_el.to_string() != el)
    {
        note(format!(
            "EL{el} was asked for, the image was entered at EL{}",
            machine.entry_el
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
        if tree_cases != planned {
            note(format!(
                "{planned} cases are planned, the KTAP tree has {tree_cases}"
            ));
        }
    }
    run.notes.extend(notes);
}
