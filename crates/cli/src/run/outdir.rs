//! The directory that a run leaves: `run.json`, `console.log`, `junit.xml`,
//! `report.html`.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::Deserialize;
use stalecore_model::run::Run;

use crate::{junit, report, store, whole_file};

/// Where the numbered directories lie when none is asked for.
const DEFAULT: &str = "stalecore-out";

/// The console, byte for byte.
pub const CONSOLE: &str = "console.log";

/// All registers of a machine that fell silent.
pub const REGISTERS: &str = "registers.txt";

/// A directory that can be written to, holds nobody else's files, and belongs to
/// this run alone while this value lives.
pub struct OutDir {
    path: PathBuf,
    _lock: File,
}

impl OutDir {
    /// Opens the directory asked for, or makes the next numbered one.
    ///
    /// # Errors
    /// It cannot be made or written, holds something that is not ours, or
    /// another run is writing into it.
    pub fn open(asked: Option<&Path>) -> anyhow::Result<Self> {
        let path = match asked {
            Some(path) => {
                // A link to nothing is there, and no directory either.
                if path.symlink_metadata().is_ok() && !path.is_dir() {
                    bail!(
                        "--out: {} is there and no directory; allowed: a new or empty directory, or \
                         one that a run left",
                        path.display()
                    );
                }
                fs::create_dir_all(path).with_context(|| format!("--out: {}", path.display()))?;
                path.to_path_buf()
            }
            None => next_numbered(Path::new(DEFAULT))?,
        };
        let name = || format!("--out: {}", path.display());
        let lock = File::open(&path).with_context(name)?;
        lock_alone(&lock, &path)?;
        for file in fs::read_dir(&path).with_context(name)?.flatten() {
            if is_named_by_us(&file.file_name()) {
                whole_file::no_link(&file.path()).context("--out")?;
            }
        }
        let mut files = fs::read_dir(&path).with_context(name)?;
        if let Some(file) = files.next().transpose().with_context(name)?
            && !is_ours(&path)
        {
            bail!(
                "--out: {} is there and no run of stalecore left it; allowed: a new or empty \
                 directory, or one that a run left",
                file.path().display()
            );
        }
        Ok(Self { path, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of one boot of several.
    pub fn boot(&self, nth: usize) -> PathBuf {
        store::boot(&self.path, nth)
    }

    /// Opens the console's log after its first `kept` bytes, which a run that is
    /// resumed has left; the rest of it goes.
    ///
    /// # Errors
    /// Names the file.
    pub fn console(&self, kept: u64) -> anyhow::Result<File> {
        let path = self.path.join(CONSOLE);
        let name = || path.display().to_string();
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let mut file = options.open(&path).with_context(name)?;
        // Where a file system has no locks for directories (NFS), this one holds.
        lock_alone(&file, &self.path)?;
        file.set_len(kept).with_context(name)?;
        file.seek(SeekFrom::End(0)).with_context(name)?;
        Ok(file)
    }

    /// Cuts the log after its first `kept` bytes.
    ///
    /// # Errors
    /// Names the file.
    pub fn cut_console(&self, kept: u64) -> anyhow::Result<()> {
        let path = self.path.join(CONSOLE);
        let mut options = OpenOptions::new();
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let file = options.write(true).open(&path);
        let cut = file.and_then(|file| file.set_len(kept));
        cut.with_context(|| path.display().to_string())
    }

    /// Writes all the records, or leaves the file as it was.
    ///
    /// # Errors
    /// Names the file.
    pub fn save(&self, run: &Run) -> anyhow::Result<()> {
        store::write(run, &self.path).map(drop)
    }

    /// Writes what is made from the records, for people and for CI systems; if one
    /// file fails, the other is still tried.
    ///
    /// # Errors
    /// A line for each that could not be written.
    pub fn draw(&self, run: &Run) -> Result<(), Vec<String>> {
        let page = report::write_html(std::slice::from_ref(run), &self.path.join(report::FILE));
        let junit = junit::write(run, &self.path.join(junit::FILE));
        let errors: Vec<_> = [page, junit]
            .into_iter()
            .filter_map(Result::err)
            .map(|error| format!("{error:#}"))
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

/// Locks a file or directory for this process.
///
/// # Errors
/// Another run has it. A file system without locks is no error.
fn lock_alone(file: &File, dir: &Path) -> anyhow::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => bail!(
            "--out: another run is writing into {}; allowed: a directory of its own, or to wait",
            dir.display()
        ),
        _ => Ok(()),
    }
}

/// May a run write a file or a directory of this name?
fn is_named_by_us(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    [store::FILE, CONSOLE, report::FILE, junit::FILE, REGISTERS].contains(&&*name)
        || name.starts_with("boot-")
}

/// Did a run of stalecore leave this directory?
fn is_ours(dir: &Path) -> bool {
    #[derive(Deserialize)]
    struct Marks {
        #[serde(rename = "schema")]
        _schema: u32,
        #[serde(rename = "machine_command")]
        _machine_command: Vec<String>,
    }
    store::bytes(&dir.join(store::FILE))
        .is_ok_and(|bytes| serde_json::from_slice::<Marks>(&bytes).is_ok())
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
        open().unwrap().console(0).unwrap();
        // Also with a file that somebody has put there since.
        fs::write(dir.path().join("notes"), "").unwrap();
        open().unwrap();
        fs::remove_file(dir.path().join("notes")).unwrap();
        fs::write(dir.path().join(store::FILE), "{\"schema\": \"mine\"}").unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains(" is there and no run"), "{error}");
        fs::remove_file(dir.path().join(store::FILE)).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("console.log is there"), "{error}");
    }

