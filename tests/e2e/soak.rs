//! What befalls runs, one of each kind: a sample of `make soak`.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::{dist::built, fake::Ended, host::alone};

/// A seed whose first of each kind are short.
const SEED: &str = "3";
/// As many as the script has.
const KINDS: usize = 10;

#[test]
fn whatever_befalls_a_run_nothing_is_lost_or_left() {
    built("stalecore.img");
    built("qemu/usr/bin/qemu-system-aarch64");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bench/soak");
    let guard = alone();
    let ended = Ended::of(Command::new(script).args(["--seed", SEED, "--each"]));
    drop(guard);
    assert_eq!(ended.code, 0, "{}\n{}", ended.err, ended.out);
    let lines = ended.out.lines();
    let kinds: BTreeSet<_> = lines
        .filter(|line| line.ends_with(": as it should be"))
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
}
