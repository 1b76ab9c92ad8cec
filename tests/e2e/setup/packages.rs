//! `tools/grub` and `tools/qemu`: what they take out of Debian's packages, once.

use std::fs;

use super::System;

/// The commands that the tools use besides those of `tools/deps`.
const TOOLS: [&str; 3] = ["mktemp", "mv", "dirname"];

const GRUB: &str = "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi";

/// A system whose apt downloads this package, and whose dpkg unpacks it like this.
fn with_package(package: &str, unpack: &str) -> System {
    let system = System::new(false, &[]);
    for name in TOOLS {
        system.link(name);
    }
    let download = format!("case \"$*\" in *download*) echo package >{package} ;; esac");
    system.script("apt-get", &download);
    system.script("dpkg-deb", unpack);
    system
}

/// With a package that holds these files.
fn with_grub(files: &str) -> System {
    let unpack = format!(
        "for file in {files}; do mkdir -p \"$3/${{file%/*}}\"; echo it >\"$3/$file\"; done"
    );
    with_package("grub-efi-arm64-bin_2_arm64.deb", &unpack)
}

/// With packages that hold a QEMU that `says` this.
fn with_qemu(says: &str) -> System {
    let unpack = format!(
        "mkdir -p \"$3/usr/bin\" \"$3/usr/share/qemu\"\n\
         printf '#!/bin/sh\\n{says}\\n' >\"$3/usr/bin/qemu-system-aarch64\"\n\
         chmod +x \"$3/usr/bin/qemu-system-aarch64\""
    );
    with_package("qemu-system-arm_10_amd64.deb", &unpack)
}

/// The tool leaves `out`, asks for all of `parts`, and asks for nothing the second time.
fn takes_once(system: &System, tool: &str, out: &str, parts: &[&str]) {
    let out = system.path(out).display().to_string();
    let ended = system.tool(tool, &[&out]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let calls = system.calls();
    for part in parts {
        assert!(calls.contains(part), "{part}: {calls}");
    }
    fs::remove_file(system.path("calls")).unwrap();
    assert_eq!(system.tool(tool, &[&out]).code, 0);
    assert_eq!(system.calls(), "");
}

/// Each reason why the tool leaves nothing is one line: the package is not what it should
/// be, it cannot be downloaded, there is no dpkg, the tool was called wrongly.
fn cannot_be_had(system: &System, tool: &str, [unfit, update, dpkg, usage]: [&[&str]; 4]) {
    let out = system.path("out").display().to_string();
    let fails = |parts: &[&str]| {
        let ended = system.tool(tool, &[&out]);
        assert_eq!(ended.code, 2);
        ended.one_line(parts);
    };
    fails(unfit);
    system.script("apt-get", "exit 100");
    fails(update);
    assert!(!system.path("out").exists());
    fs::remove_file(system.path("dpkg-deb")).unwrap();
    fails(dpkg);
    system.tool(tool, &[]).one_line(usage);
}

#[test]
fn grub_is_taken_out_of_debian_s_package_once() {
    let system = with_grub(GRUB);
    let parts = [
        "APT::Architectures::=arm64",
        "update",
        "download grub-efi-arm64-bin:arm64",
    ];
    takes_once(&system, "grub", "new/grubaa64.efi", &parts);
    let out = fs::read_to_string(system.path("new/grubaa64.efi"));
    assert_eq!(out.unwrap(), "it\n");
}

#[test]
fn a_newer_qemu_is_taken_out_of_backports_once() {
    let system = with_qemu("exit 0");
    let parts = ["sourceparts=-", "update", "download qemu-system-arm"];
    takes_once(&system, "qemu", "new/qemu", &parts);
    let qemu = system.path("new/qemu/usr/bin/qemu-system-aarch64");
    assert!(qemu.is_file());
}

#[test]
fn a_newer_qemu_that_cannot_be_had_is_one_clear_line() {
    let says: [&[&str]; 4] = [
        &["does not run here", "make deps"],
        &["this failed: apt-get update for bookworm-backports"],
        &["there is no dpkg-deb here", "qemu-system-arm"],
        &["usage: tools/qemu DIR"],
    ];
    cannot_be_had(&with_qemu("exit 1"), "qemu", says);
}

#[test]
fn a_grub_that_cannot_be_had_is_one_clear_line() {
    let says: [&[&str]; 4] = [
        &["grub-efi-arm64-bin:arm64 has no", GRUB],
        &["this failed: apt-get update"],
        &["there is no dpkg-deb here", "grub-efi-arm64-bin"],
        &["usage: tools/grub OUT"],
    ];
    cannot_be_had(&with_grub("usr/share/doc/copyright"), "grub", says);
}