    #[test]
    fn two_runs_do_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let open = || OutDir::open(Some(dir.path()));
        let first = open().unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("another run is writing into"), "{error}");
        let log = first.console(0).unwrap();
        assert!(first.console(0).is_err());
        drop((first, log));
        fs::remove_file(dir.path().join(CONSOLE)).unwrap();
        open().unwrap();
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let elsewhere = tempfile::tempdir().unwrap();
        let precious = elsewhere.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        for name in [
            store::FILE,
            CONSOLE,
            report::FILE,
            junit::FILE,
            REGISTERS,
            "boot-1",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let open = || OutDir::open(Some(dir.path()));
            let out = open().unwrap();
            out.save(&Run::default()).unwrap();
            let link = dir.path().join(name);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&precious, &link).unwrap();
            // Put there while the run goes on.
            let refused = [
                out.save(&Run::default()).is_err(),
                out.console(0).is_err(),
                out.cut_console(0).is_err(),
                out.draw(&Run::default()).is_err(),
            ];
            let expected = match name {
                store::FILE => [true, false, false, false],
                CONSOLE => [false, true, true, false],
                report::FILE | junit::FILE => [false, false, false, true],
                _ => [false; 4],
            };
            assert_eq!(refused, expected, "{name}");
            drop(out);
            // Found there before it begins.
            let error = format!("{:#}", open().err().unwrap());
            assert!(error.contains("is a symbolic link"), "{error}");
            assert_eq!(fs::read(&precious).unwrap(), b"mine", "{name}");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_directory_is_refused_with_what_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("f"), dir.path().join("l"));
        fs::write(&file, "mine").unwrap();
        std::os::unix::fs::symlink(dir.path().join("nothing"), &link).unwrap();
        for path in [&file, &link] {
            let error = OutDir::open(Some(path)).err().unwrap().to_string();
            let said = error.contains("no directory; allowed: a new or empty directory");
            assert!(
                said && error.contains(&path.display().to_string()),
                "{error}"
            );
        }
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }

    #[test]
    fn somebody_s_folder_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let error = OutDir::open(Some(dir.path())).err().unwrap().to_string();
        assert!(error.contains("thesis.tex is there"), "{error}");
    }
}
