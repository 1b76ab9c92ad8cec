//! Interconnects that count: pages of the machine's memory that its device tree calls an Arm
//! CMN-600. One stands still, the test moves the counters of the other.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use stalecore_model::witness::Reading;
use tempfile::TempDir;

use crate::{dist::Booted, odd_machines::tree};

/// Where the machine's memory begins.
const MEMORY: u64 = 0x4000_0000;
const STILL: u64 = 0x7000_0000;
const MOVES: u64 = 0x7008_0000;
const SIZE: u64 = 0x4_0000;
// Its nodes, and a monitor's counters.
const ROOT: u64 = 0x4000;
const CROSSPOINT: u64 = 0x1_0000;
const DVM: u64 = 0x2_0000;
const CONTROLLER: u64 = 0x3_0000;
const COUNTERS: u64 = CROSSPOINT + 0x2220;

fn write(memory: &mut File, address: u64, value: u64) {
    memory.seek(SeekFrom::Start(address - MEMORY)).unwrap();
    memory.write_all(&value.to_le_bytes()).unwrap();
}

/// A mesh of one crosspoint, one DVM node and one controller.
fn mesh(memory: &mut File, base: u64) {
    let mut node = |at: u64, kind: u64, children: &[u64]| {
        write(memory, base + at, kind);
        write(
            memory,
            base + at + 0x80,
            children.len() as u64 | 0x100 << 16,
        );
        for (nth, child) in (0..).zip(children) {
            write(memory, base + at + 0x100 + 8 * nth, *child);
        }
    };
    node(ROOT, 2, &[CROSSPOINT]);
    node(CROSSPOINT, 6, &[DVM, CONTROLLER]);
    node(DVM, 1, &[]);
    node(CONTROLLER, 3, &[]);
    // The part number: 0x434.
    write(memory, base + ROOT + 8, 4 << 32 | 0x34);
}

/// The tree of a machine with EL2 that has these meshes, and one that is none.
fn described(source: String) -> String {
    let hvc = "method = \"hvc\"";
    assert!(source.contains(hvc), "{source}");
    let source = source.replace(hvc, "method = \"smc\"");
    let mut reserved = String::from("/dts-v1/;\n");
    let mut nodes = String::from("/ {\n");
    for base in [STILL, MOVES, MOVES + SIZE] {
        reserved += &format!("/memreserve/ {base:#x} {SIZE:#x};\n");
        nodes += &format!(
            "\tpmu@{base:x} {{ compatible = \"arm,cmn-600\"; reg = <0x0 {base:#x} 0x0 {SIZE:#x}>; \
             arm,root-node = <{ROOT:#x}>; }};\n"
        );
    }
    let source = source.replacen("/dts-v1/;", &reserved, 1);
    source + &nodes + "};\n"
}

#[test]
fn a_block_has_what_the_interconnect_counted() {
    let dir = TempDir::new().unwrap();
    let tree = tree(dir.path(), 3, described);
    let path = dir.path().join("memory");
    File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let open = || OpenOptions::new().write(true).open(&path).unwrap();
    mesh(&mut open(), STILL);
    mesh(&mut open(), MOVES);
    write(&mut open(), STILL + COUNTERS, 0x0011_0000_0002_0005);

    let over = AtomicBool::new(false);
    let moving = || {
        let mut memory = open();
        // Operations, and ten times as much occupancy: of 16 bits each, so that the second
        // begins again every half minute, as no controller counts here what overflows. Before
        // the first would, it stands still.
        for count in 1..=u64::from(u16::MAX) {
            if over.load(Ordering::Relaxed) {
                break;
            }
            write(&mut memory, MOVES + COUNTERS, count | ((count * 10) << 48));
            thread::sleep(Duration::from_millis(5));
        }
    };
    let booted = thread::scope(|threads| {
        let plan = "--cpus 3 --fabric deaf=spin --stale spin --ops ic-ivau --samples 8 \
                    --sweep off --deadline-ms 1000";
        let booted = Booted::with_odd_cores(plan, |command| {
            on(command, &tree, &path);
            // From the machine's turn on, for which it may have to wait.
            threads.spawn(moving);
        });
        over.store(true, Ordering::Relaxed);
        booted
    });
    let booted = booted.ends(
        4,
        &[
            "witness: cmn-600 at 0x70000000, from",
            "ms: operations stood still at 5, syncs stood still at 2, retried stood still at 0, \
             occupancy stood still at 17",
            "witness: cmn-600 at 0x70080000, from",
            "note: interconnect at 0x700c0000: no root node (0x4000)",
        ],
    );
    let [block] = &booted.run.blocks[..] else {
        panic!("{:?}", booted.run.blocks)
    };
    let of = |base: u64| -> Vec<&Reading> {
        let all = block.witness.iter();
        all.filter(|reading| reading.at.0 == base).collect()
    };
    // Before the case, and after each rung: not before the first was climbed.
    let (still, moves) = (of(STILL), of(MOVES));
    assert_eq!(still.len(), 1 + block.ladder.len());
    assert_eq!(still[0].waited_ms, 0);
    assert!(still[1].waited_ms >= 1000, "{still:?}");
    assert!(still.iter().all(|reading| reading.counts == [5, 2, 0, 17]));
    let rising = |pair: &[&Reading]| {
        pair[0].waited_ms < pair[1].waited_ms && pair[0].counts[0] < pair[1].counts[0]
    };
    assert!(moves.windows(2).all(rising), "{moves:?}");
    assert!(booted.report().contains("DVM in cmn-600"));
    // What is read is said before, and the first rung has been climbed by then.
    let console = booted.console();
    let at = |text: &str| {
        console
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {console}"))
    };
    let reading = "reading the DVM counters of the interconnect at 0x70000000";
    assert!(at("\"block\"") < at("\"rung\"") && at("\"rung\"") < at(reading));
    assert_eq!(console.matches(reading).count(), block.ladder.len());
}

fn on(command: &mut Command, tree: &Path, memory: &Path) {
    let (tree, memory) = (tree.display(), memory.display());
    let backend = format!("memory-backend-file,id=made,size=1G,share=on,mem-path={memory}");
    for word in [
        "-dtb",
        &tree.to_string(),
        "-object",
        &backend,
        "-machine",
        "memory-backend=made",
    ] {
        command.args(["--qemu-arg", word]);
    }
}
