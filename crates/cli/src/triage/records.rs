//! The records of a crash, as pstore's file system shows them and as systemd-pstore
//! or kdump keep them: in a folder, or in an archive of one.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use flate2::read::{DeflateDecoder, ZlibDecoder};

use super::archive;

/// The most bytes that the records may have together.
const LARGEST: usize = 64 << 20;

/// How deep a folder is searched.
const DEEPEST: u32 = 3;

/// A record: its name, with what it holds.
type Record = (PathBuf, Vec<u8>);

/// Those of a folder, one after the other. The reader puts their parts in order.
///
/// # Errors
/// There is none, one cannot be read, or they are too large: one line.
pub fn of_folder(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut found = Vec::new();
    gather(path, DEEPEST, &mut found)?;
    join(found, &path.display().to_string())
}

/// Those of an archive (tar), likewise.
///
/// # Errors
/// As of a folder, or it is damaged.
pub fn of_archive(archive: impl Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let found = archive::files(archive, LARGEST, is_record);
    join(found.with_context(|| format!("cannot read {name}"))?, name)
}

/// What a compressed record holds, up to any damage: pstore leaves compressed what
/// it could not unpack itself.
pub fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let bounded = |from: &mut dyn Read| {
        let mut text = Vec::new();
        // What comes before the damage is worth reading.
        let _ = from.take(LARGEST as u64).read_to_end(&mut text);
        text
    };
    // Kernels up to 4.18 write zlib's header, later ones none.
    let zlib = bounded(&mut ZlibDecoder::new(bytes));
    let text = match zlib.is_empty() {
        true => bounded(&mut DeflateDecoder::new(bytes)),
        false => zlib,
    };
    // Damage may make the end noise, but not most of the text.
    let printed = |b: &&u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    let printed = text.iter().filter(printed).count();
    (printed > 0 && printed >= text.len() / 8 * 7).then_some(text)
}

fn join(mut found: Vec<Record>, name: &str) -> anyhow::Result<Vec<u8>> {
    // A joined record holds everything that its parts hold.
    let joined: Vec<_> = found
        .iter()
        .filter(|(path, _)| is_joined(path))
        .filter_map(|(path, _)| path.parent().map(Path::to_path_buf))
        .collect();
    let beside = |path: &Path| {
        path.parent()
            .is_some_and(|at| joined.iter().any(|j| j == at))
    };
    found.retain(|(path, _)| is_joined(path) || !beside(path));
    found.sort();
    if found.is_empty() {
        bail!(
            "{name} holds no record of a crash (dmesg-*, dmesg.txt, vmcore-dmesg.txt, console-*)"
        );
    }
    let mut all = Vec::new();
    for (path, bytes) in found {
        let bytes = if is_compressed(&path) {
            inflated(&bytes).with_context(|| {
                format!(
                    "{}: cannot unpack it; only what pstore compressed by deflate can be read",
                    path.display()
                )
            })?
        } else {
            bytes
        };
        if all.len() + bytes.len() > LARGEST {
            bail!("{name} holds more than 64 MiB of records: name one file");
        }
        all.extend_from_slice(&bytes);
        if all.last().is_some_and(|b| *b != b'\n') {
            all.push(b'\n');
        }
    }
    Ok(all)
}

/// Did pstore leave it compressed?
pub fn is_compressed(file: &Path) -> bool {
    file.to_string_lossy().ends_with(".enc.z")
}

fn is_joined(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    name == "dmesg.txt" || name == "vmcore-dmesg.txt"
}

fn is_record(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    is_joined(file) || name.starts_with("dmesg-") || name.starts_with("console-")
}

fn gather(path: &Path, depth: u32, found: &mut Vec<Record>) -> anyhow::Result<()> {
    let failed = |path: &Path| format!("cannot read {}", path.display());
    for entry in fs::read_dir(path).with_context(|| failed(path))? {
        let entry = entry.with_context(|| failed(path))?.path();
        if entry.is_dir() {
            if depth > 0 {
                gather(&entry, depth - 1, found)?;
            }
        } else if is_record(&entry) {
            let bytes = bounded(&entry).with_context(|| failed(&entry))?;
            found.push((entry, bytes));
        }
    }
    Ok(())
}

/// A file, up to one byte more than all records may have.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
pub mod tests {
    use std::io::Write;

    use flate2::{Compression, write};
    use stalecore_triage::write_json;

    use super::*;

