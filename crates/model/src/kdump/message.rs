//! The lines that the crash path prints, without their timestamps, in the
//! kernel's words and spacing, so that two logs can be laid side by side.

use alloc::{format, string::String};

use super::Kernel;
use crate::cpuset::CpuSet;

/// The task that the played kernel runs: its name and PID.
pub const TASK: (&str, u32) = ("stalecore", 1);

/// Stops the other cores.
pub const STOPPING: &str = "SMP: stopping secondary CPUs";
/// Everything is stopped, or has failed to.
pub const STARTING: &str = "Starting crashdump kernel...";
/// What the warning says when a core failed to stop.
pub const STALE: &str = "Some CPUs may be stale, kdump will be unreliable.";
/// The last line of the kernel that crashed.
pub const BYE: &str = "Bye!";
/// Opens a warning.
pub const CUT_HERE: &str = "------------[ cut here ]------------";
/// Opens a list of return addresses.
pub const CALL_TRACE: &str = "Call trace:";
/// Why the kernel gives up.
pub const PANIC: &str = "Kernel panic - not syncing: softlockup: hung tasks";
/// No modules.
pub const MODULES: &str = "Modules linked in:";

/// A line's timestamp: microseconds since boot.
pub fn stamp(us: u64) -> String {
    format!("[{:>5}.{:06}] ", us / 1_000_000, us % 1_000_000)
}

/// The watchdog's finding; whole seconds, as in the kernel, but a watchdog that is faster
/// than the kernel's does not say `0s`.
pub fn soft_lockup(cpu: usize, stuck_ms: u64) -> String {
    let stuck = match stuck_ms {
        0..1000 => format!("0.{}", stuck_ms / 100),
        _ => format!("{}", stuck_ms / 1000),
    };
    format!(
        "watchdog: BUG: soft lockup - CPU#{cpu} stuck for {stuck}s! [{}:{}]",
        TASK.0, TASK.1
    )
}

/// Which CPU and kernel; `locked_up` once the lockup has tainted it. Newer
/// kernels name the user, and spell the taint out on a line of its own
/// ([`taint`]).
pub fn cpu_line(kernel: Kernel, cpu: usize, locked_up: bool) -> String {
    let user = if kernel.facts().names_user {
        "UID: 0 "
    } else {
        ""
    };
    // One column for each flag: G, then L as the 15th of 18.
    let taint = if locked_up {
        format!("Tainted: G{:13}L{:3}", "", "")
    } else {
        "Not tainted".into()
    };
    format!(
        "CPU: {cpu} {user}PID: {} Comm: {} Kdump: loaded {taint} {} #1{}",
        TASK.1,
        TASK.0,
        kernel.release(),
        // The preemption model, for a kernel that preempts nothing on its own.
        if kernel.facts().names_place_first {
            " NONE"
        } else {
            ""
        }
    )
}

/// The taint in words, where the kernel prints it.
pub fn taint(kernel: Kernel, locked_up: bool) -> Option<&'static str> {
    (locked_up && kernel.facts().names_user).then_some("Tainted: [L]=SOFTLOCKUP")
}

/// The machine.
pub fn hardware(model: &str) -> String {
    format!("Hardware name: {model} (DT)")
}

/// Asks again by NMI.
pub fn retry_by_nmi(cpus: &CpuSet) -> String {
    format!("SMP: retry stop with NMI for CPUs {cpus}")
}

/// Not every core stopped.
pub fn failed_to_stop(cpus: &CpuSet) -> String {
    format!("SMP: failed to stop secondary CPUs {cpus}")
}

/// The cores that a kernel names when `left` of the `others` did not stop; older kernels
/// name all others. `None` when all stopped.
pub fn named(kernel: Kernel, others: &CpuSet, left: &CpuSet) -> Option<CpuSet> {
    if left.is_empty() {
        None
    } else if kernel.names_only_failed() {
        Some(*left)
    } else {
        Some(*others)
    }
}

