//! `stalecore triage`: opens the log and says what [`stalecore_triage`] reads
//! in it.

mod archive;
mod junit;
mod records;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, BufWriter, Cursor, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use stalecore_model::exit::ExitCode;
use stalecore_triage::{Expect, Failure, Tally, write_json, write_words};

use crate::{stderr, stdout};

/// How many bytes of a file tell what it is.
const PEEKED: u64 = 512;

/// A compressed record is at most this large, in bytes.
const LARGEST_RECORD: u64 = 16 << 20;

/// What `stalecore triage` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The kernel's console log: a file, - for the standard input, or a folder or tar archive of pstore records
    log: PathBuf,
    /// Write JSON instead of words (its shape: docs/triage.md)
    #[arg(long)]
    json: bool,
    /// What the log must show for exit code 0; otherwise it is 1
    #[arg(long, value_parser = expectation, value_name = "saved|bye|stopped-all|no-crash")]
    expect: Option<Expect>,
    /// Write a JUnit report to this file, with one test case for each crash
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Reads the log and writes the reading to the standard output. Gives the
/// process's exit code: 0 whatever was found, 1 if it is not as expected.
///
/// # Errors
/// The log cannot be opened or read, or the report not written: one line that
/// says which and why, for exit code 2.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.log.display().to_string();
    let log: Log = if args.log == Path::new("-") {
        unpacked(Box::new(io::stdin()), &name)?
    } else if args.log.is_dir() {
        Box::new(Cursor::new(records::of_folder(&args.log)?))
    } else {
        let file = File::open(&args.log).with_context(|| format!("cannot open {name}"))?;
        unpacked(Box::new(file), &name)?
    };
    let out = stdout::Lines::new(
        BufWriter::new(Reading {
            out: io::stdout().lock(),
            to_its_end: args.expect.is_some() || args.junit.is_some(),
            closed: false,
        }),
        args.json,
    );
    let result = if args.json {
        write_json(log, &name, out)
    } else {
        write_words(log, out)
    };
    match result {
        Ok(tally) => judge(args, &name, &tally),
        // The reader closed the pipe, and nothing else was asked for.
        Err(Failure::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Expected),
        Err(Failure::Write(e)) => Err(e).context("cannot write to the standard output"),
        Err(Failure::Read(e)) => Err(e).with_context(|| format!("cannot read {name}")),
    }
}

type Log = Box<dyn Read + Send>;

/// What a file holds: the log itself, or records in an archive; either may be
/// compressed.
fn unpacked(file: Log, name: &str) -> anyhow::Result<Log> {
    let (head, file) = peeked(file).with_context(|| format!("cannot read {name}"))?;
    if records::is_compressed(Path::new(name)) {
        let mut bytes = Vec::new();
        file.take(LARGEST_RECORD).read_to_end(&mut bytes)?;
        let text = records::inflated(&bytes);
        return Ok(Box::new(Cursor::new(text.with_context(|| {
            format!("{name}: cannot unpack it; only deflate can be read")
        })?)));
    }
    let (head, file) = match head.starts_with(b"\x1f\x8b") {
        true => peeked(Box::new(MultiGzDecoder::new(file)))
            .with_context(|| format!("cannot read {name}"))?,
        false => (head, file),
    };
    if archive::is_one(&head) {
        return Ok(Box::new(Cursor::new(records::of_archive(file, name)?)));
    }
    Ok(file)
}

/// What a file begins with, and the whole file again.
fn peeked(mut file: Log) -> io::Result<(Vec<u8>, Log)> {
    let mut head = Vec::new();
    (&mut file).take(PEEKED).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(file);
    Ok((head, Box::new(whole)))
}

/// Compares what was read with what was expected.
fn judge(args: &Args, name: &str, tally: &Tally) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.junit {
        junit::write(tally, name, args.expect, path)?;
    }
    match args.expect {
        Some(expect) if !tally.meets(expect) => {
            stderr::complain(&tally.missed(expect));
            Ok(ExitCode::Slowed)
        }
        _ => Ok(ExitCode::Expected),
    }
}

fn expectation(name: &str) -> Result<Expect, String> {
    let found = Expect::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, expect)| *expect).ok_or_else(|| {
        let names: Vec<_> = Expect::ALL.iter().map(|(name, _)| *name).collect();
        format!("allowed: {}", names.join(", "))
    })
}

/// Where the reading goes. A reader who closes that pipe has seen enough, but that must
/// not change the rest of what was asked for: the log is still read to its end.
struct Reading<W> {
    out: W,
    to_its_end: bool,
    closed: bool,
}

impl<W: Write> Reading<W> {
    fn or_closed<T>(&mut self, result: io::Result<T>, all: T) -> io::Result<T> {
        match result {
            Err(e) if self.to_its_end && e.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(all)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Reading<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.or_closed(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.or_closed(flushed, ())
    }
}
