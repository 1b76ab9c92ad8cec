//! `stalecore report`: reads runs and writes the page that [`stalecore_report`]
//! draws of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use stalecore_model::{exit::ExitCode, run::Run};
pub use stalecore_report::FILE;

use crate::{stdout, store};

/// Draw a run's report again from its run.json, or several runs side by side.
#[derive(clap::Args)]
pub struct Args {
    /// Directories of runs, or their run.json files.
    #[arg(required = true, value_name = "DIR", value_hint = clap::ValueHint::AnyPath)]
    runs: Vec<PathBuf>,
    /// Where to write the page; for one run the default is report.html beside
    /// its run.json, for several it is ./report.html.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
}

/// Runs the command: draws the page and prints where it is.
///
/// # Errors
/// A run that cannot be read, or a page that cannot be written.
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
    write_html(&runs, &out)?;
    stdout::print(&format!("{}\n", out.display()))?;
    Ok(ExitCode::Expected)
}

/// Draws the runs as one page and writes it to `path`.
///
/// # Errors
/// What the file system refuses, with the path.
pub fn write_html(runs: &[Run], path: &Path) -> Result<()> {
    fs::write(path, stalecore_report::page(runs))
        .with_context(|| format!("cannot write {}", path.display()))
}
