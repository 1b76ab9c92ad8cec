//! The log as such, and the kernel.

use super::*;

/// Its logs, by name.
pub fn all() -> Vec<(&'static str, String)> {
    let crash = |release: &str| boot(release, 4) + &sysrq(release) + STOP + START + BYE;
    let tool = |without: &[u32]| {
        let mut text = String::from(
            "|     RELEASE: 6.1.0\n|       CPUS: 4\n|       PANIC: \"Kernel panic - not syncing: sysrq triggered crash\"\n",
        );
        for cpu in without {
            text += &format!("|WARNING: cannot find NT_PRSTATUS note for cpu: {cpu}\n");
        }
        text + "|PID: 118    TASK: ffff8021f0b45d00  CPU: 0  COMMAND: \"sh\"\n\
                | #0 [ffff00001020f6e0] machine_kexec at ffff0000080e5f84\n"
    };
    let offline = |cpus: &[u32]| {
        let gone: String = cpus
            .iter()
            .map(|cpu| format!("psci: CPU{cpu} killed (polled 0 ms)\n"))
            .collect();
        boot("6.12.0", 4) + &gone + &sysrq("6.12.0") + STOP + START + BYE
    };
    let twice: String = crash("6.1.0")
        .lines()
        .flat_map(|line| [line.to_string(), format!("={line}")])
        .map(|l| l + "\n")
        .collect();
    vec![
        (
            "another architecture, by its release",
            crash("6.1.0-13-amd64"),
        ),
        (
            "another architecture, by its lines",
            crash("6.1.0").replace("SMP:", "RIP: 0010:hang+0x10/0x20\nSMP:"),
        ),
        (
            "a record of pstore",
            "|Panic#1 Part1\n".to_string() + &sysrq("6.1.0") + STOP + START + BYE,
        ),
        ("a CPU that was offline", offline(&[3])),
        ("several that were", offline(&[2, 3])),
        ("a vmcore without one CPU's registers", tool(&[3])),
        ("a vmcore without several", tool(&[2, 3])),
        (
            "a worker's name",
            sysrq("6.1.0").replace("Comm: sh", "Comm: kworker/u256:1") + STOP + START,
        ),
        (
            "a CPU beyond what can be staged",
            sysrq("6.1.0").replace("CPU: 0", "CPU: 4000") + STOP + START + BYE,
        ),
        (
            "a release candidate's commits",
            crash("6.1.0-rc3-00012-g0123456789ab"),
        ),
        ("Oracle's kernel", crash("5.15.0-1.el8uek.aarch64")),
        ("RHEL 7's", crash("4.18.0-1.el7.aarch64")),
        ("RHEL 8's", crash("4.18.0-1.el8.aarch64")),
        ("RHEL 9's", crash("5.14.0-1.el9.aarch64")),
        ("RHEL 10's", crash("6.12.0-1.el10.aarch64")),
        ("Fedora's", crash("6.12.0-1.fc41.aarch64")),
        ("openEuler's", crash("4.19.90-1.oe1.aarch64")),
        ("Kylin's", crash("4.19.90-1.ky10.aarch64")),
        ("Anolis's", crash("5.10.134-1.an8.aarch64")),
        ("TencentOS's", crash("5.4.119-1.tl3")),
        ("Amazon's", crash("6.1.1.amzn2023.aarch64")),
        ("Android's", crash("5.10.1-android13")),
        ("Debian's", crash("6.1.0-13-arm64")),
        ("Ubuntu's", crash("5.15.0-91-generic")),
        ("SUSE's", crash("5.14.21-1-default")),
        ("every line twice", twice),
        (
            "the log again in the capture kernel",
            crash("6.1.0")
                + CAPTURE
                + &crash("6.1.0")
                    .lines()
                    .map(|l| format!("{l}\n"))
                    .collect::<String>(),
        ),
    ]
}
