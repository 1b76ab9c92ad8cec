//! The seeds of `make fuzz` that are made here, and that each gets past the first checks of
//! what reads it. `STALECORE_WRITE_SEEDS=1 cargo test -p stalecore-model --test seeds`
//! writes them again.

mod elf;
#[allow(dead_code, reason = "the readers' own tests have the rest")]
#[path = "../acpi/made.rs"]
mod made;
#[allow(dead_code, reason = "likewise")]
#[path = "../acpi/memory.rs"]
mod memory;

use std::{collections::BTreeMap, fs, path::Path};

use memory::{Memory, seal};
use stalecore_model::{
    acpi,
    glossary::Subject,
    mark::{Phase, Seen, Site},
    recorder::{Flight, Kind, Recorder},
    symbols::{self, Symbols},
};

/// Is this what lies in `tests/fuzz/seeds`?
#[track_caller]
fn is_kept(name: &str, seed: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fuzz/seeds")
        .join(name);
    if std::env::var_os("STALECORE_WRITE_SEEDS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, seed).unwrap();
    }
    let kept = fs::read(&path).unwrap_or_default();
    assert!(
        kept == seed,
        "STALECORE_WRITE_SEEDS=1 writes {}",
        path.display()
    );
}

/// Where the fuzzer's bytes lie in its machine's memory.
const AT: u64 = 0x4000_0000;

/// The structures one behind the other, the RSDP in front, and each address right.
fn moved(memory: &Memory) -> Vec<u8> {
    let rest = memory.blocks.iter().filter(|(at, _)| **at != memory.rsdp);
    let all = [(&memory.rsdp, &memory.blocks[&memory.rsdp])];
    let mut bytes = Vec::new();
    let mut places = BTreeMap::new();
    for (from, block) in all.into_iter().chain(rest) {
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        places.insert(*from, (bytes.len(), block.len()));
        bytes.extend(block);
    }
    let mut follow = |at: usize| {
        let from = u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
        if let Some((to, _)) = places.get(&from) {
            bytes[at..at + 8].copy_from_slice(&(AT + *to as u64).to_le_bytes());
        }
    };
    // The RSDP's XSDT, what that lists, and the FADT's X_DSDT.
    follow(24);
    for (from, (at, length)) in &places {
        match &memory.blocks[from][..4] {
            b"XSDT" => (at + 36..at + length).step_by(8).for_each(&mut follow),
            b"FACP" => follow(at + 140),
            _ => {}
        }
    }
    for (at, length) in places.values().copied() {
        if at > 0 {
            seal(&mut bytes[at..at + length]);
        }
    }
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[32] = 0;
    bytes[8] = 0;
    bytes[8] = sum(&bytes[..20]).wrapping_neg();
    bytes[32] = sum(&bytes[..36]).wrapping_neg();
    bytes
}

#[test]
fn tables() {
    for name in ["virt-8-gicv3", "virt-16-topology", "virt-1-gicv2"] {
        let dumped = Memory::dumped(name);
        let bytes = moved(&dumped);
        let memory = |address: u64, length: usize| {
            let from = usize::try_from(address.checked_sub(AT)?).ok()?;
            bytes.get(from..from.checked_add(length)?)
        };
        let here = acpi::read(AT, memory).unwrap();
        let there = dumped.read().unwrap();
        assert_eq!(here, there, "{name}");
        is_kept(&format!("acpi/{name}"), &bytes);
    }
}

#[test]
fn a_recorder() {
    let mut bytes = vec![0; 8192];
    let mut recorder = Recorder::create(&mut bytes, "ops=ic-ivau stale=spin", || ()).unwrap();
    for (kind, text) in [
        (Kind::Boot, "1000000"),
        (Kind::Context, "{\"note\":{\"text\":\"seed\"}}"),
        (
            Kind::Record,
            "{\"case\":{\"n\":1,\"op\":\"ic-ivau\",\"state\":\"spin\"}}",
        ),
        (Kind::Trial, "2 1-3,5 begun"),
        (Kind::Trial, "2 1-3,5 blocked"),
        (Kind::Step, "stopping CPU 3"),
        (Kind::Saved, ""),
        (Kind::Boot, "1000000"),
        (Kind::End, ""),
    ] {
        assert!(recorder.append(kind, text));
    }
    let site = Site {
        offset: 92,
        ..Site::of(Subject::IcIvau, Phase::Step)
    };
    recorder.set_in_flight(Some(&Flight {
        case: 2,
        cpu: 1,
        seen: Seen {
            sequence: 3,
            site: Some(site),
            address: 0x4000_1000,
            returned: 2,
        },
        still_ms: 500,
        at: 2_000_000,
    }));
    assert_eq!(recorder.log().entries().count(), 9);
    is_kept("recorder/some", &bytes);
}

#[test]
fn a_symbol_table() {
    let names = [
        (0, "image_head"),
        (0x100, "flush_icache_range"),
        (0x180, "timed"),
        (0x200, "timed"),
    ];
    let names = names.map(|(at, name)| (at, name.to_owned())).to_vec();
    let table = symbols::build(names, 4096).unwrap();
    let (name, behind) = Symbols::read(&table).unwrap().find(0x15c).unwrap();
    assert_eq!((&*name.to_string(), behind), ("flush_icache_range", 92));
    is_kept("symbols/some", &table);
}

#[test]
fn an_elf_file() {
    is_kept("elf/image", &elf::image());
}
