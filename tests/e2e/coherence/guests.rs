//! Small programs under the checker, as other firmware might be: right, or wrong in one
//! place.

use std::{fs, path::Path, process::Command};

use stalecore_model::hazard::{Found, Kind};

use crate::{dist::built, fake::Ended, host::alone};

/// What the checker finds of `guest.S`: kind, and where on both sides.
fn found(via: u32, dsb: u32, second: u32) -> Vec<(Kind, String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let [object, elf, out] = ["guest.o", "guest.elf", "out"].map(|name| dir.path().join(name));
    let done = |command: &mut Command| {
        let ended = Ended::of(command);
        assert_eq!(ended.code, 0, "{command:?}: {}", ended.err);
    };
    let mut assembler = Command::new("aarch64-linux-gnu-as");
    for (symbol, value) in [("VIA", via), ("DSB", dsb), ("SECOND", second)] {
        assembler.arg("--defsym").arg(format!("{symbol}={value}"));
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/coherence/guest.S");
    done(assembler.arg("-o").args([&object, &source]));
    done(
        Command::new("aarch64-linux-gnu-ld")
            .args(["-Ttext=0x40080000", "-o"])
            .args([&elf, &object]),
    );
    let plugin = built("libstalecore_coherence.so");
    let plugin = format!(
        "{},elf={},out={}",
        plugin.display(),
        elf.display(),
        out.display()
    );
    let guard = alone();
    done(
        Command::new("timeout")
            .arg("120")
            .arg(built("qemu/usr/bin/qemu-system-aarch64"))
            .args([
                "-M",
                "virt,gic-version=3",
                "-cpu",
                "cortex-a72",
                "-smp",
                "2",
            ])
            .args(["-m", "128M", "-nodefaults", "-display", "none"])
            .args(["-plugin", &plugin, "-kernel"])
            .arg(&elf),
    );
    drop(guard);
    let text = fs::read_to_string(&out).unwrap();
    let mut hazards = Vec::new();
    let mut ended = false;
    for line in text.lines() {
        match serde_json::from_str(line).unwrap() {
            Found::Hazard(hazard) => hazards.push((hazard.kind, hazard.by.at, hazard.with.at)),
            Found::Coverage(coverage) => ended = coverage.image.is_some() && !coverage.other,
        }
    }
    assert!(ended, "{text}");
    hazards
}

/// Normal Write-Back and Non-cacheable, as MAIR_EL1 has them.
const WRITE_BACK: u32 = 0xff;
const NON_CACHEABLE: u32 = 0x44;

#[test]
fn who_is_told_before_the_dsb_relies_on_nothing() {
    let reads = |kind, at: &str, with: &str| vec![(kind, at.to_string(), with.to_string())];
    // SEV, an SGI, CPU_ON.
    for via in 0..3 {
        assert_eq!(
            found(via, 0, WRITE_BACK),
            reads(Kind::NoDsb, "read", "clean"),
            "{via}"
        );
        assert_eq!(found(via, 1, WRITE_BACK), [], "{via}");
    }
    // Its own caches off: what it has written is still dirty in them.
    let own = found(3, 0, WRITE_BACK);
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(own[0].0, Kind::ReadPastDirty);
    assert_eq!(found(3, 1, WRITE_BACK), []);
}

#[test]
fn two_mappings_of_a_page_have_one_type() {
    let kinds = |second| {
        let kinds = found(4, 0, second).into_iter().map(|(kind, ..)| kind);
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(NON_CACHEABLE), [Kind::Mismatched]);
    assert_eq!(kinds(WRITE_BACK), []);
}
