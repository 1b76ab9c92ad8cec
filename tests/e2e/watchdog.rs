//! A machine with an SBSA watchdog and nobody who watches: QEMU's sbsa-ref, on
//! which the image is entered at EL3 as its only firmware.

use std::{fs, path::Path, process::Command};

use stalecore_model::{
    console::{Line, Lines},
    glossary::Verdict,
    record::Record,
    run::Run,
};

use crate::{
    dist::{alone, built},
    fake::Ended,
};

/// Where memory begins on sbsa-ref; QEMU puts a device tree of its own there.
const MEMORY: u64 = 0x100_0000_0000;
const STUB: u64 = MEMORY + 0x20_0000;
const TREE: u64 = MEMORY + 0x30_0000;
const IMAGE: u64 = MEMORY + 0x40_0000;

/// What stands where firmware would: `ldr x0, =TREE; ldr x1, =IMAGE; br x1`.
fn stub() -> Vec<u8> {
    let mut bytes: Vec<u8> = [0x5800_0080_u32, 0x5800_00a1, 0xd61f_0020, 0xd503_201f]
        .iter()
        .flat_map(|instruction| instruction.to_le_bytes())
        .collect();
    bytes.extend(TREE.to_le_bytes());
    bytes.extend(IMAGE.to_le_bytes());
    bytes
}

fn write(path: &Path, bytes: &[u8]) -> String {
    fs::write(path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn a_hung_machine_comes_back_and_says_what_hung_it() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree.dtb");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/sbsa-ref.dts");
    let compiled = Ended::of(
        Command::new("dtc")
            .args(["-q", "-I", "dts", "-O", "dtb", "-o"])
            .args([&tree, &source]),
    );
    assert_eq!(compiled.code, 0, "{}", compiled.err);
    let stub = write(&dir.path().join("stub"), &stub());
    let log = dir.path().join("serial.log");
    let image = built("stalecore.img");
    let mut qemu = Command::new("timeout");
    qemu.args(["120", "qemu-system-aarch64"]);
    // The pictures that its card would show come with packages of their own.
    qemu.args("-M sbsa-ref -nodefaults -display none -cpu cortex-a72 -smp 1 -m 1G".split(' '))
        .args("-global VGA.romfile= -global bochs-display.romfile=".split(' '))
        .args("-global e1000e.romfile= -semihosting-config enable=on,target=native".split(' '))
        .args(["-serial", &format!("file:{}", log.display())]);
    for (file, at) in [
        (tree.display().to_string(), TREE),
        (stub, STUB),
        (image.display().to_string(), IMAGE),
    ] {
        let loader = format!("loader,file={file},addr={at:#x},force-raw=on");
        qemu.args(["-device", &loader]);
    }
    qemu.args(["-device", &format!("loader,addr={STUB:#x},cpu-num=0")]);
    let guard = alone();
    let ended = Ended::of(&mut qemu);
    drop(guard);
    let console = fs::read(&log).unwrap();
    let text = String::from_utf8_lossy(&console);
    assert_eq!(ended.code, 4, "{}\n{text}", ended.err);
    assert!(text.contains("SBSA watchdog armed"), "{text}");
    let mut run = Run::default();
    let mut lines = Lines::default();
    lines.feed(&console, &mut |line| {
        if let Line::Record(record) = line {
            assert!(!matches!(record, Record::Hold(_)));
            run.take(record);
        }
    });
    assert_eq!((run.restarts, run.resumes[0].unfinished), (1, Some(2)));
    assert_eq!(run.blocks[0].at, "selftest_hang+8");
    let verdicts: Vec<_> = run.cases.iter().map(|case| case.verdict).collect();
    assert_eq!(verdicts, [Verdict::Completed, Verdict::Blocked]);
}
