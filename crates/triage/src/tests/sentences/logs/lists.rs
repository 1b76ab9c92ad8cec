//! What the list of CPUs that did not stop means.

use super::*;

/// Its logs, by name.
pub fn all() -> Vec<(&'static str, String)> {
    let warned = |release: &str, list: &str| {
        unstopped(release, 4, list) + START + &WARNING.replace("6.1.0", release) + WARNED
    };
    let retried = |list: &str| {
        boot("7.3.0", 4)
            + &sysrq("7.3.0")
            + STOP
            + "SMP: retry stop with NMI for CPUs 2-3\n"
            + &format!("SMP: retry stop with SDEI NMI for CPUs {list}\n")
    };
    let ordinary = |list: &str| {
        boot("6.1.0", 4)
            + &sysrq("6.1.0")
            + STOP
            + &failed(list)
            + "---[ end Kernel panic - not syncing ]---\n"
    };
    vec![
        ("a list of all others", warned("5.10.0", "1-3") + BYE),
        ("a list of all others, one", {
            unstopped("5.10.0", 2, "1") + START + WARNING + WARNED + BYE
        }),
        ("a list of one", warned("6.12.0", "3") + BYE),
        ("a list of several", warned("6.12.0", "2-3") + BYE),
        (
            "a list behind an NMI",
            boot("6.12.0", 4)
                + &sysrq("6.12.0")
                + STOP
                + "SMP: retry stop with NMI for CPUs 2-3\n"
                + &failed("3"),
        ),
        (
            "a list of a kernel that could have asked once more",
            boot("7.3.0", 4) + &sysrq("7.3.0") + STOP + &failed("3"),
        ),
        (
            "a list behind firmware's NMI",
            retried("2-3") + &failed("3"),
        ),
        (
            "one CPU that firmware's NMI stopped",
            retried("3") + START + BYE,
        ),
        (
            "several CPUs that firmware's NMI stopped",
            retried("2-3") + START + BYE,
        ),
        (
            "firmware's NMI failed",
            retried("3") + "sdei_nmi: SDEI_EVENT_SIGNAL to CPU 3 failed: -22\n" + &failed("3"),
        ),
        ("the list of the ordinary stop", ordinary("0,3")),
        (
            "no list printed",
            unstopped("4.18.0", 4, "").replace("CPUs \n", "CPUs\n"),
        ),
        ("a list that cannot be read", unstopped("6.12.0", 4, "3-")),
        (
            "a list of unknown age",
            unstopped("x", 4, "3").replace("Linux version x (gcc)\n", ""),
        ),
        (
            "a list whose line has no end",
            unstopped("6.12.0", 4, "2-3\\"),
        ),
        (
            "a warning without a list",
            boot("6.1.0", 4) + &sysrq("6.1.0") + STOP + START + WARNING + WARNED + BYE,
        ),
        (
            "a list without the warning",
            unstopped("6.1.0", 4, "1-3") + START,
        ),
        (
            "a warning that ends early",
            unstopped("6.1.0", 4, "1-3") + START + WARNING,
        ),
        (
            "the CPU that is named is on the list",
            boot("6.12.0", 4) + &soft(3, "hang") + &soft_panic(3) + STOP + &failed("2-3") + START,
        ),
        (
            "the CPU that is named is not on the ordinary stop's list",
            boot("6.1.0", 4)
                + "Kernel panic - not syncing: no reason\n"
                + &on(3, "6.1.0")
                + STOP
                + &failed("0-2")
                + "---[ end Kernel panic - not syncing ]---\n",
        ),
    ]
}
