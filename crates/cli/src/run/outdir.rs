//! The directory that a run leaves: `run.json`, `console.log`, `report.html`.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::Deserialize;
use stalecore_model::run::Run;

use crate::{report, store};

/// Where the numbered directories lie when none is asked for.
const DEFAULT: &str = "stalecore-out";

/// What a run writes.
const RECORDS: &str = store::FILE;
const CONSOLE: &str = "console.log";
const REPORT: &str = report::FILE;

/// A directory that can be written to, and holds nobody else's files of those
/// names.
pub struct OutDir {
    path: PathBuf,
}

impl OutDir {
    /// Opens the directory asked for, or makes the next numbered one.
    ///
    /// # Errors
    /// It cannot be made or written, or holds something that is not ours.
    pub fn open(asked: Option<&Path>) -> anyhow::Result<Self> {
        let path = match asked {
            Some(path) => {
                fs::create_dir_all(path).with_context(|| format!("--out: {}", path.display()))?;
                path.to_path_buf()
            }
            None => next_numbered(Path::new(DEFAULT))?,
        };
        let out = Self { path };
        if !out.is_ours() {
            for name in [RECORDS, CONSOLE, REPORT] {
                let file = out.path.join(name);
                if file.symlink_metadata().is_ok() {
                    bail!(
                        "--out: {} is there and no run of stalecore left it; \
                         allowed: a new or empty directory, or one that a run left",
                        file.display()
                    );
                }
            }
        }
        Ok(out)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins the console's log.
    ///
    /// # Errors
    /// Names the file.
    pub fn console(&self) -> anyhow::Result<File> {
        let path = self.path.join(CONSOLE);
        File::create(&path).with_context(|| path.display().to_string())
    }

    /// Writes the records: all of them, or none and the file stays as it was.
    ///
    /// # Errors
    /// Names the file.
    pub fn save(&self, run: &Run) -> anyhow::Result<()> {
        store::write(run, &self.path).map(drop)
    }

    /// Did a run of stalecore leave this directory?
    fn is_ours(&self) -> bool {
        #[derive(Deserialize)]
        struct Marks {
            #[serde(rename = "schema")]
            _schema: u32,
            #[serde(rename = "machine_command")]
            _machine_command: Vec<String>,
        }
        fs::read(self.path.join(RECORDS))
            .is_ok_and(|bytes| serde_json::from_slice::<Marks>(&bytes).is_ok())
    }
}

fn next_numbered(parent: &Path) -> anyhow::Result<PathBuf> {
    let name = || format!("--out: {}", parent.display());
    fs::create_dir_all(parent).with_context(name)?;
    let mut last = 0_u64;
    for entry in fs::read_dir(parent).with_context(name)? {
        let number = entry.with_context(name)?.file_name();
        let number = number.to_str().and_then(|n| n.parse::<u32>().ok());
        last = last.max(number.unwrap_or(0).into());
    }
    // Another run may take the number in between; then the next one is ours.
    loop {
        last += 1;
        let path = parent.join(last.to_string());
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path).with_context(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_up() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("runs");
        assert!(next_numbered(&parent).unwrap().ends_with("1"));
        fs::create_dir(parent.join("9")).unwrap();
        fs::create_dir(parent.join("last")).unwrap();
        assert!(next_numbered(&parent).unwrap().ends_with("10"));
    }

    #[test]
    fn a_run_s_directory_is_used_again_and_nobody_else_s() {
        let dir = tempfile::tempdir().unwrap();
        let open = || OutDir::open(Some(dir.path()));
        open().unwrap().save(&Run::default()).unwrap();
        open().unwrap().console().unwrap();
        fs::write(dir.path().join(RECORDS), "{\"schema\": \"mine\"}").unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("run.json is there"), "{error}");
        fs::remove_file(dir.path().join(RECORDS)).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("console.log is there"), "{error}");
    }
}
