//! Finds the emulator and asks for its version.

use std::{
    ffi::OsString,
    fmt,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{bail, ensure};

use super::child::Child;

/// The emulator when none is asked for.
const NAME: &str = "qemu-system-aarch64";

/// The oldest version that the machine and the image were tried with.
const OLDEST: (u32, u32) = (7, 2);

/// An emulator that can be used.
pub struct Qemu {
    /// What to run.
    pub program: PathBuf,
    /// Its version, like `7.2.22`.
    pub version: String,
    /// Its major and minor version.
    number: (u32, u32),
}

impl Qemu {
    /// Checks that the emulator is there and recent enough.
    ///
    /// # Errors
    /// Missing, not QEMU, or too old.
    pub fn find(asked: Option<&Path>) -> anyhow::Result<Self> {
        let program = asked.map_or_else(|| PathBuf::from(NAME), Path::to_path_buf);
        let said = match first_words(&program) {
            Ok(said) => said,
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "{} not found; on Debian and Ubuntu: apt-get install qemu-system-arm",
                program.display()
            ),
            Err(error) => bail!("{}: {error}", program.display()),
        };
        let Some(version) = version_in(&said) else {
            bail!(
                "{} --version does not answer as QEMU does",
                program.display()
            );
        };
        ensure!(
            (version.major, version.minor) >= OLDEST,
            "{} is QEMU {version}; allowed: {}.{} and newer",
            program.display(),
            OLDEST.0,
            OLDEST.1
        );
        Ok(Self {
            version: version.to_string(),
            number: (version.major, version.minor),
            program,
        })
    }

    /// Is it that version or a newer one?
    pub fn is_at_least(&self, version: (u32, u32)) -> bool {
        self.number >= version
    }
}

/// What `--version` prints, at most 4 KiB of it, within ten seconds.
fn first_words(program: &Path) -> std::io::Result<String> {
    let (mut child, stdout, _) = Child::start(program, &[OsString::from("--version")])?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(4096).read_to_end(&mut text);
        read.map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    child.wait(Duration::from_secs(10))?;
    // With its group killed, nobody holds the pipe open any more.
    drop(child);
    reader.join().unwrap_or_else(|_| Ok(String::new()))
}

#[derive(Debug, PartialEq, Eq)]
struct Version {
    major: u32,
    minor: u32,
    rest: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.major, self.minor, self.rest)
    }
}

/// Reads `QEMU emulator version 7.2.22 (Debian …)`.
fn version_in(said: &str) -> Option<Version> {
    let word = said.split_once("QEMU emulator version ")?.1;
    let word = word.split_whitespace().next()?;
    let (major, tail) = word.split_once('.')?;
    let digits = tail.find(|c: char| !c.is_ascii_digit());
    let (minor, rest) = tail.split_at(digits.unwrap_or(tail.len()));
    Some(Version {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        rest: rest.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let read = |text: &str| version_in(text).map(|v| (v.major, v.minor, v.to_string()));
        assert_eq!(
            read("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright"),
            Some((7, 2, "7.2.22".into()))
        );
        assert_eq!(
            read("QEMU emulator version 10.0-rc1"),
            Some((10, 0, "10.0-rc1".into()))
        );
        assert_eq!(read("qemu-img version 7.2.22"), None);
        assert_eq!(read("QEMU emulator version seven"), None);
    }
}
