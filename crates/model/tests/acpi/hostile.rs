//! Damaged tables: whatever the bytes, the reader returns, and says what it
//! did not believe.

use proptest::prelude::*;
use stalecore_model::acpi::{AcpiError, MAX_TABLE};

use crate::{
    made::{gicc, gicd, gtdt, machine, madt, node, node_at, rsdp, table, watchdog},
    memory::{Memory, seal},
    odd::with_one_cpu,
};

#[test]
fn no_sound_path_from_the_rsdp_is_an_error() {
    let good = machine(&[madt(&[gicc(0, 0, 1, 0)])]);
    let xsdt = good.rsdp + 0x10_0000;
    let error = |change: &dyn Fn(&mut Memory)| {
        let mut memory = good.clone();
        change(&mut memory);
        memory.read().unwrap_err()
    };
    let set_rsdp = |m: &mut Memory, bytes| m.blocks.insert(m.rsdp, bytes);
    assert_eq!(
        error(&|m| m.rsdp = 0),
        AcpiError::OutsideMemory {
            what: "RSDP",
            address: 0,
            length: 20
        }
    );
    assert_eq!(
        error(&|m| m.rsdp = xsdt),
        AcpiError::NotAnRsdp { address: xsdt }
    );
    let checksum = |what| AcpiError::Checksum { what };
    assert_eq!(
        error(&|m| m.blocks.get_mut(&m.rsdp.clone()).unwrap()[9] ^= 1),
        checksum("RSDP")
    );
    assert_eq!(
        error(&|m| m.blocks.get_mut(&m.rsdp.clone()).unwrap()[30] ^= 1),
        checksum("RSDP")
    );
    assert_eq!(
        error(&|m| drop(set_rsdp(m, rsdp(0, xsdt)))),
        AcpiError::NoXsdt { revision: 0 }
    );
    assert_eq!(
        error(&|m| drop(set_rsdp(m, rsdp(2, 0)))),
        AcpiError::NoXsdt { revision: 2 }
    );
    assert_eq!(
        error(&|m| drop(set_rsdp(m, rsdp(2, u64::MAX - 3)))),
        AcpiError::OutsideMemory {
            what: "XSDT",
            address: u64::MAX - 3,
            length: 36
        }
    );
    assert_eq!(error(&|m| m.table(b"XSDT")[20] ^= 1), checksum("XSDT"));
    assert_eq!(
        error(&|m| m.table(b"XSDT")[0] = b'R'),
        AcpiError::Missing("XSDT")
    );
    assert_eq!(
        error(&|m| m.table(b"XSDT")[4..8].copy_from_slice(&35_u32.to_le_bytes())),
        AcpiError::Length {
            what: "XSDT",
            length: 35
        }
    );
    assert_eq!(
        error(&|m| m.table(b"APIC")[0] = b'Q'),
        AcpiError::Missing("MADT")
    );
    assert_eq!(
        error(&|m| m.change(b"APIC", |t| t.truncate(44))),
        AcpiError::NoCpus
    );
}

#[test]
fn a_bad_checksum_below_the_root_is_a_note() {
    let mut memory = Memory::dumped("virt-8-gicv3");
    memory.table(b"APIC")[9] ^= 0x55;
    memory.table(b"GTDT")[9] ^= 0x55;
    let d = memory.read().unwrap();
    assert_eq!(d.madt.gicc.len(), 8);
    assert_eq!(
        d.notes,
        [
            "MADT: wrong checksum; read nevertheless",
            "GTDT: wrong checksum; read nevertheless"
        ]
    );
}

#[test]
fn a_structure_of_length_zero_ends_the_walk() {
    for length in [0, 1] {
        let mut zero = gicc(1, 1, 1, 0);
        zero[1] = length;
        let d = machine(&[madt(&[
            gicd(0x1000, 3),
            gicc(0, 0, 1, 0),
            zero,
            gicc(2, 2, 1, 0),
        ])])
        .read()
        .unwrap();
        assert_eq!(d.madt.gicc.len(), 1);
        assert_eq!(
            d.notes[0],
            format!(
                "MADT+0x90: structure of length {length} with 152 bytes left; nothing after it is read"
            )
        );
    }
    let mut zero = watchdog(1, 2, 3, 0);
    zero[1] = 0;
    let d = with_one_cpu(gtdt(&[zero, watchdog(4, 5, 6, 0)]))
        .read()
        .unwrap();
    assert_eq!(d.gtdt.unwrap().watchdogs, []);
    assert!(
        d.notes[0].starts_with("GTDT+0x60: structure of length 0"),
        "{:?}",
        d.notes
    );
}

#[test]
fn a_structure_longer_than_its_table_is_not_read() {
    let mut long = gicc(1, 1, 1, 0);
    long[1] = 77;
    let d = machine(&[madt(&[gicc(0, 0, 1, 0), long])]).read().unwrap();
    assert_eq!(d.madt.gicc.len(), 1);
    assert!(d.notes[0].starts_with("MADT+0x78: structure of length 77 with 76 bytes left"));
}

