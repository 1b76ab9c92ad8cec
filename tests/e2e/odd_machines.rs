//! Machines that are not as they are described.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{
    glossary::{StaleState, Verdict},
    record::Record,
    recorder::{Kind, Log, SIZE},
};
use tempfile::TempDir;

use crate::{
    dist::{Booted, built},
    fake::Ended,
    host::alone,
};

/// The device tree of QEMU's `virt` with so many cores, changed as text.
pub fn tree(dir: &Path, cpus: usize, change: impl FnOnce(String) -> String) -> PathBuf {
    let [original, text, changed] = ["virt.dtb", "virt.dts", "odd.dtb"].map(|name| dir.join(name));
    let machine = format!("virt,gic-version=3,dumpdtb={}", original.display());
    run(Command::new("qemu-system-aarch64")
        .args(["-M", &machine, "-cpu", "cortex-a72"])
        .args([
            "-smp",
            &cpus.to_string(),
            "-m",
            "1G",
            "-nodefaults",
            "-display",
            "none",
        ]));
    run(Command::new("dtc")
        .args(["-q", "-O", "dts", "-o"])
        .args([&text, &original]));
    let source = change(fs::read_to_string(&text).unwrap());
    fs::write(&text, source).unwrap();
    run(Command::new("dtc")
        .args(["-q", "-O", "dtb", "-o"])
        .args([&changed, &text]));
    changed
}

/// A file for the memory of a machine, `size` bytes in the directory, and arguments for
/// `stalecore run` that give the machine this tree and keep its memory there.
pub fn memory(dir: &Path, tree: &Path, size: u64) -> (PathBuf, Vec<String>) {
    let file = dir.join("memory");
    fs::File::create(&file).unwrap().set_len(size).unwrap();
    let backend = format!(
        "memory-backend-file,id=ram,size={size},share=on,mem-path={}",
        file.display()
    );
    let tree = tree.display().to_string();
    let words = [
        ["-dtb", &tree],
        ["-object", &backend],
        ["-machine", "memory-backend=ram"],
    ];
    let args = words.as_flattened().iter();
    let args = args.flat_map(|word| ["--qemu-arg".into(), word.to_string()]);
    (file, args.collect())
}

#[track_caller]
fn run(command: &mut Command) {
    let ended = Ended::of(command);
    assert_eq!(ended.code, 0, "{command:?}: {}", ended.err);
}

fn with_tree(args: &str, tree: &Path) -> Booted {
    Booted::with_odd_cores(args, |command| {
        let tree = tree.display().to_string();
        command.args(["--el", "1", "--qemu-arg", "-dtb", "--qemu-arg", &tree]);
    })
}

/// The tree promises five cores, the machine has four: PSCI refuses the fifth, which
/// would have been the sentinel.
#[test]
fn a_core_that_is_not_there_has_no_role() {
    let dir = TempDir::new().unwrap();
    let tree = tree(dir.path(), 5, |source| source);
    let plan = "--cpus 4 --ops ic-ivau,dc-civac --stale parked,spin,cpu-off,never-started \
                --samples 8 --sweep off";
    let booted = with_tree(plan, &tree).ends(
        0,
        &["4 of 5 cores took part: CPU 4", "CPU 4 has no role: PSCI"],
    );
    let run = &booted.run;
    assert_eq!(run.absent().to_string(), "4");
    let roles = run.plan.as_ref().unwrap();
    assert_eq!(
        (roles.initiators.to_string(), roles.stale.to_string()),
        ("0".into(), "1-2".into())
    );
    assert_eq!(run.machine.as_ref().unwrap().sentinel, Some(3));
    assert_eq!(run.cases.len(), 8);
    for case in &run.cases {
        let ran = matches!(case.verdict, Verdict::Completed | Verdict::Slowed);
        assert!(ran, "{case:?}");
    }
}

