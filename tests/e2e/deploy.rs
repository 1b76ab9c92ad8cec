//! `stalecore deploy`: what it says of a machine that is a folder of made-up files. That it
//! loads, `tests/linux/test_deploy.py` shows on Debian's kernels.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    dist::built,
    fake::{Ended, stalecore},
};

const TREE: &[u8] = include_bytes!("../../crates/model/tests/data/dtb/virt-8-gicv3-hvc.dtb");
const FILES: [(&str, &str); 13] = [
    (
        "proc/iomem",
        "40000000-7fffffff : System RAM\n  40210000-420fffff : Kernel code\n  60000000-6fffffff : Crash kernel\n",
    ),
    ("proc/cmdline", "root=/dev/vda1 crashkernel=256M\n"),
    ("proc/sys/kernel/osrelease", "6.1.0-56-arm64\n"),
    ("boot/config-6.1.0-56-arm64", "CONFIG_KEXEC=y\n"),
    ("sys/kernel/kexec_loaded", "0\n"),
    ("sys/kernel/kexec_crash_loaded", "1\n"),
    ("sys/kernel/kexec_crash_size", "268435456\n"),
    (
        "sys/kernel/security/lockdown",
        "[none] integrity confidentiality\n",
    ),
    ("sys/devices/system/cpu/present", "0-7\n"),
    ("sys/class/watchdog/watchdog0/state", "active\n"),
    ("sys/class/watchdog/watchdog0/timeout", "60\n"),
    (
        "sys/class/watchdog/watchdog0/identity",
        "SBSA Generic Watchdog\n",
    ),
    ("etc/kdump.conf", "path /var/crash\n"),
];

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn machine() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        write(dir.path(), name, text.as_bytes());
    }
    write(dir.path(), "sys/firmware/fdt", TREE);
    dir
}

fn deploy(root: &Path, args: &[&str]) -> Ended {
    let mut command = stalecore();
    command.arg("deploy").args(args).arg("--root").arg(root);
    Ended::of(command.arg("--image").arg(built("stalecore.img")))
}

#[test]
fn elsewhere_it_says_why_not_in_one_line() {
    let ended = Ended::of(stalecore().arg("deploy"));
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["deploy: this is", "allowed: aarch64 Linux"]);
}

#[test]
fn what_takes_hooks_back_or_looks_at_a_dump_has_no_plan() {
    for args in [
        "--undo --ops ic-ivau",
        "--undo --append earlycon",
        "now --undo",
        "--saved /var/crash --then reset",
        "--saved /var/crash --image x.img",
    ] {
        let ended = Ended::of(stalecore().arg("deploy").args(args.split(' ')));
        assert_eq!(ended.code, 2, "{args}: {ended:?}");
        ended.one_line(&["cannot be used with"]);
    }
}

#[test]
fn it_says_what_it_would_do() {
    let root = machine();
    let ended = deploy(root.path(), &["--ops", "ic-ivau"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for part in [
        "Linux 6.1.0-56-arm64, 8 CPUs",
        "crash kernel: 256 MiB at 0x60000000 reserved\n",
        "now: can be done",
        "its command line: stalecore.ops=ic-ivau stalecore.then=reset",
        "crash: can be done",
        "it writes nothing outside 0x60000000 to 0x70000000\n",
        "but: the crash kernel that is loaded now is replaced",
        "but: watchdog SBSA Generic Watchdog runs, and may reset the machine 60 s after",
        "after-dump: can be done",
        "writes /etc/kdump.conf",
        "deploy crash --ops ic-ivau",
        "Nothing was changed.",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let screen = [
        "crash",
        "--framebuffer",
        "0x90000000,1024x768,4096,x8r8g8b8",
    ];
    let draws = deploy(root.path(), &screen);
    let but = "outside 0x60000000 to 0x70000000, but for the screen\n";
    assert!(draws.out.contains(but), "{draws:?}");
    let conf = fs::read_to_string(root.path().join("etc/kdump.conf")).unwrap();
    assert_eq!(conf, "path /var/crash\n");
    let one = deploy(root.path(), &["after-dump"]);
    assert_eq!(one.code, 0, "{one:?}");
    assert!(!one.out.contains("now: can"), "{}", one.out);
}

#[test]
fn what_cannot_work_is_one_line_with_what_would_help() {
    let rows: [(&str, &[u8], &[&str]); 5] = [
        (
            "sys/kernel/security/lockdown",
            b"none [integrity] confidentiality\n",
            &["lockdown (integrity", "to make it work"],
        ),
        (
            "proc/sys/kernel/kexec_load_disabled",
            b"1\n",
            &[
                "kexec_load_disabled is 1",
                "sed -i /kexec_load_disabled/d /etc/sysctl.d/9.conf",
            ],
        ),
        (
            "boot/config-6.1.0-56-arm64",
            b"# CONFIG_KEXEC is not set\n",
            &["this kernel has no kexec", "CONFIG_KEXEC=y"],
        ),
        (
            "sys/firmware/fdt",
            b"no tree",
            &["/sys/firmware/fdt", "to make it work"],
        ),
        (
            "proc/iomem",
            b"40000000-7fffffff : System RAM\n",
            &["no memory is reserved", "crashkernel=256M"],
        ),
    ];
    for (name, bytes, parts) in rows {
        let root = machine();
        write(
            root.path(),
            "etc/sysctl.d/9.conf",
            b"kernel.kexec_load_disabled = 1\n",
        );
        write(root.path(), name, bytes);
        let ended = deploy(root.path(), &["crash"]);
        assert_eq!(ended.code, 2, "{name}: {ended:?}");
        ended.one_line(parts);
    }
    let root = machine();
    let image = root.path().join("proc/iomem");
    let mut command = stalecore();
    command.args(["deploy", "now", "--root"]).arg(root.path());
    let ended = Ended::of(command.arg("--image").arg(image));
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["no arm64 header"]);
    // A made-up machine is not changed.
    let ended = deploy(root.path(), &["now", "--yes"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["--yes", "--root"]);
}
