//! What an image may ask of the host by semihosting: to end, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    bare::source,
    fake::{Ended, stalecore},
};

/// A directory with `semihosting.S` as an image, and a file that it would remove.
fn guest() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let [object, image] = ["guest.o", "guest.img"].map(|name| dir.path().join(name));
    let mut assembler = Command::new("aarch64-linux-gnu-as");
    assembler
        .arg("-o")
        .args([&object, &source("semihosting.S")]);
    let mut copy = Command::new("aarch64-linux-gnu-objcopy");
    copy.args(["-O", "binary"]).args([&object, &image]);
    for command in [&mut assembler, &mut copy] {
        let ended = Ended::of(command);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    fs::remove_file(object).unwrap();
    fs::write(dir.path().join("precious"), "").unwrap();
    (dir, image)
}

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = names
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_image_can_end_the_machine_and_touch_nothing_of_the_host() {
    let (dir, image) = guest();
    let before = files(dir.path());
    let ended = Ended::of(
        stalecore()
            .current_dir(dir.path())
            .args(["run", "--cpus", "1", "--ops", "none", "--image"])
            .arg(&image)
            .arg("--json"),
    );
    // It has ended, with its code; it has said nothing.
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("ended with status 7"), "{ended:?}");
    let mut after = files(dir.path());
    after.retain(|name| name != "stalecore-out");
    assert_eq!(after, before);

    // The guest means it: where it may, it does all three.
    let mut qemu = Command::new("timeout");
    qemu.args(["120", "qemu-system-aarch64", "-M", "virt", "-cpu"])
        .args(["cortex-a72", "-nodefaults", "-display", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(&image)
        .current_dir(dir.path());
    assert_eq!(Ended::of(&mut qemu).code, 7);
    let mut after = files(dir.path());
    after.retain(|name| name != "stalecore-out");
    assert_eq!(after, ["guest.img", "opened", "ordered"]);
}