#[test]
fn tables_too_long_or_outside_memory_are_not_read() {
    for (length, note) in [
        (0_u32, "ACPI: GTDT: impossible length 0"),
        (u32::MAX, "ACPI: GTDT: impossible length 4294967295"),
        (97, "ACPI: GTDT: no memory at 0x10000300000, 97 bytes"),
    ] {
        let mut memory = with_one_cpu(gtdt(&[]));
        memory.table(b"GTDT")[4..8].copy_from_slice(&length.to_le_bytes());
        let d = memory.read().unwrap();
        assert_eq!(d.gtdt, None);
        assert_eq!(d.notes[0], format!("GTDT: {note}"));
    }
}

#[test]
fn topologies_in_circles_end() {
    let circle = [
        node(0, node_at(1), 0),
        node(0, node_at(0), 0),
        node(0b1010, node_at(0), 7),
        node(0b1010, node_at(3), 8),
        node(0b1010, 12345, 9),
    ];
    let d = with_one_cpu(table(b"PPTT", 2, &circle.concat()))
        .read()
        .unwrap();
    let topology = d.topology.unwrap();
    assert_eq!(topology.len(), 3);
    assert!(
        [7, 8, 9]
            .iter()
            .all(|u| topology.place(*u).unwrap().socket.is_none())
    );
    assert!(
        d.notes
            .iter()
            .any(|n| n.contains("a tree too deep, or a circle (2 times)"))
    );
    assert!(
        d.notes
            .iter()
            .any(|n| n.contains("a parent that is no processor structure"))
    );
}

#[test]
fn the_longest_tables_are_read_in_time() {
    // The most structures that fit, each of them an oddity.
    let most = vec![[200_u8, 2]; MAX_TABLE / 2 - 60].concat();
    let mut full = madt(&[gicc(0, 0, 1, 0), most]);
    full.truncate(MAX_TABLE);
    let nodes = vec![node(0b0010, node_at(0), 1); (MAX_TABLE - 36) / 20].concat();
    let memory = machine(&[full, table(b"PPTT", 1, &nodes)]);
    let start = std::time::Instant::now();
    let d = memory.read().unwrap();
    assert_eq!(d.madt.gicc.len(), 1);
    assert!(d.notes[0].contains("type 200"), "{:?}", d.notes);
    assert!(start.elapsed().as_secs() < 10);
}

proptest! {
    /// Bytes changed at random in real tables, lengths and checksums included.
    #[test]
    fn changed_bytes_never_panic(
        name in prop::sample::select(vec!["virt-8-gicv2", "virt-8-gicv3", "virt-16-topology"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..24),
        reseal in any::<bool>(),
    ) {
        let mut memory = Memory::dumped(name);
        let addresses: Vec<u64> = memory.blocks.keys().copied().collect();
        for (block, at, value) in changes {
            let address = *block.get(&addresses);
            if reseal && address == memory.rsdp {
                continue;
            }
            let bytes = memory.blocks.get_mut(&address).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = value;
            if reseal && at > 9 {
                seal(bytes);
            }
        }
        if let Ok(d) = memory.read() {
            prop_assert!(!d.madt.gicc.is_empty());
            prop_assert!(d.notes.len() <= 65);
        }
    }

    /// Nothing but the headers is right.
    #[test]
    fn random_bodies_never_panic(
        madt_body in prop::collection::vec(any::<u8>(), 0..400),
        gtdt_body in prop::collection::vec(any::<u8>(), 0..400),
        spcr_body in prop::collection::vec(any::<u8>(), 0..100),
        fadt_body in prop::collection::vec(any::<u8>(), 0..200),
        pptt_body in prop::collection::vec(any::<u8>(), 0..400),
        revision in any::<u8>(),
    ) {
        let mut whole = madt(&[gicc(0, 0, 1, 0)]);
        whole.extend(madt_body);
        seal(&mut whole);
        let d = machine(&[
            whole,
            table(b"GTDT", revision, &gtdt_body),
            table(b"SPCR", revision, &spcr_body),
            table(b"FACP", revision, &fadt_body),
            table(b"PPTT", revision, &pptt_body),
        ]).read().unwrap();
        prop_assert_eq!(d.madt.gicc[0].mpidr, 0);
        if let Some(spcr) = d.spcr {
            prop_assert!([1, 2, 4].contains(&spcr.io_width));
        }
    }

    /// Processor structures that name each other at random.
    #[test]
    fn random_trees_never_panic(nodes in prop::collection::vec((0_u32..16, 0_u32..40, 0_u32..8), 1..40), revision in 0_u8..3) {
        let nodes: Vec<_> = nodes.into_iter().map(|(flags, parent, uid)| node(flags, node_at(parent), uid)).collect();
        let d = with_one_cpu(table(b"PPTT", revision, &nodes.concat())).read().unwrap();
        let topology = d.topology.unwrap();
        prop_assert!(topology.len() <= 8);
    }
}
