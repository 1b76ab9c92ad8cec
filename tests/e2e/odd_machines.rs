//! Machines that are not as they are described.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use stalecore_model::glossary::Verdict;
use tempfile::TempDir;

use crate::{dist::Booted, fake::Ended};

/// The device tree of QEMU's `virt` with so many cores, changed as text.
fn tree(dir: &Path, cpus: usize, change: impl FnOnce(String) -> String) -> PathBuf {
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