/// Where a warning comes from: `line` is `file:line`, `symbol` is
/// `name+offset/size`.
pub fn warning(kernel: Kernel, cpu: usize, line: &str, symbol: &str) -> String {
    let (comm, pid) = TASK;
    if kernel.facts().names_place_first {
        format!("WARNING: {line} at {symbol}, CPU#{cpu}: {comm}/{pid}")
    } else {
        format!("WARNING: CPU: {cpu} PID: {pid} at {line} {symbol}")
    }
}

/// Closes a warning. Newer kernels have no number for it.
pub fn end_trace(kernel: Kernel, id: u64) -> String {
    let id = if kernel.facts().numbers_warnings {
        id
    } else {
        0
    };
    format!("---[ end trace {id:016x} ]---")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_report() {
        assert_eq!(stamp(8_489_810_600_917), "[8489810.600917] ");
        assert_eq!(stamp(1_234_567), "[    1.234567] ");
        assert_eq!(
            soft_lockup(24, 23_900),
            "watchdog: BUG: soft lockup - CPU#24 stuck for 23s! [stalecore:1]"
        );
        assert_eq!(
            soft_lockup(3, 412),
            "watchdog: BUG: soft lockup - CPU#3 stuck for 0.4s! [stalecore:1]"
        );
        let others = CpuSet::parse("0-23,25-127").unwrap();
        assert_eq!(
            failed_to_stop(&others),
            "SMP: failed to stop secondary CPUs 0-23,25-127"
        );
        assert_eq!(
            end_trace(Kernel::V4_18, 0x4b2d_55c2_2693_3569),
            "---[ end trace 4b2d55c226933569 ]---"
        );
    }

    #[test]
    fn older_kernels_name_everybody_and_newer_those_that_failed() {
        let others = CpuSet::parse("0-6").unwrap();
        let left = CpuSet::one(3);
        for (kernel, expected) in [
            (Kernel::V4_18, others),
            (Kernel::V6_1, others),
            (Kernel::V6_12, left),
        ] {
            assert_eq!(named(kernel, &others, &left), Some(expected), "{kernel}");
            assert_eq!(named(kernel, &others, &CpuSet::EMPTY), None);
        }
    }

    #[test]
    fn the_taint_flag_is_in_its_column() {
        let line = cpu_line(Kernel::V4_18, 24, true);
        assert_eq!(
            line,
            "CPU: 24 PID: 1 Comm: stalecore Kdump: loaded Tainted: G             L    4.18.0-stalecore #1"
        );
        assert!(
            cpu_line(Kernel::V6_12, 0, false)
                .contains("UID: 0 PID: 1 Comm: stalecore Kdump: loaded Not tainted 6.12.0")
        );
        assert!(cpu_line(Kernel::V7_3, 0, false).ends_with(" 7.3.0-stalecore #1 NONE"));
        assert_eq!(taint(Kernel::V4_18, true), None);
        assert!(taint(Kernel::V6_12, true).is_some());
    }

    #[test]
    fn a_warning_names_its_place_as_its_kernel_does() {
        let words = |kernel| warning(kernel, 24, "kexec.c:7", "machine_kexec+0x58/0x3e8");
        assert_eq!(
            words(Kernel::V6_12),
            "WARNING: CPU: 24 PID: 1 at kexec.c:7 machine_kexec+0x58/0x3e8"
        );
        assert_eq!(
            words(Kernel::V7_3),
            "WARNING: kexec.c:7 at machine_kexec+0x58/0x3e8, CPU#24: stalecore/1"
        );
    }

    #[test]
    fn newer_kernels_do_not_number_their_warnings() {
        assert!(end_trace(Kernel::V6_1, 7).contains(" 0000000000000000 "));
    }

    #[test]
    fn the_machine_and_who_is_asked_again_are_named() {
        assert_eq!(
            hardware("Raspberry Pi 4 Model B"),
            "Hardware name: Raspberry Pi 4 Model B (DT)"
        );
        let cpus = CpuSet::parse("1-3").unwrap();
        assert_eq!(retry_by_nmi(&cpus), "SMP: retry stop with NMI for CPUs 1-3");
    }
}
