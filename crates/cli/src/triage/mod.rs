//! `stalecore triage`: reads a kernel's console log, says where the kdump path
//! stopped and what that proves, and prints the `stalecore run` command that
//! stages the same situation.
//!
//! [`lines`] finds the interesting lines in a log of any size, [`prefix`] and
//! [`wording`] read them, [`tracker`] sorts them into crashes, [`reading`]
//! draws the conclusions, [`text`] puts them into words. Only this file knows
//! of files.

mod command;
mod cpus;
mod crash;
mod dump;
mod ending;
mod era;
mod escapes;
mod fields;
mod finder;
mod findings;
mod fit;
mod lines;
mod message;
mod needles;
mod outcome;
mod prefix;
mod reading;
mod stale;
mod step;
mod stuck;
mod stuck_rows;
mod text;
mod tracker;
mod wording;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use stalecore_model::exit::ExitCode;

use self::{
    crash::Crash,
    lines::Size,
    reading::{Head, Reading},
    tracker::Tracker,
};

/// The name of the JSON shape; it changes when a field changes its meaning.
const SCHEMA: &str = "stalecore-triage-1";

/// Crashes that are shown in full in words; further ones get a line each.
const MAX_FULL: u64 = 16;

/// What `stalecore triage` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The kernel's console log: a file, or - for the standard input
    log: PathBuf,
    /// Write JSON instead of words (its shape: docs/triage.md)
    #[arg(long)]
    json: bool,
}

/// Reads the log and writes the reading to the standard output. Gives the
/// process's exit code: 0 whatever was found.
///
/// # Errors
/// The log cannot be opened or read: one line that says which and why, for
/// exit code 2.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.log.display().to_string();
    let log: Box<dyn Read + Send> = if args.log == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(&args.log).with_context(|| format!("cannot open {name}"))?)
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let result = if args.json {
        let mut json = Json::new(&mut out, &name);
        scan(log, u64::MAX, |crash, number| {
            json.crash(&Reading::of(crash, number))
        })
        .and_then(|size| json.end(size))
    } else {
        let mut words = Words::new(&mut out);
        scan(log, MAX_FULL, |crash, number| words.crash(crash, number))
            .and_then(|size| words.end(size))
    };
    let result = result.and_then(|()| out.flush().map_err(Failure::Write));
    match result {
        Ok(()) => Ok(ExitCode::Expected),
        // Whoever read the output has seen enough.
        Err(Failure::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Expected),
        Err(Failure::Write(e)) => Err(e).context("cannot write to the standard output"),
        Err(Failure::Read(e)) => Err(e).with_context(|| format!("cannot read {name}")),
    }
}

/// What can go wrong, apart on both sides.
enum Failure {
    Read(io::Error),
    Write(io::Error),
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Read(e)
    }
}

/// Reads a log to its end, the first `in_full` crashes with their registers and
/// traces; each goes to `show` as soon as it is complete.
fn scan(
    log: impl Read + Send,
    in_full: u64,
    mut show: impl FnMut(&Crash, u64) -> io::Result<()>,
) -> Result<Size, Failure> {
    let mut number = 0;
    let only_outline = AtomicBool::new(false);
    let mut tracker = Tracker::new(|crash| {
        number += 1;
        if number == in_full {
            only_outline.store(true, Ordering::Relaxed);
        }
        show(&crash, number).map_err(Failure::Write)
    });
    let size = lines::scan(log, &only_outline, |line| tracker.line(&line))?;
    tracker.finish()?;
    Ok(size)
}

/// Shows crashes in words.
struct Words<W> {
    out: W,
    shown: u64,
}

impl<W: Write> Words<W> {
    fn new(out: W) -> Self {
        Self { out, shown: 0 }
    }

    fn crash(&mut self, crash: &Crash, number: u64) -> io::Result<()> {
        self.shown = number;
        if number <= MAX_FULL {
            if number > 1 {
                writeln!(self.out)?;
            }
            return text::full(&mut self.out, &Reading::of(crash, number));
        }
        if number == MAX_FULL + 1 {
            writeln!(
                self.out,
                "\nFurther crashes, in short (--json has all in full):"
            )?;
        }
        text::short(&mut self.out, &Head::of(crash, number))
    }

    fn end(mut self, size: Size) -> Result<(), Failure> {
        if self.shown == 0 {
            writeln!(
                self.out,
                "no crash found ({} lines, {} bytes)",
                size.lines, size.bytes
            )
            .map_err(Failure::Write)?;
        }
        Ok(())
    }
}

/// Shows crashes as one JSON document, a crash a line.
struct Json<'a, W> {
    out: W,
    log: &'a str,
    shown: u64,
}

impl<'a, W: Write> Json<'a, W> {
    fn new(out: W, log: &'a str) -> Self {
        Self { out, log, shown: 0 }
    }

    /// Opens the document in front of the first crash, or of the end: a log
    /// that cannot be read leaves the output empty.
    fn open(&mut self) -> io::Result<()> {
        let log = serde_json::to_string(self.log)?;
        writeln!(
            self.out,
            "{{\"schema\":\"{SCHEMA}\",\"log\":{log},\"crashes\":["
        )
    }

    fn crash(&mut self, reading: &Reading) -> io::Result<()> {
        if self.shown == 0 {
            self.open()?;
        } else {
            writeln!(self.out, ",")?;
        }
        self.shown += 1;
        serde_json::to_writer(&mut self.out, reading)?;
        Ok(())
    }

    fn end(mut self, size: Size) -> Result<(), Failure> {
        let mut end = || {
            if self.shown == 0 {
                self.open()?;
            } else {
                writeln!(self.out)?;
            }
            writeln!(
                self.out,
                "],\"crash_count\":{},\"lines\":{},\"bytes\":{}}}",
                self.shown, size.lines, size.bytes
            )
        };
        end().map_err(Failure::Write)
    }
}
