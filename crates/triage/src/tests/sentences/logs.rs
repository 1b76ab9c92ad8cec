//! Small logs that make triage say each of its sentences.

mod lists;
mod lockups;
mod others;
mod path;
mod the_log;

/// Words of messages that are looked for, or of errors of the program's own, which are
/// held elsewhere.
pub const ELSEWHERE: &[&str] = &[
    "cannot read the log:",
    "cannot write the reading:",
    "What this means",
];

/// The path behind a panic, step by step.
const STOP: &str = "SMP: stopping secondary CPUs\n";
const START: &str = "Starting crashdump kernel...\n";
const BYE: &str = "Bye!\n";
const WARNING: &str = "------------[ cut here ]------------\n\
    Some CPUs may be stale, kdump will be unreliable.\n\
    WARNING: CPU: 0 PID: 118 at arch/arm64/kernel/machine_kexec.c:159 machine_kexec+0x58/0x3e8\n\
    CPU: 0 PID: 118 Comm: sh Kdump: loaded Not tainted 6.1.0 #1\n\
    Call trace:\n machine_kexec+0x58/0x3e8\n";
const WARNED: &str = "---[ end trace 0000000000000000 ]---\n";
/// A capture kernel.
const CAPTURE: &str = "Booting Linux on physical CPU 0x0000000000 [0x410fd083]\n\
    Kernel command line: elfcorehdr=0x1000 reset_devices\n";

/// A boot of this release, with so many CPUs.
fn boot(release: &str, cpus: u32) -> String {
    format!(
        "Booting Linux on physical CPU 0x0000000000 [0x410fd083]\n\
         Linux version {release} (gcc)\n\
         Kernel command line: crashkernel=256M\n\
         smp: Brought up 1 node, {cpus} CPUs\n"
    )
}

/// Who ran on a CPU.
fn on(cpu: u32, release: &str) -> String {
    format!("CPU: {cpu} PID: 118 Comm: sh Kdump: loaded Not tainted {release} #1\n")
}

/// A crash by sysrq on CPU 0.
fn sysrq(release: &str) -> String {
    format!(
        "sysrq: Trigger a crash\nKernel panic - not syncing: sysrq triggered crash\n{}",
        on(0, release)
    )
}

fn failed(list: &str) -> String {
    format!("SMP: failed to stop secondary CPUs {list}\n")
}

/// From boot to where CPUs of this list did not stop.
fn unstopped(release: &str, cpus: u32, list: &str) -> String {
    boot(release, cpus) + &sysrq(release) + STOP + &failed(list)
}

/// A watchdog's complaint about a CPU, at this symbol.
fn soft(cpu: u32, symbol: &str) -> String {
    format!(
        "watchdog: BUG: soft lockup - CPU#{cpu} stuck for 23s! [sh:118]\n{}\
         pc : {symbol}+0x10/0x20\nlr : {symbol}+0x10/0x20\n",
        on(cpu, "6.1.0")
    )
}

fn hard(cpu: u32) -> String {
    format!("watchdog: Watchdog detected hard LOCKUP on cpu {cpu}\n")
}

/// A hard lockup's panic on a CPU, with this function in its trace.
fn hard_panic(cpu: u32, means: &str) -> String {
    format!(
        "Kernel panic - not syncing: Hard LOCKUP\n{}Call trace:\n panic+0x10/0x20\n \
         {means}+0x10/0x20\n",
        on(cpu, "6.1.0")
    )
}

fn soft_panic(cpu: u32) -> String {
    format!(
        "Kernel panic - not syncing: softlockup: hung tasks\n{}Call trace:\n panic+0x10/0x20\n",
        on(cpu, "6.1.0")
    )
}

/// A soft lockup that ends in the crash kernel, at this symbol.
pub fn stuck_in(symbol: &str) -> String {
    boot("6.1.0", 4) + &soft(1, symbol) + &soft_panic(1) + STOP + START + BYE
}

fn oops(cpu: u32) -> String {
    format!(
        "Internal error: Oops: 96000044 [#1] SMP\n{}pc : hang+0x10/0x20\nlr : hang+0x10/0x20\n\
         Call trace:\n hang+0x10/0x20\n",
        on(cpu, "6.1.0")
    )
}

const FAULT: &str = "Unable to handle kernel NULL pointer dereference at virtual address 0\n";

