//! Faults, firmware, hardware.

use super::*;

/// Its logs, by name.
pub fn all() -> Vec<(&'static str, String)> {
    let b = || boot("6.12.0", 4);
    let fatal = "Kernel panic - not syncing: Oops: Fatal exception\n";
    let path = |list: &str| STOP.to_string() + &failed(list) + START + WARNING + WARNED + BYE;
    let known = "CPU3: Booted secondary processor 0x0000000003 [0x410fd083]\n";
    let el3 = |registers: &str| EL3.to_string() + registers;
    let hardware = |records: &str| {
        b() + known + records + "Kernel panic - not syncing: Fatal hardware error!\n" + STOP
    };
    vec![
        (
            "two CPUs that fault at once",
            b() + FAULT + FAULT + &oops(1) + fatal + &path("3"),
        ),
        (
            "three CPUs that fault at once",
            b() + FAULT + FAULT + FAULT + &oops(1) + fatal + &path("2-3"),
        ),
        (
            "two CPUs that fault at once, which is not known",
            b() + FAULT + FAULT + &oops(1) + fatal + STOP,
        ),
        (
            "three CPUs that fault at once, which is not known",
            b() + FAULT + FAULT + FAULT + &oops(1) + fatal + STOP,
        ),
        (
            "a panic that was handed over",
            b() + "panic: Redirecting from CPU 3 to CPU 0 for crash kernel.\n"
                + &on(3, "6.12.0")
                + "Kernel panic - not syncing: sysrq triggered crash\n"
                + STOP
                + START
                + BYE,
        ),
        (
            "a path that was not printed",
            boot("5.10.0", 4) + known + &oops(3) + &CAPTURE.replace("0x0000000000", "0x0000000003"),
        ),
        (
            "firmware that failed, on a core by its MPIDR",
            b() + &el3("|esr_el3        = 0x0000000096000007\n|mpidr_el1 = 0x81000100\n")
                + &sysrq("6.12.0"),
        ),
        (
            "firmware that failed, on a CPU, while the others stop",
            b() + known
                + &sysrq("6.12.0")
                + STOP
                + &el3("|esr_el3 = 0x96000007\n|elr_el3 = 0x4002000\n|mpidr_el1 = 0x80000003\n"),
        ),
        ("an error record", hardware(ERROR)),
        (
            "several, that name a CPU",
            hardware(&(ERROR.to_string() + ERROR + "{1}[Hardware Error]: MPIDR: 0x80000003\n")),
        ),
        (
            "several, that name a core",
            hardware(&(ERROR.to_string() + "{1}[Hardware Error]: MPIDR: 0x80000100\n")),
        ),
    ]
}
