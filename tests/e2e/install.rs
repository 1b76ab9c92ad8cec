//! `make stage` and `make uninstall`, `tools/deb`: what goes where, and that nothing
//! stays. The installed files are made up: `make release` is about building them, and
//! `make reproduce` about their being the same from any clone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::fake::Ended;

/// A tree as `make carry` leaves it, of files that are only names.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let to = |name: &str| dir.path().join(name);
    for name in [
        "Makefile",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "Cargo.toml",
    ] {
        fs::copy(real.join(name), to(name)).unwrap();
    }
    for name in ["tools", "docs"] {
        std::os::unix::fs::symlink(real.join(name), to(name)).unwrap();
    }
    fs::create_dir_all(to("dist/carry/man")).unwrap();
    for name in [
        "carry/man/stalecore.1",
        "carry/man/stalecore-run.1",
        "carry/stalecore.bash",
        "carry/stalecore.zsh",
        "carry/stalecore.fish",
        "stalecore.elf",
        "stalecore.img",
        "stalecore.efi",
        "libstalecore_coherence.so",
    ] {
        fs::write(to("dist").join(name), name).unwrap();
    }
    // A program of this system, so that it says which libc it needs.
    fs::copy("/bin/true", to("dist/carry/stalecore")).unwrap();
    dir
}

fn make(tree: &Path, what: &str, root: &Path) -> Ended {
    let mut command = Command::new("make");
    command.current_dir(tree).args(["-s", what, "PREFIX=/usr"]);
    Ended::of(command.arg(format!("DESTDIR={}", root.display())))
}

/// The files below a directory, by their paths from there.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn everything_is_installed_and_goes_again() {
    let (tree, root) = (tree(), tempfile::tempdir().unwrap());
    let ended = make(tree.path(), "stage", root.path());
    assert_eq!(ended.code, 0, "{ended:?}");
    let there = files(root.path());
    for name in [
        "usr/bin/stalecore",
        "usr/share/man/man1/stalecore-run.1",
        "usr/share/bash-completion/completions/stalecore",
        "usr/share/zsh/site-functions/_stalecore",
        "usr/share/fish/vendor_completions.d/stalecore.fish",
        "usr/share/stalecore/stalecore.efi",
        "usr/lib/stalecore/libstalecore_coherence.so",
        "usr/share/doc/stalecore/LICENSE-MIT",
        "usr/share/doc/stalecore/my-machine-hung.md",
    ] {
        assert!(there.contains(&name.into()), "{name}: {there:?}");
    }
    // Somebody else's files stay.
    fs::write(root.path().join("usr/bin/other"), "").unwrap();
    fs::write(root.path().join("usr/share/man/man1/stale.1"), "").unwrap();
    assert_eq!(make(tree.path(), "uninstall", root.path()).code, 0);
    assert_eq!(
        files(root.path()),
        ["usr/bin/other", "usr/share/man/man1/stale.1"].map(PathBuf::from)
    );
}

#[test]
fn root_installs_what_the_user_has_built_and_builds_nothing() {
    let (tree, root) = (tree(), tempfile::tempdir().unwrap());
    let install = || {
        let mut command = Command::new("make");
        command
            .current_dir(tree.path())
            .args(["-s", "install", "PREFIX=/usr", "CARGO=false"])
            .env("SUDO_USER", "somebody");
        Ended::of(command.arg(format!("DESTDIR={}", root.path().display())))
    };
    let ended = install();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(files(root.path()).contains(&"usr/bin/stalecore".into()));
    assert_eq!(make(tree.path(), "uninstall", root.path()).code, 0);
    fs::remove_dir_all(tree.path().join("dist/carry")).unwrap();
    let ended = install();
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended
            .err
            .starts_with("stalecore: nothing is built yet; run first, without sudo: make carry"),
        "{ended:?}"
    );
    assert!(files(root.path()).is_empty());
}

#[test]
fn a_package_is_the_same_whoever_packs_it() {
    let tree = tree();
    let packed = |umask: &str| {
        let root = tempfile::tempdir().unwrap();
        let out = tempfile::tempdir().unwrap();
        assert_eq!(make(tree.path(), "stage", root.path()).code, 0);
        let mut command = Command::new("sh");
        command
            .current_dir(tree.path())
            .args([
                "-c",
                &format!("umask {umask}; exec tools/deb \"$@\"; "),
                "sh",
            ])
            .arg(root.path())
            .arg("1.2.3")
            .arg(out.path())
            .env("SOURCE_DATE_EPOCH", "1700000000");
        let ended = Ended::of(&mut command);
        assert_eq!(ended.code, 0, "{ended:?}");
        let path = ended.out.trim();
        assert!(path.contains("stalecore_1.2.3_"), "{path}");
        let said = Command::new("dpkg-deb")
            .args(["-I", path])
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        for part in [
            "Package: stalecore",
            "libc6 (>= 2.",
            "Recommends: qemu-system-arm",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        fs::read(path).unwrap()
    };
    assert!(packed("022") == packed("077"), "two packages differ");
}

#[test]
fn a_package_of_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let deb = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/deb");
    let ended = Ended::of(Command::new(&deb).arg(dir.path()));
    assert_eq!(ended.code, 2);
    ended.one_line(&["usage: tools/deb"]);
    // Nor is there one to try.
    let ended = Ended::of(Command::new(deb.with_file_name("deb-try")).arg(dir.path()));
    assert_eq!(ended.code, 2);
    ended.one_line(&["usage: tools/deb-try PACKAGE.deb"]);
}
