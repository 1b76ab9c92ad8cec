//! A core that the host does not run is not blocked; one that the emulator holds up
//! inside an instruction is, also beside a busy host, where somebody saw it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use stalecore_model::glossary::Verdict;

use crate::{
    dist::{Booted, built},
    host::Busy,
};

/// Before the emulator: when its CPU 0 has run for two seconds, that gets what is left
/// of a host core that two others want, for some seconds.
const STARVES: &str = r#"#!/bin/sh
case "$1" in -*version) exec qemu-system-aarch64 "$@" ;; esac
starve() {
    sleep 2
    for task in /proc/$1/task/*; do
        if [ "$(cat "$task/comm")" = "CPU 0/TCG" ]; then
            chrt --idle --pid 0 "${task##*/}" >&2 && taskset -pc 0 "${task##*/}" >/dev/null
        fi
    done
    taskset -c 0 yes >/dev/null & first=$!
    taskset -c 0 yes >/dev/null & second=$!
    sleep 8
    kill $first $second
}
starve $$ </dev/null >/dev/null &
exec qemu-system-aarch64 "$@"
"#;

/// Nothing but marks: what is asked for takes much longer than the two seconds.
const LONG: &str = "--cpus 3 --tcg-thread multi --ops ic-ivau --stale wfe --samples 3000000 --sweep off \
                    --deadline-ms 600";

#[test]
fn a_core_that_is_not_run_is_starved_and_not_blocked() {
    let dir = tempfile::tempdir().unwrap();
    let qemu = dir.path().join("qemu");
    fs::write(&qemu, STARVES).unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    let booted = Booted::with(LONG, |command| {
        command.arg("--qemu").arg(&qemu);
    })
    .ends(6, &["starved: CPU 0 was run for", "not a block: case 1"]);
    assert!(booted.run.blocks.is_empty(), "{:?}", booted.run.blocks);
    let starved = booted.run.starved[0].starved.unwrap();
    assert!(starved.queued_ms * 2 > starved.of_ms, "{starved:?}");
    assert_eq!(booted.run.cases[0].verdict, Verdict::Inconclusive);
    // What the image took it for.
    assert_eq!(booted.run.end.as_ref().map(|end| end.exit), Some(4));
}

/// A plugin that stalls an `ic ivau`, from its source beside this.
pub fn stalls(dir: &std::path::Path, more: &[&str]) -> std::path::PathBuf {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/e2e/starved/stalls.rs"
    );
    let plugin = dir.join("libstalls.so");
    let status = Command::new("rustc")
        .args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-o"])
        .args([plugin.as_os_str(), source.as_ref()])
        .args(more)
        .status();
    assert!(status.unwrap().success());
    plugin
}

/// A run with a plugin, and its arguments behind it.
fn with_plugin(args: &str, plugin: &str) -> Booted {
    Booted::with(args, |command| {
        command
            .arg("--qemu")
            .arg(built("qemu/usr/bin/qemu-system-aarch64"))
            .arg("--qemu-arg=-plugin")
            .arg(format!("--qemu-arg={plugin}"));
    })
}

#[test]
fn an_instruction_that_the_emulator_holds_up_is_blocked_beside_a_busy_host_too() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = stalls(dir.path(), &[]);
    let busy = Busy::new(2, &["yes"]);
    let booted = with_plugin(
        "--cpus 4 --ops ic-ivau --stale spin --samples 64 --sweep off --deadline-ms 2000",
        &plugin.display().to_string(),
    );
    drop(busy);
    let booted = booted.ends(4, &["ic ivau", "not released by anything"]);
    assert_eq!(booted.run.blocks.len(), 1, "{:?}", booted.run.blocks);
    assert!(booted.run.starved.is_empty(), "{:?}", booted.run.starved);
}

/// The same instruction is held up for 2.5 deadlines, once beside a sentinel that does not
/// run meanwhile: it cannot say that the core stood, nor that it went on.
#[test]
fn what_the_sentinel_did_not_run_for_is_inconclusive_and_not_blocked() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = stalls(dir.path(), &[]);
    let plan = "--cpus 3 --sentinel 2 --ops ic-ivau --stale spin --samples 64 --sweep off \
                --deadline-ms 1000";
    for (beside, code, verdict) in [("/2", 6, Verdict::Inconclusive), ("", 4, Verdict::Blocked)] {
        let told = dir.path().join(verdict.name());
        let plugin = format!(
            "{},out={},stall=d50b7520/0/50/2500{beside}",
            plugin.display(),
            told.display()
        );
        let booted = with_plugin(plan, &plugin).ends(code, &[]);
        assert_eq!(fs::read_to_string(told).unwrap().lines().count(), 1);
        let run = &booted.run;
        assert!(run.starved.is_empty(), "{:?}", run.starved);
        let case = &run.cases[0];
        assert_eq!(case.verdict, verdict, "{case:?}");
        let blocked = verdict == Verdict::Blocked;
        assert_eq!(run.blocks.len(), usize::from(blocked), "{:?}", run.blocks);
        let why = case.why.as_deref().unwrap_or_default();
        assert_eq!(why.contains("it did not run then"), !blocked, "{why}");
    }
}