fn rcu(cpus: &[u32], by: &str) -> String {
    let mut text = String::from("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n");
    for cpu in cpus {
        text +=
            &format!("rcu: \t{cpu}-...0: (1 GPs behind) idle=0a4c/1/0x4 softirq=118/118 fqs=2\n");
    }
    text + by
}

const BY_0: &str = "rcu: \t(detected by 0, t=5252 jiffies, g=292241, q=10 ncpus=4)\n";
const ITSELF: &str = "\t(t=5250 jiffies g=1 q=2 ncpus=4)\n";

fn rcu_panic(cpu: u32) -> String {
    format!(
        "Kernel panic - not syncing: RCU Stall\n{}",
        on(cpu, "6.1.0")
    )
}

const ERROR: &str = "{1}[Hardware Error]: event severity: fatal\n";
const EL3: &str = "|Unhandled Exception in EL3.\n";

/// Every name with its log.
pub fn all() -> Vec<(&'static str, String)> {
    let mut all = path::all();
    all.extend(lists::all());
    all.extend(lockups::all());
    all.extend(others::all());
    all.extend(the_log::all());
    all
}

/// Logs of which the facts are shown too: what is shown begins with the one words, and
/// ends in front of the other.
pub fn in_full() -> Vec<(&'static str, String, [&'static str; 2])> {
    const FACTS: [&str; 2] = ["", "\nWhat this means"];
    let many = |count: u32| {
        let others: String = (2..2 + count).map(|cpu| soft(cpu, "hang")).collect();
        boot("6.1.0", 20) + &others + &soft(1, "hang") + &soft_panic(1) + STOP + START + BYE
    };
    let stopped = boot("6.1.0", 4) + &sysrq("6.1.0") + STOP;
    let saved = stopped.clone() + START + BYE + CAPTURE + "|kdump: saving vmcore complete\n";
    vec![
        ("no crash, no line", String::new(), FACTS),
        ("no crash, one line", "usb: probed\n".into(), FACTS),
        (
            "hardly anything",
            "Kernel panic - not syncing: no reason\n".to_string() + STOP,
            ["", "the end"],
        ),
        ("another CPU", many(1), FACTS),
        ("eight others and one", many(9), ["  other ", "  stale "]),
        (
            "eight others and two",
            many(10),
            ["  other     2 ", "  stale "],
        ),
        (
            "a list",
            unstopped("6.12.0", 4, "2-3") + START + WARNING + WARNED + BYE,
            FACTS,
        ),
        (
            "a list of one",
            unstopped("6.12.0", 4, "3") + START,
            ["  unstopped ", "the end"],
        ),
        (
            "a count of the kernel's own",
            rcu(&[1], BY_0) + &rcu_panic(0) + STOP,
            FACTS,
        ),
        (
            "a count by the list",
            on(0, "6.1.0") + &sysrq("6.1.0") + STOP + &failed("1-3"),
            FACTS,
        ),
        (
            "no list printed",
            unstopped("4.18.0", 4, "").replace("CPUs \n", "CPUs\n"),
            ["  unstopped ", "  outcome "],
        ),
        (
            "a hard lockup, from the highest CPU seen",
            hard(1) + &on(1, "6.1.0") + &hard_panic(1, "watchdog_overflow_callback") + STOP,
            FACTS,
        ),
        ("a dump that was saved", saved.clone(), FACTS),
        (
            "less than a second",
            (boot("6.1.0", 4) + &soft(1, "hang")).replace("23s", "0.4s"),
            ["", "  begins "],
        ),
        (
            "more than are shown in full",
            stopped.repeat(17) + &saved,
            ["Further crashes", "the end"],
        ),
    ]
}

/// Logs that are held against what was expected.
pub fn expected() -> Vec<(&'static str, String)> {
    let stopped = boot("6.1.0", 4) + &sysrq("6.1.0") + STOP;
    let saved = stopped.clone() + START + BYE + CAPTURE + "|kdump: saving vmcore complete\n";
    vec![
        ("no crash", String::new()),
        ("one crash", stopped.clone()),
        ("one crash of two", stopped.clone() + &saved),
        ("two crashes", stopped.repeat(2)),
        (
            "two dumps that were saved",
            // At another time: with the same it would be the old log, printed again.
            saved.replace("sysrq: ", "pci 0000: probed\nsysrq: ") + &saved,
        ),
    ]
}
