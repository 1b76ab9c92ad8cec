//! `--core`: the file that a debugger opens.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use object::{
    Endianness,
    elf::{ET_CORE, FileHeader64, NT_PRSTATUS, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use stalecore_model::glossary::Verdict;

use crate::{
    dist::{Booted, built},
    fake::Ended,
};

/// Offsets in aarch64's `struct elf_prstatus`: the thread's number, and the program
/// counter after x0 to x30 and sp.
const PID: usize = 32;
const PC: usize = 112 + 32 * 8;

/// The program counter of each thread, by CPU.
fn threads(file: &Path) -> BTreeMap<usize, u64> {
    let bytes = fs::read(file).unwrap();
    let header = FileHeader64::<Endianness>::parse(&*bytes).unwrap();
    let endian = header.endian().unwrap();
    assert_eq!(header.e_type.get(endian), ET_CORE);
    let mut threads = BTreeMap::new();
    let mut memory = 0;
    for segment in header.program_headers(endian, &*bytes).unwrap() {
        if segment.p_type(endian) == PT_LOAD {
            // The image maps memory one to one.
            assert_eq!(segment.p_vaddr(endian), segment.p_paddr(endian));
            memory += segment.data(endian, &*bytes).unwrap().len();
        }
        let notes = segment.notes(endian, &*bytes).unwrap();
        for note in notes.into_iter().flat_map(|mut notes| {
            std::iter::from_fn(move || notes.next().unwrap()).collect::<Vec<_>>()
        }) {
            if note.n_type(endian) == NT_PRSTATUS {
                let number = |at: usize, size: usize| {
                    let mut word = [0; 8];
                    word[..size].copy_from_slice(&note.desc()[at..at + size]);
                    u64::from_le_bytes(word)
                };
                threads.insert(number(PID, 4) as usize - 1, number(PC, 8));
            }
        }
    }
    assert!(memory >= 128 << 20, "{memory} bytes of memory");
    threads
}

/// The program counters in the monitor's own words.
fn registers(text: &str) -> BTreeMap<usize, u64> {
    let mut cpus = text.split("CPU#").skip(1);
    let pc = |cpu: &str| {
        let number = cpu.split_whitespace().next().unwrap().parse().unwrap();
        let pc = cpu.split("PC=").nth(1).unwrap();
        (number, u64::from_str_radix(&pc[..16], 16).unwrap())
    };
    std::iter::from_fn(|| cpus.next().map(pc)).collect()
}

#[test]
fn a_silent_machine_is_saved_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let core = dir.path().join("core");
    let booted = Booted::with(
        "--sentinel off --cpus 5 --mem 128M --stale branch-self --ops ic-ivau \
         --fabric deaf=branch-self@2 --deadline-ms 1500",
        |command| {
            command.arg("--core").arg(&core);
        },
    )
    .ends(4, &["core file"]);
    let found = threads(&core);
    assert_eq!(found.len(), 5);
    assert_eq!(found, registers(&booted.file("registers.txt")));
    // A debugger sees the same.
    let marks = booted.run.marks.unwrap();
    let mut gdb = Command::new("gdb-multiarch");
    gdb.args(["-nx", "-q", "-batch", "-ex"])
        .arg(format!("core-file {}", core.display()))
        .arg("-ex")
        .arg(format!(
            "add-symbol-file {} -o {:#x}",
            built("stalecore.elf").display(),
            marks.image.0
        ))
        .args(["-ex", "info threads", "-ex", "thread 3", "-ex", "x/i $pc"]);
    let said = Ended::of(&mut gdb);
    let stuck = said.out.matches("in stale_branch_self ()").count();
    // `thread 3` names its place once more.
    assert_eq!(stuck, 4 + 1, "{said:?}");
    for cpu in 1..=5 {
        assert!(said.out.contains(&format!("LWP {cpu} ")), "{said:?}");
    }
    // The instruction comes from the core file's memory: a branch to itself.
    assert!(
        said.out.contains(&format!("b\t{:#x}", found[&2])),
        "{said:?}"
    );
}

#[test]
fn a_block_that_the_sentinel_sees_is_saved_before_the_ladder_is_climbed() {
    let dir = tempfile::tempdir().unwrap();
    let core = dir.path().join("core");
    let booted = Booted::with(
        "--cpus 4 --mem 128M --stale spin --ops ic-ivau,dc-civac --fabric deaf=spin,heal=sgi \
         --deadline-ms 1500",
        |command| {
            command.arg("--core").arg(&core);
        },
    )
    .ends(4, &["core file", "released by: sgi"]);
    // The machine went on afterwards.
    assert_eq!(booted.run.cases.len(), 2);
    assert!(booted.run.end.is_some());
    let image = booted.run.marks.unwrap().image.0;
    let found = threads(&core);
    assert_eq!(found.len(), 4);
    assert!(found.values().all(|pc| *pc > image), "{found:x?}");
    assert_eq!(found[&1] & !0xff, found[&2] & !0xff, "both in one loop");
}

#[test]
fn the_crash_kernel_s_machine_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let core = dir.path().join("core");
    let booted = Booted::with("--scenario kdump --cpus 4 --mem 128M", |command| {
        command.arg("--core").arg(&core);
    })
    .ends(0, &["core file"]);
    assert_eq!(booted.run.cases[0].verdict, Verdict::Completed);
    assert_eq!(threads(&core).len(), 4);
}

#[test]
fn a_core_file_that_cannot_be_written_is_an_error_and_the_results_are_kept() {
    let booted = Booted::new(
        "--sentinel off --cpus 2 --mem 128M --stale spin --ops selftest-hang --deadline-ms 500 \
         --core /dev/full",
    )
    .ends(
        2,
        &["Made by a self-test: selftest-hang", "selftest_hang+8"],
    );
    assert!(
        booted.ended.err.contains("--core: /dev/full: ")
            && booted.ended.err.contains("No space left"),
        "{:?}",
        booted.ended
    );
    assert_eq!(booted.run.blocks.len(), 1);
}

#[test]
fn where_nothing_happens_nothing_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let core = dir.path().join("core");
    Booted::with(
        "--cpus 2 --stale spin --ops none --sentinel off",
        |command| {
            command.arg("--core").arg(&core);
        },
    )
    .ends(0, &["no core file was saved"]);
    assert!(!core.exists());
}
