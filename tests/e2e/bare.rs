//! Machines without any firmware, each with a device tree of our own: the image
//! and what stands where firmware would are put into memory by QEMU.

mod firmware;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use stalecore_model::{
    console::{Line, Lines},
    glossary::{StaleState, Verdict},
    run::Run,
};
use tempfile::TempDir;

use crate::{dist::built, fake::Ended, host};

/// A file of these tests.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/e2e")
        .join(name)
}

#[track_caller]
fn done(command: &mut Command) {
    let ended = Ended::of(command);
    assert_eq!(ended.code, 0, "{command:?}: {}", ended.err);
}

/// What QEMU puts where.
pub struct Bare {
    dir: TempDir,
    loads: Vec<(PathBuf, u64)>,
}

impl Bare {
    /// The image and a device tree, which is compiled.
    pub fn new(image: u64, tree: (&str, u64)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let compiled = dir.path().join("tree.dtb");
        done(
            Command::new("dtc")
                .args(["-q", "-I", "dts", "-O", "dtb", "-o"])
                .args([&compiled, &source(tree.0)]),
        );
        let loads = vec![(built("stalecore.img"), image), (compiled, tree.1)];
        Self { dir, loads }
    }

    /// Assembles code, and puts it somewhere too.
    pub fn code(&mut self, name: &str, at: u64) -> PathBuf {
        let flat = self.assemble(name, &[]);
        self.loads.push((flat.clone(), at));
        flat
    }

    /// Assembles code for these values of its symbols.
    fn assemble(&self, name: &str, symbols: &[(&str, i64)]) -> PathBuf {
        let [object, flat] = ["code.o", "code"].map(|file| self.dir.path().join(file));
        let mut assembler = Command::new("aarch64-linux-gnu-as");
        for (symbol, value) in symbols {
            assembler.arg("--defsym").arg(format!("{symbol}={value}"));
        }
        done(assembler.arg("-o").args([&object, &source(name)]));
        done(
            Command::new("aarch64-linux-gnu-objcopy")
                .args(["-O", "binary"])
                .args([&object, &flat]),
        );
        flat
    }

    /// Has QEMU put everything where it belongs.
    pub fn load(&self, qemu: &mut Command) {
        for (file, at) in &self.loads {
            let file = file.display();
            let loader = format!("loader,file={file},addr={at:#x},force-raw=on");
            qemu.args(["-device", &loader]);
        }
    }

    /// Sets a property of the device tree, of what kind and to what.
    pub fn set(&self, node: &str, property: &str, kind: &str, values: &[&str]) {
        let (tree, _) = &self.loads[1];
        let mut fdtput = Command::new("fdtput");
        done(
            fdtput
                .arg(kind)
                .arg(tree)
                .args([node, property])
                .args(values),
        );
    }

    /// Runs the machine on the QEMU that is installed; its exit code, its console and
    /// the records on it.
    fn run(&self, machine: &[&str]) -> (i32, String, Run) {
        self.run_on(Path::new("qemu-system-aarch64"), "cortex-a72", machine)
    }

    /// The same on a QEMU and a kind of core.
    fn run_on(&self, qemu: &Path, cpu: &str, machine: &[&str]) -> (i32, String, Run) {
        let log = self.dir.path().join("serial.log");
        let program = qemu;
        let mut qemu = Command::new("timeout");
        qemu.arg("120")
            .arg(program)
            .args(["-nodefaults", "-display", "none"])
            .args(["-cpu", cpu, "-m", "1G"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &format!("file:{}", log.display())])
            .args(machine);
        self.load(&mut qemu);
        let guard = host::of(CPUS);
        let ended = Ended::of(&mut qemu);
        drop(guard);
        let console = fs::read(&log).unwrap_or_default();
        let mut run = Run::default();
        let mut lines = Lines::default();
        lines.feed(&console, &mut |line| {
            if let Line::Record(record, _) = line {
                run.take(record);
            }
        });
        let text = format!("{}{}", ended.err, String::from_utf8_lossy(&console));
        assert_eq!(run.absent(), run.inherited(), "{:?}", run.absent);
        (ended.code, text, run)
    }
}

/// No machine here has more.
const CPUS: usize = 4;

/// QEMU's sbsa-ref has an SBSA watchdog. The only core hangs, and nobody
/// watches.
#[test]
fn the_image_takes_half_a_mebibyte_at_most() {
    let size = fs::metadata(built("stalecore.img")).unwrap().len();
    assert!(size < 512 << 10, "{size} bytes");
}

#[test]
fn a_watchdog_brings_a_hung_machine_back_and_it_says_what_hung_it() {
    const MEMORY: u64 = 0x100_0000_0000;
    let mut bare = Bare::new(MEMORY + 0x40_0000, ("sbsa-ref.dts", MEMORY + 0x30_0000));
    bare.code("sbsa-ref.S", MEMORY + 0x20_0000);
    let entry = format!("loader,addr={:#x},cpu-num=0", MEMORY + 0x20_0000);
    let (code, console, run) = bare.run(&[
        "-M",
        "sbsa-ref",
        "-smp",
        "1",
        // Its cards' own programs come with packages of their own.
        "-global",
        "VGA.romfile=",
        "-global",
        "bochs-display.romfile=",
        "-global",
        "e1000e.romfile=",
        "-device",
        &entry,
    ]);
    assert_eq!(code, 4, "{console}");
    assert!(console.contains("SBSA watchdog armed"), "{console}");
    assert_eq!((run.restarts, run.resumes[0].unfinished), (1, Some(2)));
    assert_eq!(run.blocks[0].at, "selftest_hang+8");
    let verdicts: Vec<_> = run.cases.iter().map(|case| case.verdict).collect();
    assert!(
        matches!(
            verdicts[..],
            [Verdict::Completed | Verdict::Slowed, Verdict::Blocked]
        ),
        "{verdicts:?}"
    );
}

/// The third core is sent into the image; the initiator is the first.
#[test]
fn cores_in_a_spin_table_are_used_whichever_boots() {
    let mut bare = Bare::new(0x4040_0000, ("spin-table.dts", 0x4030_0000));
    let flash = bare.code("spin-table.S", 0x4020_0000);
    let (code, console, run) = bare.run(&[
        "-M",
        "virt,secure=on,virtualization=on,gic-version=2",
        "-smp",
        "4",
        "-bios",
        &flash.display().to_string(),
    ]);
    assert_eq!(code, 0, "{console}");
    let machine = run.machine.unwrap();
    assert_eq!((machine.entry_el, machine.psci), (2, None));
    assert_eq!(run.plan.unwrap().initiators.to_string(), "0");
    for case in &run.cases {
        let ran = matches!(case.verdict, Verdict::Completed | Verdict::Slowed);
        // Without PSCI no core can be turned off.
        assert_eq!(ran, case.state != StaleState::CpuOff, "{case:?}");
    }
    assert_eq!(run.cases.len(), 6);
}
