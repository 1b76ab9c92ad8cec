//! An emulator that is a shell script, and the command run on it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use stalecore_model::run::Run;
use tempfile::TempDir;

/// A directory with a fake emulator, a fake image and room for the results.
pub struct Fake {
    dir: TempDir,
}

impl Fake {
    /// An emulator that prints `console`, then does what `then` says in shell.
    pub fn new(console: impl AsRef<[u8]>, then: &str) -> Self {
        let fake = Self::answering("QEMU emulator version 7.2.22 (Debian)", then);
        fs::write(fake.path("console"), console).unwrap();
        fake
    }

    /// An emulator that gives this answer when asked for its version.
    pub fn answering(version: &str, then: &str) -> Self {
        let fake = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let here = fake.dir.path().display().to_string();
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n\
             echo $$ >{here}/pid\ntest -f {here}/console && cat {here}/console\n{then}\n"
        );
        fs::write(fake.path("script"), script).unwrap();
        // If this process wrote it, a child that another test is just forking could
        // hold it open, and it could not be run.
        let mut install = Command::new("install");
        install.args(["-m", "755"]);
        install.args([fake.path("script"), fake.path("qemu")]);
        assert!(install.status().unwrap().success());
        let mut image = vec![0; 0x100];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image[0x10..0x12].copy_from_slice(&0x100_u16.to_le_bytes());
        fs::write(fake.path("image"), image).unwrap();
        fake
    }

    /// A file of the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `stalecore run` on the fake emulator, into the directory `out`.
    pub fn command(&self, args: &str) -> Command {
        let mut command = stalecore();
        command
            .arg("run")
            .args(["--image".into(), self.path("image")])
            .args(["--qemu".into(), self.path("qemu")])
            .args(["--out".into(), self.path("out")])
            .args(args.split_whitespace());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &str) -> Ended {
        Ended::of(&mut self.command(args))
    }

    /// What it left in `run.json`.
    pub fn saved(&self) -> Run {
        serde_json::from_slice(&fs::read(self.path("out/run.json")).unwrap()).unwrap()
    }

    /// Is the emulator still running?
    pub fn alive(&self) -> bool {
        let pid = fs::read_to_string(self.path("pid")).unwrap();
        // Its state follows the name in brackets. A command line would not do: a
        // process has none for a moment, in the middle of an exec.
        fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).is_ok_and(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
        })
    }
}

/// The command that was built for these tests.
pub fn stalecore() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stalecore"));
    command.stdin(Stdio::null());
    command
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// The one line that names a mistake: the only one on standard error, with all of
    /// `parts` in it.
    #[track_caller]
    pub fn one_line(&self, parts: &[&str]) {
        let lines: Vec<_> = self.err.lines().collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        assert!(lines[0].starts_with("stalecore: "), "{self:?}");
        for part in parts {
            assert!(lines[0].contains(part), "'{part}' is missing: {self:?}");
        }
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
