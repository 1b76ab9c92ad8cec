//! `tools/deps` and `tools/venv`, which `make` runs: what they install, what they ask
//! for, and that they leave the network alone if nothing is missing. `packages` has
//! `tools/grub` and `tools/qemu`.

mod packages;

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

/// The commands that the script itself uses.
const BASE: [&str; 9] = [
    "sh", "sed", "echo", "cat", "cmp", "rm", "cp", "mkdir", "chmod",
];

/// The commands that satisfy all its steps, on a machine with Debian's libc headers.
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

#[test]
fn failures_are_named() {
    let system = System::new(true, &["cc", "cargo"]);
    system.script("apt-get", "exit 100");
    let ended = system.deps();
    assert_eq!(ended.code, 2);
    ended.one_line(&["this failed: apt-get update"]);
    let all_but_cargo: Vec<_> = ALL.into_iter().filter(|name| *name != "cargo").collect();
    let system = System::new(true, &all_but_cargo);
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
        ended.one_line(&[
            "missing, and there is no apt-get here",
            "qemu-system-arm",
            says,
        ]);
        // It is said, not done.
        assert!(!system.calls().contains(manager), "{}", system.calls());
    }
    let system = System::new(false, &["cargo"]);
    system.link("tr");
    let ended = system.deps();
    assert_eq!(ended.code, 2);
    ended.one_line(&["there is no apt-get here: Debian's gcc"]);
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
