//! `stalecore report`: reads runs and writes the page that [`stalecore_report`]
//! draws from them.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use stalecore_model::{exit::ExitCode, run::Run};
pub use stalecore_report::FILE;

use crate::{stdout, store, whole_file};

/// A page names what made it within this many bytes.
const HEAD: u64 = 4096;

/// Draw a run's report again from its run.json, or several runs side by side.
#[derive(clap::Args)]
pub struct Args {
    /// Directories of runs, or their run.json files.
    #[arg(required = true, value_name = "DIR", value_hint = clap::ValueHint::AnyPath)]
    runs: Vec<PathBuf>,
    /// Where to write the page; for one run the default is report.html beside
    /// its run.json, for several it is ./report.html. A file that is already there must be a
    /// page of stalecore's.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
}

/// Runs the command: draws the page and prints where it is.
///
/// # Errors
/// A run that cannot be read, a page that cannot be written, or another file in
/// its place.
pub fn run(args: &Args) -> Result<ExitCode> {
    let runs = args
        .runs
        .iter()
        .map(|path| store::read(path))
        .collect::<Result<Vec<_>>>()?;
    let out = match (&args.out, args.runs.as_slice()) {
        (Some(path), _) => path.clone(),
        (None, [one]) if one.is_dir() => one.join(FILE),
        (None, [one]) => one.with_file_name(FILE),
        (None, _) => PathBuf::from(FILE),
    };
    if !may_replace(&out) {
        bail!(
            "--out: {} is there and is no page of stalecore's; allowed: a new file, or a page to \
             be replaced",
            out.display()
        );
    }
    // A pipe may be named by a link (/dev/stdout); nothing is lost there.
    match fs::metadata(&out).is_ok_and(|there| !there.is_file()) {
        true => whole_file::write(&out, stalecore_report::page(&runs).as_bytes())?,
        false => write_html(&runs, &out)?,
    }
    stdout::print(&format!("{}\n", out.display()))?;
    Ok(ExitCode::Expected)
}

/// Is nothing lost when this file is replaced?
fn may_replace(path: &Path) -> bool {
    if !fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0) {
        return true;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && String::from_utf8_lossy(&head).contains(stalecore_report::GENERATOR)
}

/// Draws the runs as one page and writes it to `path`.
///
/// # Errors
/// What the file system refuses, with the path.
pub fn write_html(runs: &[Run], path: &Path) -> Result<()> {
    whole_file::write_here(path, stalecore_report::page(runs).as_bytes())
}
