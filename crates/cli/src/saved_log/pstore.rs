//! The log as Linux shows it after the reset, below `/sys/fs/pstore`: the ring of its
//! console, or several records, in order; or as systemd-pstore keeps it, which empties that
//! directory as a machine boots.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

use crate::whole_file;

/// What the kernel's own records begin with: `Panic#1 Part1`.
const OF_A_CRASH: [&str; 5] = ["Panic#", "Oops#", "Emergency#", "Shutdown#", "Unknown#"];

/// How deep a folder is searched: systemd-pstore has one for each boot.
const DEEPEST: u32 = 2;

/// A file of pstore's.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    folder: PathBuf,
    /// Is it one of several records, rather than the console's ring?
    is_record: bool,
    number: u32,
    path: PathBuf,
}

/// The image's log out of a folder of pstore's files; the records of a crash are passed
/// over.
///
/// # Errors
/// A file cannot be read, or the folder has none that may be the image's.
pub fn read(folder: &Path, largest: u64) -> anyhow::Result<Vec<u8>> {
    let mut files = Vec::new();
    gather(folder, DEEPEST, &mut files)?;
    files.sort();
    let mut log = Vec::new();
    for Found {
        is_record, path, ..
    } in files
    {
        let bytes = whole_file::read(&path, largest).with_context(|| path.display().to_string())?;
        let mut words = OF_A_CRASH.iter();
        if is_record && words.any(|word| bytes.starts_with(word.as_bytes())) {
            continue;
        }
        log.extend(bytes);
        if !is_record {
            log.push(b'\n');
        }
    }
    ensure!(
        !log.is_empty(),
        "no log of stalecore's is in it; allowed: a file, or a folder with console-ramoops-0 or \
         dmesg-ramoops-0, as /sys/fs/pstore, or /var/lib/systemd/pstore, where systemd-pstore \
         takes them as a machine boots"
    );
    Ok(log)
}

/// What is called as pstore calls it, here and in the folders below. A file alone: a pipe
/// of that name has nobody who writes.
fn gather(folder: &Path, deep: u32, found: &mut Vec<Found>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if deep > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            gather(&path, deep - 1, found).with_context(|| path.display().to_string())?;
            continue;
        }
        let name = entry.file_name();
        let number =
            |kind: &str| -> Option<u32> { name.to_str()?.strip_prefix(kind)?.parse().ok() };
        let place = number("console-ramoops-")
            .map(|nth| (false, nth))
            .or_else(|| number("dmesg-ramoops-").map(|nth| (true, nth)));
        if let Some((is_record, number)) = place
            && path.is_file()
        {
            found.push(Found {
                folder: folder.to_path_buf(),
                is_record,
                number,
                path,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn records_are_joined_in_order_and_those_of_a_crash_passed_over() {
        let dir = folder(&[
            ("dmesg-ramoops-0", "# {\"ca"),
            ("dmesg-ramoops-1", "Panic#1 Part1\n<0>[ 9.1] Kernel panic\n"),
            ("dmesg-ramoops-2", "se\":1}\n"),
            ("dmesg-ramoops-10", "# last\n"),
            ("dmesg-efi_pstore-1", "not ramoops\n"),
        ]);
        let log = read(dir.path(), 1 << 20).unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), "# {\"case\":1}\n# last\n");
    }

    #[test]
    fn a_console_is_a_log_of_its_own() {
        let dir = folder(&[
            ("console-ramoops-0", "TAP version 14\n"),
            ("pmsg-ramoops-0", "x"),
        ]);
        let log = read(dir.path(), 1 << 20).unwrap();
        assert_eq!(log, b"TAP version 14\n\n");
    }

    #[test]
    fn what_systemd_pstore_has_taken_is_found_and_a_pipe_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        for (id, text) in [("1700", "second\n"), ("1600", "first\n")] {
            let folder = dir.path().join("pstore").join(id);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("console-ramoops-0"), text).unwrap();
        }
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            dir.path().join("console-ramoops-0"),
            rustix::fs::Mode::RUSR,
        )
        .unwrap();
        let log = read(dir.path(), 1 << 20).unwrap();
        assert_eq!(log, b"first\n\nsecond\n\n");
    }

    #[test]
    fn a_folder_without_one_is_refused() {
        let crash = ("dmesg-ramoops-0", "Oops#1 Part1\n");
        for files in [&[][..], &[crash]] {
            let why = read(folder(files).path(), 1 << 20).unwrap_err();
            for part in ["console-ramoops-0", "/var/lib/systemd/pstore"] {
                assert!(why.to_string().contains(part), "{why}");
            }
        }
    }
}
