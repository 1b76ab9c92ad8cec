//! `stalecore triage`: opens the log and says what [`stalecore_triage`] reads
//! in it.

use std::{
    fs::File,
    io::{self, BufWriter, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use stalecore_model::exit::ExitCode;
use stalecore_triage::{Failure, write_json, write_words};

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
    let out = BufWriter::new(io::stdout().lock());
    let result = if args.json {
        write_json(log, &name, out)
    } else {
        write_words(log, out)
    };
    match result {
        Ok(()) => Ok(ExitCode::Expected),
        // The reader closed the pipe.
        Err(Failure::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Expected),
        Err(Failure::Write(e)) => Err(e).context("cannot write to the standard output"),
        Err(Failure::Read(e)) => Err(e).with_context(|| format!("cannot read {name}")),
    }
}
