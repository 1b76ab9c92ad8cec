//! What the image leaves for a Linux that boots after it.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::Command,
};

use stalecore_model::run::Run;
use tempfile::TempDir;

use crate::{
    dist::{Booted, built},
    fake::Ended,
    host::shares,
    odd_machines::{memory, tree},
};

/// Where the node puts it, and where QEMU's memory begins.
const REGION: u64 = 0x5000_0000;
const SIZE: u64 = 0x10_0000;
const MEMORY: u64 = 0x4000_0000;

/// A run on a machine whose tree has a console's zone of `console` bytes, and what that
/// zone holds behind it.
fn with_zone(dir: &Path, console: u64, plan: &str) -> (Booted, String) {
    let tree = tree(dir, 4, |source| {
        let end = source.rfind("};").unwrap();
        format!(
            "{}reserved-memory {{ #address-cells = <2>; #size-cells = <2>; ranges;
             ramoops@50000000 {{ compatible = \"ramoops\"; reg = <0 {REGION:#x} 0 {SIZE:#x}>;
             record-size = <0x4000>; console-size = <{console:#x}>; }}; }};\n}};\n",
            &source[..end]
        )
    });
    let (memory, words) = memory(dir, &tree, 1 << 30);
    let booted = Booted::with(
        &format!("--cpus 4 --el 1 --ramoops on --sweep off {plan}"),
        |command| {
            command.args(words);
        },
    );
    let mut file = File::open(&memory).unwrap();
    let mut read = |at: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        bytes
    };
    let zone = REGION + SIZE - console - MEMORY;
    let head = read(zone, 12);
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(&head[..4], b"DBGC");
    let ring = read(zone + 12, console as usize - 12);
    let (start, used) = (word(4), word(8));
    let text = [&ring[start..used], &ring[..start]].concat();
    (booted, String::from_utf8(text).unwrap())
}

/// `stalecore read` of a folder as Linux shows it.
fn read_back(dir: &Path, text: &str) -> (Ended, Run) {
    let (folder, out) = (dir.join("pstore"), dir.join("out"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("console-ramoops-0"), text).unwrap();
    fs::write(
        folder.join("dmesg-ramoops-0"),
        "Panic#1 Part1\n<0>[1.0] panic\n",
    )
    .unwrap();
    let ended = Ended::of(
        Command::new(built("stalecore"))
            .arg("read")
            .arg(&folder)
            .arg("--out")
            .arg(&out),
    );
    let run = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    (ended, run)
}

#[test]
fn what_linux_shows_after_the_reset_is_what_came_over_the_line() {
    let dir = TempDir::new().unwrap();
    let plan = "--ops ic-ivau,selftest-hang --stale spin --samples 8 --deadline-ms 2000";
    let (booted, text) = with_zone(dir.path(), 0x40000, plan);
    assert_eq!(booted.ended.code, 4, "{:?}", booted.ended);
    let (ended, run) = read_back(dir.path(), &text);
    assert_eq!(ended.code, 4, "{ended:?}");
    // Only who runs the machine sees what the host kept from it.
    let mut cases = booted.run.cases.clone();
    for late in cases.iter_mut().filter_map(|case| case.late.as_mut()) {
        late.starved = None;
    }
    assert_eq!(run.cases, cases);
    assert_eq!(run.blocks, booted.run.blocks);
    assert_eq!(run.machine, booted.run.machine);
    assert_eq!((run.lost.len(), run.unchecked), (0, 0));
}

/// The newest is what is kept, and what is missing is said.
#[test]
fn a_zone_that_is_too_small_is_told() {
    let dir = TempDir::new().unwrap();
    let plan = "--stale spin,wfe,wfi-masked --samples 8";
    let (booted, text) = with_zone(dir.path(), 0x1000, plan);
    let booted = booted.ends(0, &["ramoops: too small for this log"]);
    assert_eq!(text.len(), 0x1000 - 12);
    assert!(text.ends_with("stalecore: exit 0\n"), "{text}");
    let (ended, run) = read_back(dir.path(), &text);
    assert_ne!(ended.code, 0, "{ended:?}");
    assert!(run.cases.len() < booted.run.cases.len());
}

#[test]
fn where_nothing_says_where_it_is_none_is_written() {
    let dir = TempDir::new().unwrap();
    let _shares = shares("--cpus 2");
    let ended = Ended::of(
        Command::new(built("stalecore"))
            .args([
                "run",
                "--cpus",
                "2",
                "--ramoops",
                "on",
                "--ops",
                "none",
                "--out",
            ])
            .arg(dir.path().join("out")),
    );
    assert!(
        ended.err.contains("ramoops: nothing says where it is"),
        "{ended:?}"
    );
    assert_eq!(ended.code, 2, "{ended:?}");
}
