//! `--check-coherence`: the image misses no maintenance of its own, and the
//! checker would notice.

mod guests;
mod necessity;
mod on_purpose;
mod sites;

use std::process::Command;

use stalecore_model::{
    hazard::{Hazard, Kind},
    run::Run,
};

use crate::{
    dist::{Booted, built},
    fake::{Ended, Fake},
};

/// A run under the checker.
fn checked(how: &str, args: &str) -> Booted {
    for needed in ["qemu", "stalecore.elf", "libstalecore_coherence.so"] {
        built(needed);
    }
    Booted::new(&format!("--check-coherence={how} --cpus 4 {args}"))
}

/// The hazards that are not there on purpose.
fn own(run: &Run) -> impl Iterator<Item = &Hazard> {
    run.hazards.iter().filter(|hazard| hazard.meant.is_empty())
}

/// A run that was really checked and in which nothing is found except what is wrong on
/// purpose.
#[track_caller]
fn is_clean(args: &str) {
    let booted = checked("", args);
    let run = &booted.run;
    let found: Vec<_> = own(run).collect();
    assert!(found.is_empty(), "{args}: {found:#?}");
    let seen = run.coherence.as_ref();
    let seen = seen.unwrap_or_else(|| panic!("{args}: {}", booted.ended.err));
    assert!(seen.image.is_some() && !seen.other, "{args}: {seen:?}");
    assert!(seen.accesses > 100_000 && seen.fetches > 100_000, "{args}");
    assert!(seen.unseen.is_empty(), "{args}: {:?}", seen.unseen);
    // Blocks and the like are found as without the checker.
    assert_ne!(booted.ended.code, 2, "{args}: {}", booted.ended.err);
}

#[test]
fn the_image_misses_no_maintenance() {
    is_clean(
        "--ops ic-ivau,dc-civac,flush-icache-range --stale spin,mmu-off,cpu-off,ic-storm \
         --samples 4",
    );
    is_clean("--scenario kdump");
}

#[test]
fn a_missing_instruction_is_a_hazard() {
    // The first core had its caches on before any code was written.
    let args =
        "--ops dc-civac --stale mmu-off --initiators 2 --stale-cpus 0 --samples 4 --sweep off";
    for (site, kinds) in [
        // The tables and mmu_setup, written with the caches off.
        (
            "invalidate_range+24",
            [Kind::ReadStale, Kind::WriteStale].as_slice(),
        ),
        // Code that was written and is executed.
        ("caches_clean_inval_pou+40", &[Kind::FetchNotClean]),
        ("caches_clean_inval_pou+96", &[Kind::FetchNotInvalidated]),
        // Barriers are instructions too.
        ("caches_clean_inval_pou+56", &[Kind::FetchNotInvalidated]),
    ] {
        let booted = checked(&format!("ignore={site}"), args).ends(
            2,
            &["hazard: CPU", "relies on memory", "ignored as asked", site],
        );
        let found = &booted.run.hazards;
        assert!(!found.is_empty(), "{site}");
        for hazard in found {
            assert!(kinds.contains(&hazard.kind), "{site}: {hazard:#?}");
        }
        assert_eq!(booted.run.exit, 2);
    }
}

#[test]
fn what_cannot_be_checked_is_said() {
    let run = |args: &[&str]| {
        let mut command = Command::new(built("stalecore"));
        let out = tempfile::tempdir().unwrap();
        command.args(["run", "--out"]).arg(out.path()).args(args);
        Ended::of(&mut command)
    };
    // No core executes that.
    let booted = checked("ignore=nothing+4", "--ops none --stale spin --samples 4").ends(2, &[]);
    let said = booted.ended.err.lines().last().unwrap_or_default();
    assert!(
        said.contains("ignore=nothing+4: no maintenance was executed there"),
        "{said}"
    );
    let old = Fake::answering("QEMU emulator version 7.2.22 (Debian)", "");
    let qemu = old.path("qemu");
    let ended = run(&["--check-coherence", "--qemu", qemu.to_str().unwrap()]);
    assert_eq!(ended.code, 2);
    ended.one_line(&[
        "--check-coherence",
        "QEMU 7.2.22",
        "9.2 and newer",
        "make qemu",
    ]);
    let image = old.path("image");
    let ended = run(&["--check-coherence", "--image", image.to_str().unwrap()]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["no symbols", "the ELF file"]);
    let ended = run(&["--check-coherence", "--icount"]);
    assert_eq!(ended.code, 2);
    ended.one_line(&["--check-coherence: not with --icount"]);
    let ended = run(&["--check-coherence=lines"]);
    assert_eq!(ended.code, 2);
}

/// All of it takes minutes; `.ci/run` does it.
#[test]
#[ignore = "takes minutes"]
fn whatever_the_image_does() {
    let short = "--ops ic-ivau,flush-icache-range --stale spin,mmu-off,cpu-off --samples 4";
    for args in [
        "--ops ic-ivau,dc-civac,flush-icache-range --stale all --samples 4",
        "--ops all --lines all --stale spin,mmu-off,cpu-off --samples 4 --sweep off",
        "--ops selftest-stale,selftest-slow,selftest-fault --stale spin --samples 4",
        "--scenario kdump --kernel 4.18",
        "--scenario kdump --kernel 5.16",
        "--scenario kdump --kernel 6.12",
        "--ops ic-ivau --stale spin,mmu-off --samples 4 --fabric deaf=spin --deadline-ms 1000 \
         --after-block reset",
    ] {
        is_clean(args);
    }
    for machine in [
        "--el 1",
        "--el 3",
        "--gic 2",
        "--cpu neoverse-n1",
        "--boot uefi",
        "--boot u-boot",
        "--boot grub",
    ] {
        is_clean(&format!("{short} {machine}"));
    }
    let longer = checked("line=256", short);
    assert!(longer.run.hazards.is_empty(), "{:#?}", longer.run.hazards);
}