    pub const LOG: &str = include_str!("../../../../tests/triage/debian-6.12-oops.log");

    /// The log as pstore keeps it: in parts, the newest first.
    pub fn parts() -> Vec<(String, Vec<u8>)> {
        let lines: Vec<_> = LOG.lines().collect();
        let parts = lines.chunks(20).rev().zip(1..);
        parts
            .map(|(lines, n)| {
                let text = format!("Panic#1 Part{n}\n{}\n", lines.join("\n"));
                (
                    format!("dmesg-efi_pstore-17095287730{n:02}"),
                    text.into_bytes(),
                )
            })
            .collect()
    }

    pub fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut out = write::DeflateEncoder::new(Vec::new(), Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    /// What triage says about it that no line number changes: the signature and the command.
    pub fn read(log: &[u8]) -> (serde_json::Value, serde_json::Value) {
        let mut out = Vec::new();
        write_json(log, "log", &mut out).unwrap();
        let reading: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(reading["crash_count"], 1, "{reading}");
        let crash = &reading["crashes"][0];
        (crash["signature"].clone(), crash["command"].clone())
    }

    fn folder(files: &[(String, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    #[test]
    fn parts_in_a_folder_read_as_the_log_that_they_are_of() {
        let mut files = parts();
        files.push(("other".into(), b"x".into()));
        assert!(files.len() > 3);
        let folder = folder(&files);
        assert_eq!(
            read(&of_folder(folder.path()).unwrap()),
            read(LOG.as_bytes())
        );
    }

    #[test]
    fn compressed_parts_do_too() {
        let files: Vec<_> = parts()
            .into_iter()
            .map(|(name, bytes)| (format!("{name}.enc.z"), deflate(&bytes)))
            .collect();
        let folder = folder(&files);
        assert_eq!(
            read(&of_folder(folder.path()).unwrap()),
            read(LOG.as_bytes())
        );
    }

    #[test]
    fn a_cut_record_is_read_up_to_the_cut_and_noise_is_refused() {
        let mut zlib = write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(LOG.as_bytes()).unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(inflated(&zlib).unwrap(), LOG.as_bytes());
        let cut = inflated(&zlib[..zlib.len() / 2]).unwrap();
        assert!(!cut.is_empty() && LOG.as_bytes().starts_with(&cut));
        assert_eq!(inflated(b"\xff\xff\xff\xff no deflate"), None);
        let folder = folder(&[("dmesg-efi-1.enc.z".into(), b"\xff\xff\xff\xff".into())]);
        let error = of_folder(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("dmesg-efi-1.enc.z: cannot unpack it"),
            "{error}"
        );
    }

    #[test]
    fn what_was_joined_stands_for_its_parts() {
        let folder = folder(&[
            ("dmesg-efi-1".into(), b"Panic#1 Part1\nb".into()),
            ("dmesg-efi-2".into(), b"Panic#1 Part2\na\n".into()),
            ("1709528773/dmesg.txt".into(), b"whole\n".into()),
            ("1709528773/dmesg-efi-3".into(), b"part\n".into()),
        ]);
        let found = of_folder(folder.path()).unwrap();
        assert_eq!(found, b"whole\nPanic#1 Part1\nb\nPanic#1 Part2\na\n");
    }

    #[test]
    fn an_archive_reads_as_its_folder_does() {
        let files: Vec<_> = parts()
            .into_iter()
            .map(|(name, bytes)| (format!("sys/fs/pstore/{name}"), bytes))
            .collect();
        let archive = archive::tests::tar(&files);
        let found = of_archive(&archive[..], "pstore.tar").unwrap();
        assert_eq!(read(&found), read(LOG.as_bytes()));
        let kdump = archive::tests::tar(&[
            ("127.0.0.1-2024-03-04/vmcore".into(), vec![0; 3 << 20]),
            ("127.0.0.1-2024-03-04/vmcore-dmesg.txt".into(), LOG.into()),
        ]);
        let found = of_archive(&kdump[..], "crash.tar").unwrap();
        assert_eq!(read(&found), read(LOG.as_bytes()));
        let other = archive::tests::tar(&[("a".into(), b"x".into())]);
        let error = of_archive(&other[..], "a.tar").unwrap_err().to_string();
        assert!(
            error.contains("a.tar holds no record of a crash"),
            "{error}"
        );
        let error = of_archive(&kdump[..3 << 19], "cut.tar")
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot read cut.tar"), "{error}");
    }
}
