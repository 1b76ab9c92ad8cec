//! Bad input: one line that names what is wrong and what is allowed, exit code
//! 2, and no machine started.

use std::fs;

use stalecore_model::glossary::StaleState;

use crate::fake::{Ended, Fake, stalecore};

fn refused(fake: &Fake, args: &str, parts: &[&str]) {
    let ended = fake.run(args);
    assert_eq!(ended.code, 2, "{args}: {ended:?}");
    ended.one_line(parts);
    assert_eq!(ended.out, "", "{args}");
    assert!(!fake.path("pid").exists(), "{args} started the machine");
}

#[test]
fn mistakes_on_the_command_line() {
    let fake = Fake::new("", "exit 0");
    for (args, parts) in [
        ("--cpus 513", &["--cpus", "513", "1 to 512"][..]),
        ("--cpus 0", &["1 to 512"]),
        ("--gic 2 --cpus 9", &["--gic 2", "1 to 8"]),
        ("--gic 4", &["--gic", "2, 3"]),
        ("--cpu cortex-a15", &["no AArch64", "cortex-a72"]),
        ("--mem 32M", &["--mem", "64M to 8G"]),
        ("--opps ic-ivau", &["--opps", "--ops"]),
        ("--ops ic-ivau,ic-iva", &["'ic-iva'", "ic-ivau"]),
        ("--stale asleep", &["'asleep'", "branch-self"]),
        ("--lines warm", &["'warm'", "dirty-there"]),
        ("--initiators 8", &["--initiators", "CPU 8", "0-7"]),
        ("--stale-cpus 3-9", &["--stale-cpus", "CPU 8", "0-7"]),
        ("--stale-cpus 9-3", &["9-3", "backwards"]),
        ("--initiators 3 --stale-cpus 2-4", &["CPU 3", "one role"]),
        ("--sentinel 0", &["sentinel", "CPU 0", "one role"]),
        ("--samples 0", &["--samples", "1 to"]),
        ("--wait forever", &["--wait", "'forever'", "1ms to"]),
        ("--dwell 1s,soon", &["--dwell", "'soon'", "0ms to"]),
        ("--framebuffer yes", &["--framebuffer", "'yes'", "auto, on"]),
        (
            "--framebuffer 0x1000,64x48,256,x8r8g8b8",
            &["--framebuffer", "64x48 pixels", "at least 320x156"],
        ),
        ("--preset none", &["--preset", "'none'", "first-light"]),
        ("--fabric heal=11s", &["heal", "up to 10s"]),
        ("--max-slowdown 0.5", &["--max-slowdown", "1.0 to"]),
        ("--expect broken", &["--expect", "'broken'", "blocked"]),
        ("--timeout never", &["--timeout", "1 to"]),
        ("--icount=2", &["--icount", "on, off"]),
        ("--core /nonexistent/core", &["--core", "/nonexistent/core"]),
        ("--core /", &["--core: /"]),
        ("spin", &["'spin'"]),
        ("--boot floppy", &["--boot", "uefi, u-boot, grub"]),
        ("--boot u-boot --el 3", &["--el: 3", "allowed: 1, 2"]),
        ("--boot u-boot --mem 64M", &["--mem", "256M to 8G"]),
        ("--boot uefi", &["--image", "--boot image and u-boot"]),
        (
            "--boot u-boot --firmware none.bin",
            &["--firmware", "none.bin"],
        ),
        ("--cpu host", &["--cpu", "--accel kvm"]),
        ("--accel kvm --el 2", &["--el: 2", "allowed: 1"]),
        ("--accel kvm --icount", &["--icount", "--accel tcg"]),
        (
            "--accel kvm --fabric deaf=spin",
            &["--fabric", "--accel tcg"],
        ),
    ] {
        refused(&fake, args, parts);
    }
}

#[test]
#[cfg(not(target_arch = "aarch64"))]
fn kvm_needs_an_arm_host() {
    let fake = Fake::new("", "exit 0");
    refused(
        &fake,
        "--accel kvm",
        &["--accel", "aarch64", "allowed: tcg"],
    );
}

#[test]
fn an_emulator_that_is_missing_too_old_or_none() {
    let fake = Fake::answering("QEMU emulator version 6.2.0", "exit 0");
    refused(&fake, "", &["6.2.0", "7.2 and newer"]);
    let fake = Fake::answering("GNU bash, version 5.2", "exit 0");
    refused(&fake, "", &["--version", "QEMU"]);
    let fake = Fake::new("", "exit 0");
    fs::remove_file(fake.path("qemu")).unwrap();
    refused(&fake, "", &["not found", "apt-get install qemu-system-arm"]);
    fs::write(fake.path("qemu"), "not executable").unwrap();
    refused(&fake, "", &["qemu", "ermission denied"]);
}

#[test]
fn an_image_that_is_missing_or_none() {
    let fake = Fake::new("", "exit 0");
    fs::write(fake.path("image"), "hello").unwrap();
    refused(&fake, "", &["--image", "no arm64 Image"]);
    fs::remove_file(fake.path("image")).unwrap();
    refused(&fake, "", &["--image", "No such file"]);
}

#[test]
fn an_out_directory_that_cannot_be_written() {
    let fake = Fake::new("", "exit 0");
    fs::write(fake.path("out"), "a file").unwrap();
    refused(&fake, "", &["--out", "out"]);
    fs::remove_file(fake.path("out")).unwrap();
    // Even root cannot make anything there.
    let mut command = fake.command("");
    let ended = Ended::of(command.args(["--out", "/proc/stalecore"]));
    assert_eq!(ended.code, 2);
}

#[test]
fn somebody_else_s_files_are_left_alone() {
    let fake = Fake::new("", "exit 0");
    fs::create_dir(fake.path("out")).unwrap();
    fs::write(fake.path("out/console.log"), "mine").unwrap();
    refused(&fake, "", &["console.log", "new or empty directory"]);
    let kept = fs::read_to_string(fake.path("out/console.log")).unwrap();
    assert_eq!(kept, "mine");
}

#[test]
fn the_words_can_be_listed() {
    let ended = Ended::of(stalecore().arg("list"));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    for word in ["ic-ivau", "lock-holder", "dirty-there", "incoherent", "124"] {
        assert!(ended.out.contains(word), "{word}");
    }
    let json = Ended::of(stalecore().args(["list", "--json"]));
    let lists: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let states = lists["stale_states"].as_array().unwrap().len();
    assert_eq!(states, StaleState::ALL.len());
}
