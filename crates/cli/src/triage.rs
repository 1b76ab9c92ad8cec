//! `stalecore triage`: opens the log and says what [`stalecore_triage`] reads
//! in it.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Cursor, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use stalecore_model::exit::ExitCode;
use stalecore_triage::{Expect, Failure, Tally, write_json, write_words};

/// What the files of a folder may measure together, in bytes.
const FOLDER: u64 = 64 << 20;

/// What `stalecore triage` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The kernel's console log: a file, - for the standard input, or a folder of pstore records
    log: PathBuf,
    /// Write JSON instead of words (its shape: docs/triage.md)
    #[arg(long)]
    json: bool,
    /// What the log has to show, for exit code 0; else it is 1
    #[arg(long, value_parser = expectation, value_name = "saved|bye|stopped-all|no-crash")]
    expect: Option<Expect>,
    /// Write a JUnit report to this file: a case a crash
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Reads the log and writes the reading to the standard output. Gives the
/// process's exit code: 0 whatever was found, 1 if it is not as expected.
///
/// # Errors
/// The log cannot be opened or read, or the report not written: one line that
/// says which and why, for exit code 2.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.log.display().to_string();
    let log: Box<dyn Read + Send> = if args.log == Path::new("-") {
        Box::new(io::stdin())
    } else if args.log.is_dir() {
        Box::new(Cursor::new(folder(&args.log)?))
    } else {
        Box::new(File::open(&args.log).with_context(|| format!("cannot open {name}"))?)
    };
    let out = BufWriter::new(io::stdout().lock());
    let result = if args.json {
        write_json(log, &name, out)
    } else {
        write_words(log, out)
    };
    match result {
        Ok(tally) => judge(args, &name, &tally),
        // The reader closed the pipe.
        Err(Failure::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Expected),
        Err(Failure::Write(e)) => Err(e).context("cannot write to the standard output"),
        Err(Failure::Read(e)) => Err(e).with_context(|| format!("cannot read {name}")),
    }
}

/// Holds what was read against what was expected.
fn judge(args: &Args, name: &str, tally: &Tally) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.junit {
        let report = tally.junit(name, args.expect);
        fs::write(path, report).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match args.expect {
        Some(expect) if !tally.meets(expect) => {
            eprintln!("stalecore: {}", tally.missed(expect));
            Ok(ExitCode::Slowed)
        }
        _ => Ok(ExitCode::Expected),
    }
}

fn expectation(name: &str) -> Result<Expect, String> {
    let found = Expect::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, expect)| *expect).ok_or_else(|| {
        let names: Vec<_> = Expect::ALL.iter().map(|(name, _)| *name).collect();
        format!("allowed: {}", names.join(", "))
    })
}

/// The records of a folder, one behind the other: what pstore's file system
/// shows, or what systemd-pstore or kdump keeps of it. Their parts are put in
/// order where they are read.
fn folder(path: &Path) -> anyhow::Result<Vec<u8>> {
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
        if all.len() as u64 + size > FOLDER {
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
        let found = folder(&folder_path);
        fs::remove_dir_all(&folder_path).unwrap();
        let text = String::from_utf8(found.unwrap()).unwrap();
        assert_eq!(text, "whole\nPanic#1 Part1\nb\nPanic#1 Part2\na\n");
    }
}
