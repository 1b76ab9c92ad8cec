//! What the tests share: a made-up run on disk, and the built command.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::synthetic::{self, Shape};

/// A directory with the run.json of a made-up run.
pub fn run_of(shape: &Shape) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let run = synthetic::run(shape);
    let text = serde_json::to_vec(&run).expect("a run is JSON");
    fs::write(dir.path().join("run.json"), text).expect("run.json");
    dir
}

/// The built command.
pub fn stalecore() -> Command {
    Command::new(env!("CARGO_BIN_EXE_stalecore"))
}

/// Draws the report of a run and reads it.
pub fn report(dir: &Path) -> String {
    let done = stalecore()
        .arg("report")
        .arg(dir)
        .output()
        .expect("started");
    assert!(done.status.success(), "{}", errors(&done));
    fs::read_to_string(dir.join("report.html")).expect("report.html")
}

/// What a command wrote to standard error.
pub fn errors(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}
