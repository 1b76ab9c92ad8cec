//! Reads a kernel's console log, says where the kdump path stopped and what
//! that proves, and gives the `stalecore run` command that stages the same
//! situation: [`write_words`] for people, [`write_json`] for programs.
//!
//! [`lines`] finds the interesting lines in a log of any size, [`prefix`] and
//! [`wording`] read them, [`tracker`] sorts them into crashes, [`reading`]
//! draws the conclusions, [`text`] puts them into words.

#![forbid(unsafe_code)]

mod capture;
mod command;
mod container;
mod cpus;
mod crash;
mod dump;
mod ending;
mod era;
mod escapes;
mod evidence;
mod expect;
mod fields;
mod finder;
mod findings;
mod firmware;
mod fit;
mod hung;
mod lines;
mod mark;
mod listed;
mod message;
mod needles;
mod outcome;
mod prefix;
mod reading;
mod repeats;
mod settings;
mod signature;
mod stale;
mod stall;
mod stalled;
mod step;
mod stuck;
mod stuck_rows;
mod text;
mod tracker;
mod wording;

#[cfg(test)]
mod tests;

pub use escapes::without_escapes;
pub use expect::{Expect, Tally, Told};

use std::{
    fmt,
    io::{self, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use stalecore_model::words;

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

/// Reads the log to its end and writes what it says in words. Each crash is
/// written as soon as it is complete. Gives what an expectation is held against.
///
/// # Errors
/// The log cannot be read, or `out` cannot be written.
pub fn write_words(log: impl Read + Send, mut out: impl Write) -> Result<Tally, Failure> {
    let mut words = Words::new(&mut out);
    let mut tally = Tally::default();
    let size = scan(log, MAX_FULL, |crash, number| {
        tally.count(crash, number);
        words.crash(crash, number)
    })?;
    words.end(size)?;
    out.flush().map_err(Failure::Write)?;
    Ok(tally)
}

/// Reads the log to its end and writes what it says as one JSON document (its
/// shape: docs/triage.md), in which the log is called `name`.
///
/// # Errors
/// The log cannot be read, or `out` cannot be written. A log that cannot be
/// read at all leaves `out` empty.
pub fn write_json(
    log: impl Read + Send,
    name: &str,
    mut out: impl Write,
) -> Result<Tally, Failure> {
    let mut json = Json::new(&mut out, name);
    let mut tally = Tally::default();
    let size = scan(log, u64::MAX, |crash, number| {
        tally.count(crash, number);
        json.crash(&Reading::of(crash, number))
    })?;
    json.end(size)?;
    out.flush().map_err(Failure::Write)?;
    Ok(tally)
}

/// What can go wrong, apart on both sides.
#[derive(Debug)]
pub enum Failure {
    /// The log could not be read.
    Read(io::Error),
    /// The reading could not be written.
    Write(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(e) => write!(f, "cannot read the log: {e}"),
            Self::Write(e) => write!(f, "cannot write the reading: {e}"),
        }
    }
}

impl std::error::Error for Failure {}

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
        show(crash, number).map_err(Failure::Write)
    });
    let mut log = log;
    let mut head = Vec::new();
    // Longer by one than the longest copy.
    (&mut log)
        .take(container::LONGEST as u64 + 1)
        .read_to_end(&mut head)?;
    let copy = (head.len() <= container::LONGEST)
        .then(|| container::unpack(&head))
        .flatten();
    let size = match copy {
        Some(copy) => {
            lines::scan(&copy.text[..], &only_outline, |line| {
                let at = usize::try_from(line.number - 1).ok();
                let number = at.and_then(|at| copy.numbers.get(at)).copied();
                tracker.line(&lines::Line {
                    number: number.unwrap_or(line.number),
                    ..line
                })
            })?;
            Size::of(&head)
        }
        None => lines::scan(head.chain(log), &only_outline, |line| tracker.line(&line))?,
    };
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
                "no crash found ({}, {})",
                words::count(size.lines as usize, "line", "lines"),
                words::count(size.bytes as usize, "byte", "bytes")
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
