//! `stalecore read`: a board's log that another program has saved, judged as if
//! it came over the line.

mod capture;
mod prefix;
mod pstore;
mod text;

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use stalecore_model::{
    exit::ExitCode,
    run::{Run, SerialLine},
};

use crate::{
    run::{
        OutputArgs, conclude,
        judge::Ending,
        outdir::OutDir,
        progress::Progress,
        session::{self, Session},
        watch::Stop,
    },
    serial, whole_file,
};
use capture::{Captured, capture};

/// The most that is read: days of a board that talks all the time.
const LARGEST: u64 = 256 << 20;

/// Read a board's log that another program has saved, give its verdict
#[derive(clap::Args)]
pub struct Args {
    /// A log saved by minicom, picocom, screen, tio, conserver, `ts` or a BMC, or - for standard
    /// input; stamps before each line, colours and wrapped lines do not matter, and gzip may
    /// have packed it. Or a folder like /sys/fs/pstore, with what --ramoops on has left there
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Which run of a log that has several, from 1 [default: the last]
    #[arg(long, value_name = "N", value_parser = nth)]
    nth: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Which run.
///
/// # Errors
/// What is allowed.
fn nth(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "allowed: 1, the first run in the log, and upwards".into())
}

/// Reads the log and gives the exit code.
///
/// # Errors
/// The file cannot be read or holds no run, or the results cannot be saved.
pub fn read(args: &Args) -> anyhow::Result<ExitCode> {
    let name = match args.file.as_os_str() == "-" {
        true => "standard input".into(),
        false => args.file.display().to_string(),
    };
    let bytes = text::unpacked(bytes(&args.file).with_context(|| name.clone())?, LARGEST)
        .with_context(|| name.clone())?;
    let log = capture(&bytes);
    let count = log.runs.len();
    if count == 0 {
        bail!(
            "{name}: no line of stalecore's is in it; allowed: the log of a board that ran it \
             (a kernel's log is for stalecore triage)"
        );
    }
    let nth = args.nth.map_or(count, |nth| nth as usize);
    ensure!(
        nth <= count,
        "--nth: {nth} of {name}; allowed: 1 to {count}"
    );
    let out = OutDir::open(args.output.out.as_deref())?;
    let run = Run {
        machine_command: vec![args.file.display().to_string()],
        host: format!("log {name}"),
        ..session::begun()
    };
    out.save(&run)?;
    let mut session = Session::new(run, out.console(0)?, Progress::silent());
    session.take(&log.runs[nth - 1]);
    session.finish();
    session.run.emulated = serial::is_emulated(&session.run);
    session.run.notes.extend(notes(&log, nth));
    let line = SerialLine {
        garbled_bytes: session.garbled_bytes,
        ..SerialLine::default()
    };
    let odd = serial::notes(&line, session.run.restarts);
    session.run.notes.extend(odd);
    session.run.serial = Some(line);
    let ending = Ending::of(Stop::LogEnds, &mut session);
    conclude::conclude(session, &ending, None, &out, &args.output)
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.is_dir() {
        return pstore::read(path, LARGEST);
    }
    if path != Path::new("-") {
        return whole_file::read(path, LARGEST);
    }
    let mut bytes = Vec::new();
    std::io::stdin().take(LARGEST + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= LARGEST,
        "larger than {} MiB",
        LARGEST >> 20
    );
    Ok(bytes)
}

/// What was undone, for whoever compares this with the log.
fn notes(log: &Captured, nth: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if log.runs.len() > 1 {
        notes.push(format!(
            "host: the log has {} runs, this is number {nth}; --nth names another",
            log.runs.len()
        ));
    }
    if let Some(prefix) = &log.prefix {
        notes.push(format!(
            "host: the log's lines begin with a stamp like '{prefix}', which is no part of the \
             console"
        ));
    }
    match log.mended {
        0 => {}
        1 => notes.push("host: 1 record that a terminal had wrapped was put together".into()),
        n => notes.push(format!(
            "host: {n} records that a terminal had wrapped were put together"
        )),
    }
    notes
}