/// The tree's redistributor region has room for three of the four cores.
#[test]
fn a_core_without_a_redistributor_is_called_by_events() {
    let dir = TempDir::new().unwrap();
    let tree = tree(dir.path(), 4, |source| {
        let region = "0x00 0x80a0000 0x00 0xf60000";
        assert!(source.contains(region), "{source}");
        source.replace(region, "0x00 0x80a0000 0x00 0x60000")
    });
    // As the sentinel, which conducts, and as a stale core among others.
    for (sentinel, state) in [("auto", "spin"), ("1", "spin"), ("1", "wfi-masked")] {
        let plan = format!(
            "--cpus 4 --ops ic-ivau,flush-icache-range --stale {state} --samples 8 --sweep off \
             --sentinel {sentinel}"
        );
        let booted = with_tree(&plan, &tree).ends(0, &["CPU 3 takes no interrupt (the GIC has no"]);
        let run = &booted.run;
        assert!(run.absent.is_empty(), "{:?}", run.absent);
        assert_eq!(run.cases.len(), 2);
        for case in &run.cases {
            let ran = matches!(case.verdict, Verdict::Completed | Verdict::Slowed);
            assert!(ran, "{case:?}");
        }
    }
}

/// QEMU's a64fx says that it has the system registers of a GICv3, which its machine with a
/// GICv2 does not have: for EL1 the image need not ask, at EL2 and EL3 it has to try.
#[test]
fn registers_that_are_promised_may_not_be_there() {
    for el in [1, 2, 3] {
        let plan = format!(
            "--cpu a64fx --gic 2 --el {el} --cpus 4 --ops ic-ivau,dc-civac --stale wfe \
             --samples 8 --sweep off"
        );
        let booted = Booted::new(&plan).ends(0, &[]);
        let machine = booted.run.machine.as_ref().unwrap();
        assert_eq!((machine.entry_el, machine.gic.as_str()), (el, "gicv2"));
        assert_eq!(booted.run.cases.len(), 2);
        for case in &booted.run.cases {
            let ran = matches!(case.verdict, Verdict::Completed | Verdict::Slowed);
            assert!(ran, "{case:?}");
        }
    }
    // EL2 is still to be had.
    let plan = "--cpu a64fx --gic 2 --el 2 --cpus 4 --ops ic-ivau --stale wfe --fabric deaf=wfe";
    let booted = Booted::new(plan).ends(4, &["ic ivau"]);
    assert_eq!(booted.run.cases[0].verdict, Verdict::Blocked);
}

/// Where the machine's memory begins, and a page of it that no image uses: the tree
/// calls it a PL011.
const MEMORY: u64 = 0x4000_0000;
const UART: u64 = 0x7000_0000;
/// UARTFR and its TXFF.
const UARTFR: u64 = 0x18;
const TXFF: u32 = 1 << 5;
/// In the middle of 1 GiB.
const RECORDER: u64 = 0x6000_0000;

/// A machine whose memory is a file that the test has too.
struct Shared {
    file: File,
}

impl Shared {
    fn write(&mut self, address: u64, value: u32) {
        self.file.seek(SeekFrom::Start(address - MEMORY)).unwrap();
        self.file.write_all(&value.to_le_bytes()).unwrap();
    }

