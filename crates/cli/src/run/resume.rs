//! `run --resume DIR`: runs what a run that was broken off lacks, with the options of
//! that run; flags that are given now must not contradict them.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use clap::{
    Arg, ArgMatches, Command, CommandFactory, FromArgMatches, builder::ValueParser,
    parser::ValueSource,
};
use stalecore_model::{
    console::{Line, Lines},
    exit::ExitCode,
    options::{CaseNumbers, Scenario},
    plan::Plan,
    reader::Reader,
    run::Run,
    shell, words,
};

use super::{Args, outdir::OutDir, session::Session};
use crate::{Cli, store, whole_file};

/// Flags that do not change what runs: here the resuming command's count.
const OWN: &[&str] = &[
    "resume",
    "quiet",
    "verbose",
    "json",
    "all_states",
    "expect",
    "timeout",
    "list",
];

/// The most bytes that are read of a console that a killed run left.
const LARGEST_CONSOLE: u64 = 64 << 20;

/// A run that was broken off, or whose first part has been run.
pub struct Earlier {
    /// Its directory.
    pub dir: PathBuf,
    /// What it found.
    pub run: Run,
    /// Was it to end there?
    planned: bool,
}

/// What there is to resume.
pub enum Resume {
    /// There is something to run, with these arguments.
    On(Box<Args>, Box<Earlier>),
    /// The run has ended, with this exit code.
    Over(u8, String),
}

/// Reads the run in the directory and the arguments that it began with.
///
/// # Errors
/// There is no run, it cannot be resumed, or the command contradicts it.
pub fn begin(dir: &Path, asked: Args) -> anyhow::Result<Resume> {
    let name = || format!("--resume: {}", dir.display());
    let mut run = store::read(dir).with_context(name)?;
    ensure!(
        run.command.get(1).is_some_and(|word| word == "run"),
        "{}: {} made it; allowed: what stalecore run made",
        name(),
        shell::quoted(&run.command)
    );
    let planned = run.plan.as_ref().map_or(0, |plan| plan.cases) as usize;
    // Where the host saw a block and ended the run, there may be further cases.
    if run.end.is_some() || run.closed_by_host() && run.cases.len() >= planned {
        return Ok(Resume::Over(
            run.exit,
            format!(
                "{} is over: {} of {} {} a result, and the code is {}",
                dir.display(),
                run.cases.len(),
                words::cases(planned),
                words::with(run.cases.len(), "has", "have"),
                run.exit
            ),
        ));
    }
    let command = Cli::command();
    let run_s = command.find_subcommand("run").context("run")?.clone();
    let before = matches(&run_s, run.command.iter().skip(2).map(OsString::from))
        .map_err(|error| anyhow!("{}: its own command cannot be read: {error}", name()))?;
    let now = matches(&run_s, std::env::args_os().skip(2)).map_err(|error| anyhow!("{error}"))?;
    if let Some(flag) = contradiction(&run_s, &now, &before) {
        bail!(
            "{flag} contradicts the run in {}, which {}; allowed: what it was begun with, or \
             nothing",
            dir.display(),
            shell::quoted(&run.command)
        );
    }
    if let Some(flag) = untold(&run_s, &now, &before) {
        bail!(
            "{} was begun with {flag}; allowed: to give that once more, as a directory must not \
             say what is run on this host",
            name()
        );
    }
    let mut args = Args::from_arg_matches(&before)?;
    let options = &mut args.plan.0;
    ensure!(
        options.scenario == Scenario::Plan && args.check_coherence.is_none(),
        "{}: the crash path, and what the checker of caches sees, are one piece; allowed: to run \
         it again",
        name()
    );
    if run.machine.is_none() {
        from_console(dir, &mut run);
    }
    let plan = Plan::new(options, args.machine.cpus).map_err(|error| anyhow!(error))?;
    let mut missing: Vec<_> = run.missing(&plan).collect();
    if missing.is_empty() {
        // Only its end is lacking: running the last case again brings it.
        let last = run.cases.iter().map(|case| case.n).max();
        missing.extend(last);
        run.cases.retain(|case| Some(case.n) != last);
    }
    if !run.cases.is_empty() {
        options.cases = CaseNumbers::of(missing);
    }
    args.list = asked.list;
    args.timeout = asked.timeout.or(args.timeout);
    args.output = super::OutputArgs {
        expect: asked.output.expect.or(args.output.expect),
        out: Some(dir.to_path_buf()),
        ..asked.output
    };
    let dir = dir.to_path_buf();
    Ok(Resume::On(
        Box::new(args),
        Box::new(Earlier {
            dir,
            run,
            planned: false,
        }),
    ))
}

/// What words say to a command.
///
/// # Errors
/// They say nothing to it.
pub fn matches(
    command: &Command,
    words: impl Iterator<Item = OsString>,
) -> Result<ArgMatches, clap::Error> {
    let command = command.clone().no_binary_name(true);
    command.try_get_matches_from(words)
}

