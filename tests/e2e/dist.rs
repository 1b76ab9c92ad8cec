//! The built image, run in QEMU by the built command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use stalecore_model::run::Run;
use tempfile::TempDir;

use crate::{fake::Ended, host::shares};

/// A file that `make build` leaves.
pub fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../dist")
        .join(name);
    assert!(path.exists(), "{} is missing: make build", path.display());
    path
}

/// A run that has ended.
pub struct Booted {
    /// Its exit code and what it said.
    pub ended: Ended,
    /// Its records.
    pub run: Run,
    /// How long it took.
    pub took: Duration,
    dir: TempDir,
}

impl Booted {
    /// `stalecore run` with these arguments, on the image of `dist/`.
    pub fn new(args: &str) -> Self {
        Self::with(args, |_| {})
    }

    /// The same, with the command changed further. Fails where a core of the machine
    /// took no part: the run goes on without it, and no test would notice.
    pub fn with(args: &str, change: impl FnOnce(&mut Command)) -> Self {
        let booted = Self::with_odd_cores(args, change);
        assert!(booted.run.absent.is_empty(), "{:?}", booted.run.absent);
        let odd = booted
            .run
            .notes
            .iter()
            .find(|n| n.contains("takes no interrupt"));
        assert_eq!(odd, None);
        booted
    }

    /// The same, on a machine where cores are missing or odd.
    pub fn with_odd_cores(args: &str, change: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Finds the image beside itself.
        let mut command = Command::new(built("stalecore"));
        built("stalecore.img");
        command
            .stdin(Stdio::null())
            .arg("run")
            .args(["--out".as_ref(), dir.path().as_os_str()])
            .args(args.split_whitespace());
        // Before whoever changes the command begins to wait for what it does.
        let shares = shares(args);
        change(&mut command);
        let begin = Instant::now();
        let ended = Ended::of(&mut command);
        let took = begin.elapsed();
        drop(shares);
        let records = fs::read(dir.path().join("run.json"))
            .unwrap_or_else(|error| panic!("{args}: {error}: {ended:?}"));
        Self {
            run: serde_json::from_slice(&records).unwrap(),
            ended,
            took,
            dir,
        }
    }

    /// The console as it came.
    pub fn console(&self) -> String {
        self.file("console.log")
    }

    /// Does it say that some case had no time for all its samples?
    pub fn says_fewer_samples(&self) -> bool {
        self.run.notes.iter().any(|n| n.contains("fewer samples"))
    }

    /// A text file that it left.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The page that was drawn.
    pub fn report(&self) -> String {
        fs::read_to_string(self.dir.path().join("report.html")).unwrap()
    }

    /// Fails unless the run ended with this code, and all of `parts` are in its
    /// result.
    #[track_caller]
    pub fn ends(self, code: i32, parts: &[&str]) -> Self {
        let Self { ended, .. } = &self;
        assert_eq!(ended.code, code, "{}\n{}", ended.err, ended.out);
        // It does not matter where a line is folded.
        let folded: Vec<_> = ended.out.split_whitespace().collect();
        let folded = folded.join(" ");
        for part in parts {
            assert!(folded.contains(part), "'{part}' is missing: {}", ended.out);
        }
        self
    }
}