    fn read(&mut self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.file.seek(SeekFrom::Start(address - MEMORY)).unwrap();
        self.file.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The cases that the flight recorder holds, and whether the run has ended.
    fn recorded(&mut self) -> (Vec<StaleState>, bool) {
        let bytes = self.read(RECORDER, SIZE);
        let Ok(Some(log)) = Log::read(&bytes) else {
            return (Vec::new(), false);
        };
        let records = log.entries().filter(|(kind, _)| *kind == Kind::Record);
        let cases = records.filter_map(|(_, text)| match Record::from_json(text) {
            Ok(Record::Case(case)) => Some(case.state),
            _ => None,
        });
        (cases.collect(), log.ended())
    }
}

/// Boots the image on a console that is memory; gives the exit code, how long it took,
/// the cases that it kept, and how many bytes it says were lost. The console takes
/// nothing while at least as many cases have ended as `stops` begins with and fewer
/// than it ends with.
fn on_memory(stops: Range<usize>) -> (i32, Duration, Vec<StaleState>, u64) {
    let dir = TempDir::new().unwrap();
    let tree = tree(dir.path(), 4, |source| {
        let uart = "reg = <0x00 0x9000000 0x00 0x1000>;";
        assert!(source.contains(uart), "{source}");
        let source = source.replace(uart, &format!("reg = <0x00 {UART:#x} 0x00 0x1000>;"));
        // The firmware's own words: not free memory.
        source.replacen(
            "/dts-v1/;",
            &format!("/dts-v1/;\n/memreserve/ {UART:#x} 0x1000;"),
            1,
        )
    });
    let memory = dir.path().join("memory");
    File::create(&memory).unwrap().set_len(1 << 30).unwrap();
    let mut shared = Shared {
        file: OpenOptions::new()
            .read(true)
            .write(true)
            .open(&memory)
            .unwrap(),
    };
    let backend = format!(
        "memory-backend-file,id=ram,size=1G,share=on,mem-path={}",
        memory.display()
    );
    let arguments = "stalecore.semihosting=on stalecore.samples=8 stalecore.sweep=off \
                     stalecore.ops=ic-ivau,dc-civac,flush-icache-range";
    let guard = alone();
    let mut qemu = Command::new("qemu-system-aarch64")
        .args([
            "-M",
            "virt,gic-version=3,memory-backend=ram",
            "-object",
            &backend,
        ])
        .args([
            "-cpu",
            "cortex-a72",
            "-smp",
            "4",
            "-m",
            "1G",
            "-nodefaults",
            "-display",
            "none",
        ])
        .args([
            "-semihosting-config",
            "enable=on,target=native",
            "-append",
            arguments,
        ])
        .args(["-kernel".as_ref(), built("stalecore.img").as_os_str()])
        .args(["-dtb".as_ref(), tree.as_os_str()])
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let code = loop {
        if let Some(status) = qemu.try_wait().unwrap() {
            break status.code();
        }
        if begin.elapsed() > Duration::from_secs(240) {
            qemu.kill().unwrap();
            qemu.wait().unwrap();
            break None;
        }
        let (ended, _) = shared.recorded();
        let stopped = stops.contains(&ended.len());
        shared.write(UART + UARTFR, if stopped { TXFF } else { 0 });
        thread::sleep(Duration::from_millis(5));
    };
    let took = begin.elapsed();
    drop(guard);
    let (cases, ended) = shared.recorded();
    assert!(
        ended,
        "the run did not end in order: {code:?}, {} cases",
        cases.len()
    );
    let lost = u64::from_le_bytes(shared.read(lost(), 8).try_into().unwrap());
    (code.unwrap_or(-1), took, cases, lost)
}

/// Where the image counts what its console lost: 2 MiB above the start of memory, as
/// QEMU loads it, and as far behind as its symbol is.
fn lost() -> u64 {
    use object::{Object, ObjectSymbol};
    let elf = fs::read(built("stalecore.elf")).unwrap();
    let elf = object::File::parse(&*elf).unwrap();
    let address = |wanted: &str| {
        let mut symbols = elf
            .symbols()
            .filter(|s| s.name().is_ok_and(|n| n.contains(wanted)));
        symbols
            .next()
            .unwrap_or_else(|| panic!("no {wanted}"))
            .address()
    };
    MEMORY + 0x20_0000 + address("console4LOST") - address("image_head")
}

/// A console that takes nothing more from the middle of the run on, one that takes
/// nothing from the start, one that drains again: the run takes its usual time, its
/// results are the same, and what was lost is counted.
#[test]
fn a_console_that_stops_costs_no_time_and_what_it_loses_is_counted() {
    let (code, usual, cases, lost) = on_memory(0..0);
    assert_eq!((code, cases.len(), lost), (0, 72, 0));
    for stops in [20..usize::MAX, 0..usize::MAX, 20..50] {
        let (code, took, cases, lost) = on_memory(stops.clone());
        assert_eq!((code, cases.len()), (0, 72));
        assert!(lost > 1000, "{stops:?}: {lost}");
        // A busy host may be half as fast.
        assert!(
            took < usual * 2 + Duration::from_secs(10),
            "{stops:?}: {took:?}, usually {usual:?}"
        );
    }
}
