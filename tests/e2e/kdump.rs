//! The scenario `kdump`: the report's crash path, played to its end, up to
//! where it hung, and by other kernels.

use stalecore_model::{
    glossary::Verdict,
    kdump::{Kernel, Step, message, step::sequence},
};

use crate::dist::Booted;

/// The report's machine, smaller: all others stuck, CPU 0 deaf, nobody watches.
const HUNG: &str = "--scenario kdump --initiators 3 --fabric deaf=qspinlock@0 --sentinel off \
                    --deadline-ms 2000";

/// Fails unless the lines of `console` have `parts` in them in this order.
#[track_caller]
fn in_order(console: &str, parts: &[&str]) {
    let mut rest = console;
    for part in parts {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("'{part}' is missing, or out of order: {console}"));
        rest = &rest[at + part.len()..];
    }
}

fn steps(booted: &Booted) -> Vec<Step> {
    booted.run.kdump.iter().map(|record| record.step).collect()
}

#[test]
fn a_crash_that_gets_through() {
    let booted = Booted::new("--scenario kdump --initiators 3").ends(
        0,
        &[
            "No: the crash path was walked to the crash kernel, with the stale cores in qspinlock.",
            "making the relocation code visible to instruction fetch",
        ],
    );
    // Nothing was timed.
    assert!(!booted.ended.out.contains("baseline"), "{:?}", booted.ended);
    in_order(
        &booted.console(),
        &[
            "watchdog: BUG: soft lockup - CPU#3 stuck for ",
            message::MODULES,
            "CPU: 3 PID: ",
            "Hardware name: ",
            "pc : queued_spin_lock_slowpath+0x",
            message::CALL_TRACE,
            message::PANIC,
            message::STOPPING,
            // The last core watches; to the kernel that crashes it does not exist.
            "SMP: failed to stop secondary CPUs 0-2,4-6",
            message::STARTING,
            message::CUT_HERE,
            message::STALE,
            "pc : machine_kexec+0x",
            "---[ end trace ",
            message::BYE,
            "Booting the crash kernel on CPU 3",
            "capture: ic ialluis; dsb ish: returned",
            "capture: tlbi vaale1is; dsb ish: returned",
            "capture: segment kernel",
            "capture: CPU 0-2,4-6: stale in qspinlock, interrupts masked",
        ],
    );
    assert_eq!(steps(&booted), sequence(Kernel::V4_18, true));
    assert!(!booted.console().contains("WRONG"));
    assert_eq!(booted.run.cases[0].verdict, Verdict::Completed);
}

#[test]
fn cores_that_answer_are_turned_off_and_nobody_is_warned() {
    let booted = Booted::new("--scenario kdump --initiators 3 --stale parked")
        .ends(0, &["The control only: the crash path was walked"]);
    assert_eq!(steps(&booted), sequence(Kernel::V4_18, false));
    let console = booted.console();
    assert!(!console.contains(message::STALE), "{console}");
    in_order(
        &console,
        &[
            message::BYE,
            "capture: CPU 0-2,4-6: stopped at ",
            "AFFINITY_INFO: off",
        ],
    );
}

#[test]
fn the_report_s_hang() {
    let booted = Booted::new(&format!("{HUNG} --trace")).ends(
        4,
        &[
            "Made by the fabric, a model: the crash path ended in flush_icache_range+92 (ic ivau) \
             on CPU 3, before \"Bye!\": it had not returned",
            "seen by the host",
        ],
    );
    let console = booted.console();
    in_order(
        &console,
        &[
            "SMP: failed to stop secondary CPUs 0-2,4-7",
            message::STARTING,
            message::STALE,
            "---[ end trace ",
        ],
    );
    let traced: Vec<_> = console
        .lines()
        .filter_map(|line| line.strip_prefix("pc = 0x")?.split(' ').nth(1))
        .collect();
    assert_eq!(
        traced,
        [
            "__flush_dcache_area+0",
            "__flush_dcache_area+32",
            "flush_icache_range+0",
            "flush_icache_range+28",
            "flush_icache_range+36",
            "flush_icache_range+40",
            "flush_icache_range+88",
            "flush_icache_range+92",
        ]
    );
    // As in the report, this is the end.
    assert!(!console.contains(message::BYE), "{console}");
    assert!(
        console.trim_end().ends_with(" flush_icache_range+92"),
        "{console}"
    );
    let block = &booted.run.blocks[0];
    assert_eq!(
        (block.at.as_str(), block.initiator, block.seen_by.as_str()),
        ("flush_icache_range+92", 3, "host")
    );
    let stale = block.cores.iter().filter(|c| c.doing == "qspinlock");
    assert_eq!(stale.map(|c| c.cpus.len()).sum::<usize>(), 7);
}

#[test]
fn a_sentinel_sees_the_same() {
    let booted =
        Booted::new("--scenario kdump --initiators 3 --fabric deaf=qspinlock@0 --deadline-ms 2000")
            .ends(4, &["flush_icache_range+92", "seen by the sentinel"]);
    assert_eq!(steps(&booted).last(), Some(&Step::FlushIcache));
    assert!(booted.run.end.is_some());
}

#[test]
fn a_kernel_that_flushes_earlier_only_moves_the_hang() {
    let booted = Booted::new(&format!("{HUNG} --kernel 6.1")).ends(
        4,
        &["capture_ic_ialluis+0 (ic ialluis)", "seen by the host"],
    );
    in_order(
        &booted.console(),
        &[
            message::STALE,
            message::BYE,
            "capture: ic ialluis; dsb ish ...",
        ],
    );
    assert!(!booted.console().contains("returned after"));
    assert_eq!(steps(&booted).last(), Some(&Step::BroadcastIc));
}

#[test]
fn every_kernel_is_played_in_its_own_order() {
    for (name, kernel) in Kernel::ALL {
        let booted =
            Booted::new(&format!("--scenario kdump --cpus 4 --kernel {name}")).ends(0, &["No: "]);
        assert_eq!(steps(&booted), sequence(kernel, true), "{name}");
        in_order(
            &booted.console(),
            &[message::BYE, "capture: segment initrd", ": ok"],
        );
    }
}
