//! `tools/deps`, `tools/venv`, `tools/grub` and `tools/qemu`, which `make` runs: what they
//! install, what they ask for, and that they leave the network alone where
//! nothing is missing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::fake::Ended;

/// A system of scripts: what is on the path is what is installed.
struct System {
    dir: TempDir,
}

/// What the script itself is written with.
const BASE: [&str; 9] = [
    "sh", "sed", "echo", "cat", "cmp", "rm", "cp", "mkdir", "chmod",
];

/// What makes all its steps content, on a machine with Debian's libc headers.
const ALL: [&str; 10] = [
    "cc",
    "cargo",
    "qemu-system-aarch64",
    "dtc",
    "aarch64-linux-gnu-objdump",
    "gdb-multiarch",
    "python3",
    "chromium",
    "xz",
    "qemu-aarch64",
];

impl System {
    fn new(root: bool, installed: &[&str]) -> Self {
        let system = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for name in BASE {
            system.link(name);
        }
        system.script("id", if root { "echo 0" } else { "echo 1000" });
        system.script(
            "rustup",
            "echo aarch64-unknown-none aarch64-unknown-linux-musl",
        );
        for name in installed {
            system.script(name, "");
        }
        system
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command as this host has it.
    fn link(&self, name: &str) {
        let real = ["/bin", "/usr/bin"].map(|d| Path::new(d).join(name));
        let real = real.iter().find(|p| p.exists()).unwrap();
        std::os::unix::fs::symlink(real, self.path(name)).unwrap();
    }

    /// A command that writes its arguments down, then does what `then` says.
    fn script(&self, name: &str, then: &str) {
        let calls = self.path("calls").display().to_string();
        let body = format!("#!/bin/sh\necho \"{name} $*\" >>{calls}\n{then}\n");
        fs::write(self.path("script"), body).unwrap();
        let mut install = Command::new("install");
        install.args(["-m", "755"]);
        install.args([self.path("script"), self.path(name)]);
        assert!(install.status().unwrap().success());
    }

    fn deps(&self) -> Ended {
        self.tool("deps", &["build", "run", "test"])
    }

    /// One of `tools/` on this system.
    fn tool(&self, name: &str, args: &[&str]) -> Ended {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools");
        let mut command = Command::new(tools.join(name));
        command.args(args).env_clear().env("PATH", self.dir.path());
        Ended::of(&mut command)
    }

    /// `tools/venv` on a requirements file that asks for one package.
    fn venv(&self) -> Ended {
        fs::write(self.path("wanted"), "labgrid==26.0.1\n").unwrap();
        let paths = ["venv", "wanted"].map(|name| self.path(name).display().to_string());
        self.tool("venv", &[&paths[0], &paths[1]])
    }

    /// A python3 that makes environments with a pip that ends with `status`.
    fn python(&self, status: u8) {
        let venv = self.path("venv").display().to_string();
        let calls = self.path("calls").display().to_string();
        self.script(
            "python3",
            &format!(
                "mkdir -p {venv}/bin\n\
                 printf '#!/bin/sh\\necho \"pip $*\" >>{calls}\\nexit {status}\\n' >{venv}/bin/pip\n\
                 chmod +x {venv}/bin/pip"
            ),
        );
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }
}

#[test]
fn where_nothing_is_missing_nothing_is_asked_for() {
    let system = System::new(true, &[ALL.as_slice(), &["apt-get", "sudo"]].concat());
    let ended = system.deps();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let calls = system.calls();
    assert!(
        !calls.contains("apt-get") && !calls.contains("sudo"),
        "{calls}"
    );
    assert!(!calls.contains("rustup target add"), "{calls}");
}

#[test]
fn root_installs_what_is_missing_and_only_that() {
    let system = System::new(
        true,
        &[
            "cc",
            "cargo",
            "dtc",
            "aarch64-linux-gnu-objdump",
            "gdb-multiarch",
            "python3",
            "chromium",
            "xz",
            "qemu-aarch64",
            "apt-get",
        ],
    );
    system.script("rustup", "");
    let ended = system.deps();
    assert_eq!(ended.code, 0, "{ended:?}");
    let calls = system.calls();
    assert!(calls.contains("apt-get update"), "{calls}");
    assert!(
        calls.contains("apt-get install -y --no-install-recommends qemu-system-arm\n"),
        "{calls}"
    );
    assert!(
        calls.contains("rustup target add aarch64-unknown-none"),
        "{calls}"
    );
    assert!(
        calls.contains("rustup target add aarch64-unknown-linux-musl"),
        "{calls}"
    );
}

#[test]
fn a_user_with_sudo_goes_through_it() {
    let system = System::new(false, &["cargo", "apt-get"]);
    system.script("sudo", "exec \"$@\"");
    let ended = system.deps();
    assert_eq!(ended.code, 0, "{ended:?}");
    let calls = system.calls();
    assert!(
        calls.contains(
            "recommends gcc qemu-system-arm device-tree-compiler binutils-aarch64-linux-gnu \
             gdb-multiarch python3-venv chromium xz-utils qemu-user\n"
        ),
        "{calls}"
    );
}

#[test]
fn a_user_without_sudo_is_told_the_one_command() {
    let system = System::new(false, &["cc", "cargo", "apt-get"]);
    let ended = system.deps();
    assert_eq!(ended.code, 2);
    ended.one_line(&[
        "neither root nor sudo",
        "apt-get update && apt-get install -y --no-install-recommends qemu-system-arm \
         device-tree-compiler binutils-aarch64-linux-gnu gdb-multiarch python3-venv chromium \
         xz-utils qemu-user",
    ]);
    assert!(!system.calls().contains("apt-get"));
}

/// What `tools/grub` itself is written with, besides.
const TOOLS: [&str; 3] = ["mktemp", "mv", "dirname"];

/// A system whose apt downloads a package that holds these files.
fn with_package(files: &str) -> System {
    let system = System::new(false, &[]);
    for name in TOOLS {
        system.link(name);
    }
    system.script(
        "apt-get",
        "case \"$*\" in *download*) echo package >grub-efi-arm64-bin_2_arm64.deb ;; esac",
    );
    let make = format!(
        "for file in {files}; do mkdir -p \"$3/${{file%/*}}\"; echo it >\"$3/$file\"; done"
    );
    system.script("dpkg-deb", &make);
    system
}

const GRUB: &str = "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi";

#[test]
fn grub_is_taken_out_of_debian_s_package_once() {
    let system = with_package(GRUB);
    let out = system.path("new/grubaa64.efi");
    let ended = system.tool("grub", &[out.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "it\n");
    let calls = system.calls();
    for part in [
        "APT::Architectures::=arm64",
        "update",
        "download grub-efi-arm64-bin:arm64",
    ] {
        assert!(calls.contains(part), "{part}: {calls}");
    }
    fs::remove_file(system.path("calls")).unwrap();
    assert_eq!(system.tool("grub", &[out.to_str().unwrap()]).code, 0);
    assert_eq!(system.calls(), "");
}

/// A system whose apt downloads packages that hold a QEMU that `says` this.
fn with_qemu(says: &str) -> System {
    let system = System::new(false, &[]);
    for name in TOOLS {
        system.link(name);
    }
    system.script(
        "apt-get",
        "case \"$*\" in *download*) echo package >qemu-system-arm_10_amd64.deb ;; esac",
    );
    let make = format!(
        "mkdir -p \"$3/usr/bin\" \"$3/usr/share/qemu\"\n\
         printf '#!/bin/sh\\n{says}\\n' >\"$3/usr/bin/qemu-system-aarch64\"\n\
         chmod +x \"$3/usr/bin/qemu-system-aarch64\""
    );
    system.script("dpkg-deb", &make);
    system
}

#[test]
fn a_newer_qemu_is_taken_out_of_backports_once() {
    let system = with_qemu("exit 0");
    let out = system.path("new/qemu");
    let ended = system.tool("qemu", &[out.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(out.join("usr/bin/qemu-system-aarch64").is_file());
    let calls = system.calls();
    for part in ["sourceparts=-", "update", "download qemu-system-arm"] {
        assert!(calls.contains(part), "{part}: {calls}");
    }
    fs::remove_file(system.path("calls")).unwrap();
    assert_eq!(system.tool("qemu", &[out.to_str().unwrap()]).code, 0);
    assert_eq!(system.calls(), "");
}

#[test]
fn a_newer_qemu_that_cannot_be_had_is_one_clear_line() {
    let out = |system: &System| system.path("qemu").display().to_string();
    let system = with_qemu("exit 1");
    let ended = system.tool("qemu", &[&out(&system)]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["does not run here", "make deps"]);
    system.script("apt-get", "exit 100");
    let ended = system.tool("qemu", &[&out(&system)]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["this failed: apt-get update for bookworm-backports"]);
    assert!(!system.path("qemu").exists());
    fs::remove_file(system.path("dpkg-deb")).unwrap();
    let ended = system.tool("qemu", &[&out(&system)]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["here is no dpkg-deb", "qemu-system-arm"]);
    system
        .tool("qemu", &[])
        .one_line(&["usage: tools/qemu DIR"]);
}

#[test]
fn a_grub_that_cannot_be_had_is_one_clear_line() {
    let out = |system: &System| system.path("grubaa64.efi").display().to_string();
    let system = with_package("usr/share/doc/copyright");
    let ended = system.tool("grub", &[&out(&system)]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["grub-efi-arm64-bin:arm64 has no", GRUB]);
    system.script("apt-get", "exit 100");
    let ended = system.tool("grub", &[&out(&system)]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["this failed: apt-get update"]);
    assert!(!system.path("grubaa64.efi").exists());
    fs::remove_file(system.path("dpkg-deb")).unwrap();
    let ended = system.tool("grub", &[&out(&system)]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["here is no dpkg-deb", "grub-efi-arm64-bin"]);
    system
        .tool("grub", &[])
        .one_line(&["usage: tools/grub OUT"]);
}

#[test]
fn failures_are_named() {
    let system = System::new(true, &["cc", "cargo"]);
    system.script("apt-get", "exit 100");
    let ended = system.deps();
    assert_eq!(ended.code, 2);
    ended.one_line(&["this failed: apt-get update"]);
    let system = System::new(
        true,
        &[
            "cc",
            "qemu-system-aarch64",
            "dtc",
            "aarch64-linux-gnu-objdump",
            "gdb-multiarch",
            "python3",
            "chromium",
            "xz",
            "qemu-aarch64",
        ],
    );
    let ended = system.deps();
    assert_eq!(ended.code, 2);
    ended.one_line(&["no Rust", "rustup"]);
}

#[test]
fn another_system_is_told_its_own_command() {
    for (manager, says) in [
        ("dnf", "run as root: dnf install -y qemu-system-aarch64 dtc"),
        (
            "pacman",
            "run as root: pacman -S --needed qemu-system-aarch64 dtc",
        ),
        ("zypper", "run as root: zypper install -y qemu-arm dtc"),
        ("brew", "run brew install qemu dtc"),
    ] {
        let installed = [
            "cc",
            "cargo",
            "aarch64-linux-gnu-objdump",
            "gdb-multiarch",
            "python3",
            "chromium",
            "xz",
            manager,
        ];
        let system = System::new(false, &installed);
        system.link("tr");
        let ended = system.deps();
        assert_eq!(ended.code, 2, "{ended:?}");
        ended.one_line(&["missing, and here is no apt-get", "qemu-system-arm", says]);
        // It is said, not done.
        assert!(!system.calls().contains(manager), "{}", system.calls());
    }
    let system = System::new(false, &["cargo"]);
    system.link("tr");
    let ended = system.deps();
    assert_eq!(ended.code, 2);
    ended.one_line(&["here is no apt-get: Debian's gcc"]);
}

#[test]
fn python_s_packages_are_fetched_once() {
    let system = System::new(true, &[]);
    system.python(0);
    assert_eq!((system.venv().code, system.venv().code), (0, 0));
    assert_eq!(system.calls().matches("pip install").count(), 1);
    // Other versions are asked for, so the environment is made again.
    fs::write(system.path("venv/requirements.txt"), "labgrid==25.0\n").unwrap();
    assert_eq!(system.venv().code, 0);
    assert_eq!(system.calls().matches("python3 -m venv").count(), 2);
}

#[test]
fn a_registry_out_of_reach_is_one_line() {
    let system = System::new(true, &[]);
    system.python(1);
    // Not taken for made the second time either.
    for _ in 0..2 {
        let ended = system.venv();
        assert_eq!(ended.code, 2);
        ended.one_line(&["pip could not fetch", "PyPI", "make host-test"]);
    }
    let system = System::new(true, &[]);
    system.script("python3", "exit 1");
    let ended = system.venv();
    assert_eq!(ended.code, 2);
    ended.one_line(&["this failed: python3 -m venv"]);
}
