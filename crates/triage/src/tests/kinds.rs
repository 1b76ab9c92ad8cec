//! Logs of the kinds that people have, each with what is right about it: facts,
//! the cores that were stale, the sentences that have to be there, and those
//! that must not. Variants of a kind are made from a log in the test.

use std::{fs, path::Path};

use serde_json::Value;

use super::read;
use crate::reading::Reading;

fn log(name: &str) -> Vec<u8> {
    let path = format!("../../tests/triage/{name}.log");
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn json(readings: &[Reading]) -> Value {
    serde_json::to_value(readings).unwrap()
}

/// The value at a dotted path, in short: `0.cpu`.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(value, |value, key| match key.parse::<usize>() {
            Ok(index) if value.is_array() => &value[index],
            _ => &value[key],
        })
}

/// One log: its crashes, values by path, words that its findings and command
/// hold, and words that nothing holds.
struct Want {
    name: &'static str,
    crashes: usize,
    values: &'static [(&'static str, &'static str)],
    says: &'static [&'static str],
    never: &'static [&'static str],
}

const WANTS: &[Want] = &[
    Want {
        name: "mail-01",
        crashes: 1,
        values: &[
            ("cpu", "0"),
            ("line", "1"),
            ("kind", "oops"),
            ("kernel.era", "6.1"),
            ("hardware", "Maker Board, BIOS 1.0"),
            ("stack.pc", "cfg_read+0x64/0xd8"),
            ("failed_to_stop.meaning", "online-with-self"),
            ("stale.cpus", "19"),
        ],
        says: &["--kernel 6.1", "--initiators 0", "--stale-cpus 19"],
        never: &["which CPU crashed"],
    },
    Want {
        name: "mail-02",
        crashes: 1,
        values: &[
            ("capture.reached", "kernel-boots"),
            ("capture.ended", "log-ends"),
            ("capture.last_time", "1.500000"),
            ("capture.last_text", "printk: console [ttyS0] disabled"),
        ],
        says: &["Nothing shows that it reached user space"],
        never: &["walked to its end", "no operation on it was blocked"],
    },
    Want {
        name: "mail-03",
        crashes: 1,
        values: &[
            ("stack.pc", "smp_call_function_many"),
            ("stack.caller", "kick_all_cpus_sync"),
            ("stale.state", "spin"),
        ],
        says: &["at least one other CPU takes no interrupts"],
        never: &["parked"],
    },
    Want {
        name: "mail-05",
        crashes: 1,
        values: &[
            ("stack.pc", "hw_set_addr+0x1c/0x3c"),
            ("stack.caller", "worker_thread+0x2ac/0x488"),
        ],
        says: &[],
        never: &[],
    },
    Want {
        name: "mail-06",
        crashes: 1,
        values: &[("cpu", "11"), ("stale.cpus", "60")],
        says: &["SDEI", "no ordinary interrupts", "--stale-cpus 60"],
        never: &[
            "another CPU panicked",
            "panicked in its place",
            "still took interrupts",
        ],
    },
    Want {
        name: "mail-07",
        crashes: 1,
        values: &[
            ("cpu", "5"),
            ("stale.cpus", "2"),
            ("stale.state", "qspinlock"),
            ("stale.basis", "die-lock"),
        ],
        says: &["several CPUs faulted at once", "interrupts masked"],
        never: &[],
    },
    Want {
        name: "mail-09",
        crashes: 1,
        values: &[("stale.cpus", "1")],
        says: &[
            "0x81020300",
            "esr_el3 0x96000007",
            "elr_el3 0x5000123c",
            "PSCI calls may hang",
        ],
        never: &[],
    },
    Want {
        name: "mail-10",
        crashes: 1,
        values: &[
            ("cpu", "2"),
            ("kind", "sysrq"),
            ("failed_to_stop.list", "0-1,3"),
        ],
        says: &["not complete"],
        never: &[],
    },
    Want {
        name: "mail-13",
        crashes: 1,
        values: &[
            ("cpu", "2"),
            ("kind", "sysrq"),
            ("time", "31.277197"),
            ("failed_to_stop.list", "0-1,3"),
        ],
        says: &[],
        never: &[],
    },
    Want {
        name: "mail-14",
        crashes: 1,
        values: &[
            ("kernel.release", "5.14.0-1.el9.aarch64"),
            ("kernel.era", "5.10"),
            ("hardware", "Maker Board X1, BIOS 1.0 02/06/2015"),
            ("cpus.source", "highest-seen"),
            ("stale.cpus", "1-2"),
        ],
        says: &["hints at about 4 CPUs", "at least 3 CPUs"],
        never: &[],
    },
    Want {
        name: "mail-16",
        crashes: 1,
        values: &[("cpu", "null"), ("refuted_cpu", "2"), ("stale.cpus", "3")],
        says: &["does not tell", "--initiators 1"],
        never: &["--initiators 2"],
    },
    Want {
        name: "mail-17",
        crashes: 1,
        values: &[
            ("kind", "rcu-stall"),
            ("line", "1"),
            ("cpus.count", "8"),
            ("cpus.source", "rcu-stall"),
            ("found_by", "2"),
            ("stale.cpus", "3"),
        ],
        says: &[
            "CPUs 3, 6, found by CPU 2",
            "gave no backtrace",
            "CPU 6 was stalled, and stopped",
        ],
        never: &[],
    },
    Want {
        name: "mail-19",
        crashes: 1,
        values: &[
            ("kind", "serror"),
            ("cpu", "5"),
            ("comm", "task-j"),
            ("stack.pc", "reg_write+0xa0/0x130"),
            ("hardware", "Maker Board (DT)"),
        ],
        says: &["always ends in a panic"],
        never: &[],
    },
    Want {
        name: "mail-20",
        crashes: 1,
        values: &[("kernel.vendor", "false"), ("kernel.build", "commits")],
        says: &["between 6.15-rc7 and 6.15: commits behind the tag"],
        never: &["vendor's"],
    },
    Want {
        name: "mail-21",
        crashes: 1,
        values: &[("command", "null")],
        says: &["not an arm64 kernel (riscv)"],
        never: &[],
    },
    Want {
        name: "mail-23",
        crashes: 1,
        values: &[
            ("kind", "soft-lockup"),
            ("cpu", "2"),
            ("kernel.release", "5.10.57"),
            ("last_present", "crash-kernel"),
            ("failed_to_stop.list", "0-1,3"),
            ("stack.pc", "queued_spin_lock_slowpath+0x100/0x300"),
        ],
        says: &["persistent storage"],
        never: &["--fabric"],
    },
    Want {
        name: "real-m1-hardlockup-parked",
        crashes: 1,
        values: &[
            ("cpu", "1"),
            ("stuck_cpu", "2"),
            ("stale.cpus", "2"),
            ("stale.state", "spin"),
        ],
        says: &["CPU 2 takes no interrupts"],
        never: &["parked", "Nothing in the log shows"],
    },
    Want {
        name: "real-m2-twohard",
        crashes: 1,
        values: &[
            ("line", "4"),
            ("stuck_cpu", "2"),
            ("cpu", "0"),
            ("stale.cpus", "1-2"),
            ("failed_to_stop.meaning", "still-online"),
        ],
        says: &["CPU 1 is not the cause", "The cause is CPU 2"],
        never: &[],
    },
    Want {
        name: "real-m3-double",
        crashes: 1,
        values: &[
            ("last_present", "bye"),
            ("failed_to_stop.meaning", "at-least-one"),
        ],
        says: &["Every line stands twice"],
        never: &[],
    },
    Want {
        name: "real-m4-vmcoredmesg",
        crashes: 1,
        values: &[
            ("outcome", "capture-boots"),
            ("in_capture_kernel", "false"),
            ("cpus.count", "4"),
        ],
        says: &["printed this crash's own lines again"],
        never: &["--fabric"],
    },
    Want {
        name: "real-m6-soft-nopanic",
        crashes: 1,
        values: &[("cpu", "null"), ("stuck_cpu", "2"), ("stale.cpus", "2")],
        says: &["takes its timer interrupt", "--stale-cpus 2"],
        never: &["0-1,3"],
    },
    Want {
        name: "real-m7-pending",
        crashes: 1,
        values: &[("stale.state", "qspinlock")],
        says: &["first in line", "not in this stack"],
        never: &["MCS"],
    },
    Want {
        name: "real-m10-dmesg-d",
        crashes: 1,
        values: &[
            ("cpu", "0"),
            ("kind", "sysrq"),
            ("last_present", "bye"),
            ("time", "5.814000"),
        ],
        says: &[],
        never: &[],
    },
    Want {
        name: "real-m10-full",
        crashes: 1,
        values: &[("cpu", "0"), ("kind", "sysrq"), ("last_present", "bye")],
        says: &[],
        never: &[],
    },
    Want {
        name: "debian-5.10-irqspin",
        crashes: 1,
        values: &[
            ("cpu", "0"),
            ("failed_to_stop.meaning", "at-least-one"),
            ("capture.reached", "user-space"),
        ],
        says: &["at least one did not answer"],
        never: &[],
    },
    Want {
        name: "debian-5.10-sysrq",
        crashes: 1,
        values: &[
            ("cpu", "1"),
            ("stale.basis", "took-sgi"),
            ("outcome", "capture-boots"),
        ],
        says: &[],
        never: &[],
    },
    Want {
        name: "debian-6.1-capturepanics",
        crashes: 2,
        values: &[("cpu", "1"), ("capture.ended", "panicked")],
        says: &["Then it crashed itself", "capture kernel's own"],
        never: &[],
    },
    Want {
        name: "debian-6.1-earlycon",
        crashes: 1,
        values: &[
            ("cpu", "0"),
            ("outcome", "capture-boots"),
            ("failed_to_stop.list", "1-3"),
        ],
        says: &["Every line stands twice"],
        never: &[],
    },
    Want {
        name: "debian-6.1-nocrashkernel",
        crashes: 1,
        values: &[
            ("cpu", "1"),
            ("outcome", "no-crash-kernel"),
            ("command", "null"),
        ],
        says: &["none was loaded"],
        never: &[],
    },
    Want {
        name: "debian-6.1-nopanic",
        crashes: 2,
        values: &[("kind", "oops"), ("cpu", "3")],
        says: &["CPU 2 was stuck"],
        never: &["--stale-cpus 0-1,3"],
    },
    Want {
        name: "debian-6.1-offline",
        crashes: 1,
        values: &[
            ("cpu", "0"),
            ("offline", "3"),
            ("failed_to_stop.meaning", "at-least-one"),
        ],
        says: &["CPU 3 was offline"],
        never: &[],
    },
    Want {
        name: "debian-6.1-rcuother",
        crashes: 1,
        values: &[
            ("kind", "rcu-stall"),
            ("cpu", "0"),
            ("stuck_cpu", "2"),
            ("stale.cpus", "2"),
        ],
        says: &["found by CPU 0"],
        never: &[],
    },
    Want {
        name: "debian-6.1-silentcapture",
        crashes: 1,
        values: &[("outcome", "silent-capture"), ("stale.basis", "took-sgi")],
        says: &["earlycon"],
        never: &[],
    },
    Want {
        name: "debian-6.1-vmcoredmesg",
        crashes: 1,
        values: &[
            ("cpu", "0"),
            ("outcome", "capture-boots"),
            ("capture.ended", "left"),
        ],
        says: &["printed this crash's own lines again"],
        never: &[],
    },
    Want {
        name: "debian-6.12-hardlockup",
        crashes: 1,
        values: &[
            ("stuck_cpu", "2"),
            ("cpu", "0"),
            ("found_by", "1"),
            ("stale.cpus", "1-2"),
        ],
        says: &["CPU 1 is not the cause"],
        never: &[],
    },
    Want {
        name: "debian-6.12-ipi-softlockup",
        crashes: 1,
        values: &[
            ("cpu", "1"),
            ("stale.cpus", "3"),
            ("stack.place", "other-cpus"),
        ],
        says: &["--stale-cpus 3"],
        never: &[],
    },
    Want {
        name: "debian-6.12-notime",
        crashes: 1,
        values: &[
            ("kind", "sysrq"),
            ("cpu", "0"),
            ("stale.cpus", "2"),
            ("outcome", "capture-boots"),
        ],
        says: &[],
        never: &[],
    },
    Want {
        name: "debian-6.12-oops",
        crashes: 1,
        values: &[("kind", "oops"), ("cpu", "3"), ("outcome", "capture-boots")],
        says: &[],
        never: &[],
    },
];

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn every_kind_reads_as_is_right() {
    let mut wrong = Vec::new();
    for want in WANTS {
        let readings = read(&log(want.name));
        if readings.len() != want.crashes {
            wrong.push(format!("{}: {} crashes", want.name, readings.len()));
            continue;
        }
        let found = json(&readings);
        for (path, value) in want.values {
            let is = plain(at(&found, &format!("0.{path}")));
            if is != *value {
                wrong.push(format!("{}: {path} is {is}, not {value}", want.name));
            }
        }
        let mut said = String::new();
        for reading in &readings {
            for finding in reading.findings.iter().filter(|f| f.id != "setting") {
                said.push_str(&finding.text);
                said.push('\n');
            }
            if let Some(command) = &reading.command {
                said.push_str(&command.line());
                said.push('\n');
                said.push_str(&command.assumptions.join("\n"));
            }
        }
        wrong.extend(
            want.says
                .iter()
                .filter(|words| !said.contains(**words))
                .map(|words| format!("{}: does not say \"{words}\"", want.name)),
        );
        wrong.extend(
            want.never
                .iter()
                .filter(|words| said.contains(**words))
                .map(|words| format!("{}: says \"{words}\"", want.name)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every statement says how it is known, and what is read names its line.
#[test]
fn facts_have_their_sources() {
    for want in WANTS {
        for reading in read(&log(want.name)) {
            if reading.head.cpu.is_some() {
                assert!(reading.source("cpu").is_some(), "{}", want.name);
            }
            if reading.stale.is_some() {
                assert!(reading.source("stale.cpus").is_some(), "{}", want.name);
            }
        }
    }
}

/// The base of the variants: a crash of CPU 2 with a list, ended in the warning.
fn base() -> String {
    let lines = String::from_utf8(log("mail-10")).unwrap();
    lines.replace("[  T197] ", "")
}

fn check(name: &str, text: &str) {
    let readings = read(text.as_bytes());
    assert_eq!(readings.len(), 1, "{name}\n{text}");
    let reading = &readings[0];
    assert_eq!(reading.head.cpu, Some(2), "{name}\n{text}");
    let list = reading.failed_to_stop.as_ref().map(|f| f.list.as_str());
    assert_eq!(list, Some("0-1,3"), "{name}");
    let release = reading.kernel.as_ref().map(|k| k.release.as_str());
    assert_eq!(release, Some("6.6.57"), "{name}");
    assert_eq!(reading.hardware.as_deref(), Some("board (DT)"), "{name}");
}

#[test]
fn prefixes_of_all_makers_come_off() {
    for prefix in [
        "[  T197] ",
        "[    C2] ",
        "[   31.277197][  T197] ",
        "[   31.277197][    C2] ",
        "[   31.277197]  [2:             sh:  118] ",
        "<0>[   31.277197]  I[2:      swapper/2:    0] ",
        "[   31.277197] (2)[118:sh]",
        "[   31.277197] -(2)[118:sh]",
        "[   31.277197] c2   118 (sh) ",
        "[   31.277197s][pid:118,cpu2,sh]",
        "[   31.277197s][2026:03:04 05:06:13][pid:118,cpu2,sh]",
        "[   31.277197@2]  ",
        "[   31.277197 <    0.000123>] ",
        "# [   31.277197] ",
        "00031 [   31.277197] ",
        "2026-03-04T05:06:13.1234567Z [   31.277197] ",
        "2026-03-04 05:06:13,123 INFO serial: [   31.277197] ",
        "Wed 2026-03-04 05:06:13 UTC host kernel: ",
        "1709528773.123456 host kernel: ",
        "Mar  4 05:06:13 host kernel: [   31.277197] ",
        "<4>1 2026-03-04T05:06:13.123456+08:00 host kernel - - - [   31.277197] ",
        "03-04 05:06:13.123     0     0 E kernel  : ",
        "dut-1 | [   31.277197] ",
        "[05:06:13] ",
    ] {
        let text: String = base().lines().map(|l| format!("{prefix}{l}\n")).collect();
        check(prefix, &text);
    }
}

#[test]
fn copies_in_all_wrappings_are_read() {
    let stamped: Vec<String> = base()
        .lines()
        .enumerate()
        .map(|(i, l)| format!("[   31.{:06}] {l}", 277_000 + i * 100))
        .collect();
    let plain = stamped.join("\n") + "\n";
    check("plain", &plain);
    let json = serde_json::json!({"log": plain, "id": 7}).to_string();
    check("a string in JSON", &json);
    let pretty = serde_json::to_string_pretty(&serde_json::json!({"tests": [{"log": plain}]}));
    check("pretty JSON", &pretty.unwrap());
    let lines: Vec<_> = stamped
        .iter()
        .map(|l| serde_json::json!({"msg": l}))
        .collect();
    check("a list in JSON", &serde_json::to_string(&lines).unwrap());
    let journal: String = stamped
        .iter()
        .map(|l| {
            format!(
                "{}\n",
                serde_json::json!({"MESSAGE": l, "SYSLOG_IDENTIFIER": "kernel"})
            )
        })
        .collect();
    check("the journal's JSON", &journal);
    check("joined by a form", &stamped.join(" "));
    check(
        "entities",
        &plain
            .replace('(', "&#40;")
            .replace("&#40;", "(")
            .replace("] ", "]&nbsp;"),
    );
    let soft: String = plain
        .replace('=', "=3D")
        .replace("secondary CPUs", "secon=\ndary CPUs");
    check(
        "quoted-printable",
        &format!("Content-Transfer-Encoding: quoted-printable\n\n{soft}"),
    );
    let quoted: String = stamped.iter().map(|l| format!("> > {l}\n")).collect();
    check("a quoted mail", &quoted);
    let dated: String = stamped
        .iter()
        .map(|l| format!("- {{dt: '2026-03-04T05:06:13', lvl: target, msg: '{l}'}}\n"))
        .collect();
    check("YAML in flow form", &dated);
}

/// Columns at which a mail program breaks lines between words.
#[test]
fn lines_broken_at_any_column_are_joined() {
    for width in [60, 66, 72, 80] {
        let mut text = String::new();
        for (i, line) in base().lines().enumerate() {
            let mut column = 0;
            let line = format!("[   31.{:06}] {line}", 277_000 + i * 100);
            for (n, word) in line.split(' ').enumerate() {
                if n > 0 && column + 1 + word.len() > width {
                    text.push('\n');
                    column = 0;
                } else if n > 0 {
                    text.push(' ');
                    column += 1;
                }
                text.push_str(word);
                column += word.len();
            }
            text.push('\n');
        }
        check(&format!("{width} columns"), &text);
    }
}

#[test]
fn stacks_are_read_in_all_forms() {
    for (row, frames) in [
        (
            "pc : drv_poll+0x20/0x80 drvmod",
            " drv_poll+0x20/0x80 drvmod\n worker_thread+0x1/0x2",
        ),
        (
            "pc : drv_poll+0x20/0x80 [drvmod]",
            " drv_poll+0x20/0x80 [drvmod] (P)\n worker_thread+0x1/0x2",
        ),
        (
            "pc : drv_poll (drivers/x.c:12) drvmod",
            " drv_poll (drivers/x.c:12) drvmod\n worker_thread (kernel/workqueue.c:2 (discriminator 3))",
        ),
        ("pc : drv_poll", " drv_poll\n worker_thread"),
        (
            "PC is at drv_poll+0x20/0x80",
            " [<ffff000008081234>] drv_poll+0x20/0x80\n [<ffff000008081234>] worker_thread+0x1/0x2",
        ),
    ] {
        let mut log = String::from(
            "Internal error: Oops: 96000005 [#1] SMP\n\
             CPU: 2 PID: 433 Comm: task-d Not tainted 6.6.22 #0\n",
        );
        log.push_str(&format!(
            "{row}\nlr : drv_irq+0x10/0x40\nCall trace:\n{frames}\n"
        ));
        log.push_str("Kernel panic - not syncing: Oops: Fatal exception\n");
        let stamped: String = log
            .lines()
            .map(|l| format!("[  236.100000] {l}\n"))
            .collect();
        for text in [log, stamped] {
            let readings = read(text.as_bytes());
            let stack = readings[0]
                .stack
                .as_ref()
                .unwrap_or_else(|| panic!("{text}"));
            assert!(stack.pc.starts_with("drv_poll"), "{text}");
            assert!(
                stack.caller.as_ref().unwrap().starts_with("worker_thread"),
                "{text}"
            );
        }
    }
}

#[test]
fn several_faults_leave_as_many_waiting() {
    let base = String::from_utf8(log("mail-07")).unwrap();
    let unable = "Unable to handle kernel paging request at virtual address";
    let three = base.replacen(
        "[  100.000014]",
        &format!("[  100.000012] {unable} ffff000000000020\n[  100.000014]"),
        1,
    );
    let three = three.replace("CPUs 2,5", "CPUs 2,4-5");
    let bugs = base
        .replace(
            &format!("{unable} ffff000000000010"),
            "kernel BUG at mm/slub.c:1!",
        )
        .replace(
            &format!("{unable} ffff000000000018"),
            "kernel BUG at mm/slub.c:2!",
        );
    for (text, stale) in [(three, "2,4"), (bugs, "2")] {
        let found = json(&read(text.as_bytes()));
        assert_eq!(plain(at(&found, "0.stale.cpus")), stale);
        assert_eq!(plain(at(&found, "0.stale.basis")), "die-lock");
    }
    // One task's fault inside a fault is one CPU's.
    let nested: String = base
        .lines()
        .map(|l| l.replacen("] ", "][ T700] ", 1) + "\n")
        .collect();
    let found = json(&read(nested.as_bytes()));
    assert_ne!(plain(at(&found, "0.stale.basis")), "die-lock");
}

#[test]
fn other_architectures_are_named() {
    let base = String::from_utf8(log("mail-21")).unwrap();
    let rows = "epc : 0000000000cc9d6e ra : 0000000000d80428 sp : 0000003fffe6f8a0";
    for (row, which) in [
        ("NIP [c000000000012345] drv_poll+0x20/0x80", "powerpc"),
        (
            "NIP:  c000000000012345 LR: c000000000012346 CTR: 0",
            "powerpc",
        ),
        (
            "pc : [<c0123456>]    lr : [<c0123457>]    psr: 60000013",
            "32-bit Arm",
        ),
        ("RIP: 0010:drv_poll+0x20/0x80", "x86"),
        ("Krnl PSW : 0704c00180000000 0000000000123456", "s390"),
    ] {
        let text = base.replace(rows, row).replace("status: ", "xx: ");
        let readings = read(text.as_bytes());
        let said = &readings[0].findings[0];
        assert_eq!(said.id, "not-arm64", "{row}");
        assert!(said.text.contains(which), "{row}: {}", said.text);
        assert_eq!(readings[0].command, None);
    }
}

#[test]
fn firmware_names_the_cpu_by_its_mpidr() {
    let boot = "[    0.100000] CPU3: Booted secondary processor 0x0000020300 [0x410fd083]\n";
    let text = format!("{boot}{}", String::from_utf8(log("mail-09")).unwrap());
    let found = json(&read(text.as_bytes()));
    assert!(
        found[0]["findings"]
            .to_string()
            .contains("CPU 3 (MPIDR 0x81020300)")
    );
    let text = text.replace(
        "Unhandled Exception in EL3.",
        "PANIC at PC : 0x0000000005e1234",
    );
    assert!(
        json(&read(text.as_bytes()))[0]["findings"]
            .to_string()
            .contains("PANIC at PC")
    );
}

#[test]
fn the_utilitys_output_shows_the_stale_cores() {
    let text = "\
WARNING: cannot find NT_PRSTATUS note for cpu: 1
      KERNEL: vmlinux
        CPUS: 3
     RELEASE: 4.19.90-1.oe1.aarch64
       PANIC: \"Kernel panic - not syncing: sysrq triggered crash\"
crash> bt -a
PID: 10     TASK: ffff8021f0b45d00  CPU: 0   COMMAND: \"sh\"
 #0 [ffff00001020f6e0] machine_kexec at ffff0000080a1234
 #1 [ffff00001020f6e0] __crash_kexec at ffff0000080a1234
 #2 [ffff00001020f6e0] panic at ffff0000080a1234
PID: 11     TASK: ffff8021f0b45d01  CPU: 1   COMMAND: \"drv\"
 #0 [ffff00001020f6e0] queued_spin_lock_slowpath at ffff0000080a1234
 #1 [ffff00001020f6e0] drv_poll at ffff0000080a1234
PID: 0      TASK: ffff8021f0b45d02  CPU: 2   COMMAND: \"swapper/2\"
 #0 [ffff00001020f6e0] crash_save_cpu at ffff0000080a1234
 #1 [ffff00001020f6e0] ipi_cpu_crash_stop at ffff0000080a1234
crash> log
[   10.000000] sysrq: Trigger a crash
[   10.100000] Kernel panic - not syncing: sysrq triggered crash
[   10.200000] SMP: stopping secondary CPUs
[   11.300000] SMP: failed to stop secondary CPUs 1-2
[   11.400000] Starting crashdump kernel...
[   11.500000] Some CPUs may be stale, kdump will be unreliable.
[   11.600000] Bye!
";
    let found = json(&read(text.as_bytes()));
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    for (path, value) in [
        ("0.cpu", "0"),
        ("0.cpus.count", "3"),
        ("0.kernel.release", "4.19.90-1.oe1.aarch64"),
        ("0.last_present", "bye"),
        ("0.stale.cpus", "1"),
        ("0.stale.state", "qspinlock"),
        ("0.stale.basis", "stale-core"),
    ] {
        assert_eq!(plain(at(&found, path)), value, "{path}");
    }
    assert!(
        found[0]["findings"]
            .to_string()
            .contains("holds no registers of CPU 1")
    );
}