/// A flag that the command has now, but the one before did not have or had with another
/// value.
fn contradiction(command: &Command, now: &ArgMatches, before: &ArgMatches) -> Option<String> {
    let mut args = command.get_arguments().filter(|arg| {
        let id = arg.get_id().as_str();
        !OWN.contains(&id) && was_given(now, id)
    });
    let otherwise = |arg: &&Arg| values(now, arg) != values(before, arg);
    args.find(otherwise).map(|arg| as_given(now, arg))
}

/// A flag that the command before had and this one lacks, and that names a file or a
/// program or is passed to the emulator. Directories of runs are sent around.
fn untold(command: &Command, now: &ArgMatches, before: &ArgMatches) -> Option<String> {
    let kinds = [
        ValueParser::path_buf().type_id(),
        ValueParser::os_string().type_id(),
    ];
    let mut args = command.get_arguments().filter(|arg| {
        let id = arg.get_id().as_str();
        // `--resume` already names the directory.
        id != "out"
            && kinds.contains(&arg.get_value_parser().type_id())
            && was_given(before, id)
            && !was_given(now, id)
    });
    args.next().map(|arg| as_given(before, arg))
}

fn was_given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn values(matches: &ArgMatches, arg: &Arg) -> Vec<OsString> {
    let values = matches.get_raw(arg.get_id().as_str());
    let values = values.into_iter().flatten();
    values.map(OsStr::to_os_string).collect()
}

/// The flag with its values.
fn as_given(matches: &ArgMatches, arg: &Arg) -> String {
    let values = values(matches, arg).join(OsStr::new(" "));
    let flag = arg.get_long().unwrap_or(arg.get_id().as_str());
    format!("--{flag} {}", values.to_string_lossy())
}

/// A host that was killed has saved no records, but its console log has what arrived.
pub fn from_console(dir: &Path, run: &mut Run) {
    let path = dir.join(super::outdir::CONSOLE);
    let Ok(bytes) = whole_file::read(&path, LARGEST_CONSOLE) else {
        return;
    };
    let (mut lines, mut reader) = (Lines::default(), Reader::default());
    lines.feed(&bytes, &mut |line| {
        if let Line::Record(record, seal) = line {
            reader.take(run, record, seal);
        }
    });
    run.console_bytes = bytes.len() as u64;
    // A record that was being written when it was killed is not lost: its case runs again.
    run.garbled = 0;
}

impl Earlier {
    /// What one boot has found of so many cases, which further boots go on with. It is
    /// saved, so that it can be resumed if the host goes down.
    ///
    /// # Errors
    /// It cannot be saved.
    pub fn part(mut run: Run, cases: usize, out: &OutDir) -> anyhow::Result<Self> {
        is_part(&mut run, cases);
        out.save(&run)?;
        Ok(Self {
            dir: out.path().to_path_buf(),
            run,
            planned: true,
        })
    }

    /// Checks that this is the image that the run began with.
    ///
    /// # Errors
    /// It is another one, or the run does not say which it was.
    pub fn booted(&self, image: &str) -> anyhow::Result<()> {
        let dir = self.dir.display();
        ensure!(
            self.run.version == env!("CARGO_PKG_VERSION"),
            "--resume: {dir} was begun by stalecore {}, this is {}; allowed: the same",
            self.run.version,
            env!("CARGO_PKG_VERSION")
        );
        ensure!(
            self.run.image == image,
            "--resume: {dir} was begun with another image ({}, and this is {image}); allowed: the \
             same, or another --out",
            if self.run.image.is_empty() {
                "unknown"
            } else {
                &self.run.image
            }
        );
        Ok(())
    }

    /// Joins the earlier run with what the session has read.
    ///
    /// # Errors
    /// The earlier run was on another machine; then nothing new is kept.
    pub fn join(self, session: &mut Session, out: &OutDir) -> anyhow::Result<()> {
        let before = (self.run.cases.len(), self.run.console_bytes);
        let later = std::mem::take(&mut session.run);
        let joined = match self.planned {
            true => self.run.joined(later),
            false => self.run.resumed(later),
        };
        match joined {
            Ok(whole) => session.run = whole,
            Err(error) => {
                out.cut_console(before.1)?;
                bail!(
                    "--resume: {} was begun on {error}; nothing of it was changed",
                    self.dir.display()
                );
            }
        }
        if session.run.end.is_some() {
            session.tree_cases += before.0 as u32;
        }
        Ok(())
    }
}

/// Of a run of so many cases this is a part: it has not ended, whatever its boot has said.
pub fn is_part(run: &mut Run, cases: usize) {
    if let Some(plan) = &mut run.plan {
        plan.cases = u32::try_from(cases).unwrap_or(u32::MAX);
    }
    run.end = None;
}

/// Says that there is nothing to resume, and gives the code of the run.
pub fn over(code: u8, text: &str, quiet: bool) -> ExitCode {
    if !quiet {
        crate::stderr::say(&format!("{text}; nothing is missing"));
    }
    ExitCode::from_number(code.into()).unwrap_or(ExitCode::Harness)
}
