//! A log in many other forms.

use super::*;

/// The base of the variants: a crash on CPU 2, with a list, that ends in the warning.
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
