//! What is under way, on the disk before it runs: should the machine go down with it, the
//! next start can tell what it was.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

/// The file, beside `run.json`; there is none once a run has ended in order.
pub const FILE: &str = "in-flight";

/// How the line of a case ends that stood still for its deadline.
pub const BLOCKED: &str = ", blocked";

/// Where what is under way is written.
pub struct Flight {
    file: File,
}

impl Flight {
    /// Begins, in the directory of a run.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn begin(dir: &Path) -> io::Result<Self> {
        let file = File::create(dir.join(FILE))?;
        // The name is on the disk only with its directory.
        File::open(dir)?.sync_all()?;
        Ok(Self { file })
    }

    /// Writes one line in place of the last, and waits until it is on the disk.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        // In one piece, and what was longer is covered.
        let whole = format!("{line:<200}\n");
        self.file.write_all(whole.as_bytes())?;
        self.file.set_len(whole.len() as u64)?;
        self.file.sync_data()
    }

    /// Nothing is under way any more.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn end(dir: &Path) -> io::Result<()> {
        match fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What a run that did not end has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// What was under way, in words.
    pub what: String,
    /// The number of its case.
    pub case: Option<u32>,
    /// Had it been seen to stand still for its deadline?
    pub blocked: bool,
}

impl Left {
    /// Reads it, in the directory of a run; `None` where there is nothing.
    pub fn read(dir: &Path) -> Option<Self> {
        // No line of ours is longer.
        let bytes = fs::read(dir.join(FILE)).ok()?;
        let text = String::from_utf8_lossy(bytes.get(..4096).unwrap_or(&bytes)).into_owned();
        let what = text.lines().next().unwrap_or_default().trim();
        let number = what.strip_prefix("case ").map(|rest| {
            let digits = rest.find(|c: char| !c.is_ascii_digit());
            &rest[..digits.unwrap_or(rest.len())]
        });
        Some(Self {
            blocked: what.ends_with(BLOCKED),
            case: number.and_then(|number| number.parse().ok()),
            what: match what {
                "" => "no case yet".into(),
                what => what.chars().filter(|c| !c.is_control()).collect(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_under_way_is_told() {
        let dir = std::env::temp_dir().join(format!("stalecore-flight-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(Left::read(&dir), None);
        let mut flight = Flight::begin(&dir).unwrap();
        assert_eq!(Left::read(&dir).unwrap().what, "no case yet");
        flight
            .write("case 12, ic-ivau under spin, a long tail of words")
            .unwrap();
        flight.write("case 7, dc-civac under wfe").unwrap();
        let left = Left::read(&dir).unwrap();
        assert_eq!(left.case, Some(7));
        assert_eq!(left.what, "case 7, dc-civac under wfe");
        Flight::end(&dir).unwrap();
        assert_eq!(Left::read(&dir), None);
        fs::remove_dir_all(&dir).unwrap();
    }
}
