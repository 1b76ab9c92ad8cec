//! The records of a crash in a folder: what pstore's file system shows, or what
//! systemd-pstore or kdump keeps of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// What the files of a folder may measure together, in bytes.
const LARGEST: u64 = 64 << 20;

/// The records, one behind the other. Their parts are put in order where they are
/// read.
///
/// # Errors
/// There is none, one cannot be read, or they are too large: one line.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut files = Vec::new();
    gather(path, 3, &mut files)?;
    // A joined record holds what its parts do.
    let joined: Vec<_> = files.iter().filter(|f| is_joined(f)).cloned().collect();
    let apart = |f: &PathBuf| is_joined(f) || !joined.iter().any(|j| j.parent() == f.parent());
    files.retain(apart);
    files.sort();
    if files.is_empty() {
        bail!(
            "{} holds no record of a crash (dmesg-*, dmesg.txt, vmcore-dmesg.txt, console-*)",
            path.display()
        );
    }
    let mut all = Vec::new();
    for file in &files {
        let shown = file.display();
        let size = file
            .metadata()
            .with_context(|| format!("cannot read {shown}"))?
            .len();
        if all.len() as u64 + size > LARGEST {
            bail!(
                "{} holds more than 64 MiB of records: name one file",
                path.display()
            );
        }
        all.append(&mut fs::read(file).with_context(|| format!("cannot read {shown}"))?);
        if all.last().is_some_and(|b| *b != b'\n') {
            all.push(b'\n');
        }
    }
    Ok(all)
}

fn is_joined(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    name == "dmesg.txt" || name == "vmcore-dmesg.txt"
}

fn gather(path: &Path, depth: u32, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let shown = path.display();
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {shown}"))? {
        let entry = entry
            .with_context(|| format!("cannot read {shown}"))?
            .path();
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let record = name.starts_with("dmesg-") || name.starts_with("console-");
        if entry.is_dir() {
            if depth > 0 {
                gather(&entry, depth - 1, files)?;
            }
        } else if is_joined(&entry) || record && !name.ends_with(".enc.z") {
            files.push(entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_records_are_found() {
        let folder_path =
            std::env::temp_dir().join(format!("triage-folder-{}", std::process::id()));
        let archive = folder_path.join("1709528773");
        fs::create_dir_all(&archive).unwrap();
        fs::write(folder_path.join("dmesg-efi-1"), "Panic#1 Part1\nb").unwrap();
        fs::write(folder_path.join("dmesg-efi-2"), "Panic#1 Part2\na\n").unwrap();
        fs::write(folder_path.join("other"), "x").unwrap();
        fs::write(archive.join("dmesg.txt"), "whole\n").unwrap();
        fs::write(archive.join("dmesg-efi-3"), "part\n").unwrap();
        let found = read(&folder_path);
        fs::remove_dir_all(&folder_path).unwrap();
        let text = String::from_utf8(found.unwrap()).unwrap();
        assert_eq!(text, "whole\nPanic#1 Part1\nb\nPanic#1 Part2\na\n");
    }
}
