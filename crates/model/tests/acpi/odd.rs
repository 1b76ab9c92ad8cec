//! Machines that are right but unlike QEMU's, after real boards and older
//! revisions of the specifications.

use stalecore_model::{
    acpi::{Gicd, Spcr, Watchdog},
    platform::Place,
};

use crate::{
    made::{Bytes, gicc, gicd, gicr, gtdt, machine, madt, node, node_at, spcr, table, watchdog},
    memory::Memory,
};

const MACHINE_HAS_NONE: [&str; 4] = [
    "GTDT: the machine has none",
    "SPCR: the machine has none",
    "FADT: the machine has none",
    "PPTT: the machine has none",
];

#[test]
fn vendor_structures_are_skipped_with_one_note() {
    // As the S2500 has one per socket: type 128 beside the usual ones.
    let vendor = |socket: u64| {
        let start = Bytes::default().u8(128).u8(24).u16(0).u32(0);
        start.u64(socket << 41 | 0x2900_0000).zeros(8).0
    };
    let d = machine(&[madt(&[
        gicd(0x2900_0000, 3),
        vendor(0),
        gicc(0, 0, 1, 0),
        vendor(1),
        gicc(64, 0x1_0000, 1, 0),
        gicr(0x2980_0000, 0x80_0000),
        gicr(1 << 41 | 0x2980_0000, 0x80_0000),
    ])])
    .read()
    .unwrap();
    assert_eq!(
        d.notes[0],
        "MADT+0x44: structure of type 128 (vendor's own), 24 bytes, skipped (2 times)"
    );
    assert_eq!(d.notes[1..], MACHINE_HAS_NONE);
    assert_eq!(d.madt.gicc[1].mpidr, 0x1_0000);
    assert_eq!(d.madt.gicr[1].base, 0x200_2980_0000);
}

#[test]
fn disabled_and_online_capable_cpus_are_told_apart() {
    let d = machine(&[madt(&[
        gicd(0x1000, 3),
        gicc(0, 0, 1, 0),
        gicc(1, 1, 0, 0),
        gicc(2, 2, 1 << 3, 0),
        gicc(3, 3, 1 | 1 << 3, 0),
    ])])
    .read()
    .unwrap();
    let flags = d.madt.gicc.iter().map(|c| (c.enabled, c.online_capable));
    assert_eq!(
        flags.collect::<Vec<_>>(),
        [(true, false), (false, false), (false, true), (true, false)]
    );
}

#[test]
fn longer_structures_are_fine_and_too_short_ones_are_noted() {
    let mut longer = gicc(0, 0x80000, 1, 0xae10_0000);
    longer.extend([0xff; 8]);
    longer[1] += 8;
    // ACPI 5.0 had 40 bytes and no MPIDR.
    let mut old = gicc(1, 0, 1, 0);
    old.truncate(40);
    old[1] = 40;
    let d = machine(&[madt(&[gicd(0x1000, 0), longer, old])])
        .read()
        .unwrap();
    assert_eq!(d.madt.gicc.len(), 1);
    assert_eq!(d.madt.gicc[0].mpidr, 0x80000);
    assert_eq!(d.madt.gicc[0].gicr, 0xae10_0000);
    assert_eq!(
        d.madt.gicd,
        Some(Gicd {
            base: 0x1000,
            version: 0
        })
    );
    assert_eq!(
        d.notes[0],
        "MADT+0x98: GICC of 40 bytes is too short, skipped"
    );
}

#[test]
fn watchdogs_and_timer_blocks() {
    let mut block = Bytes::default().u8(0).u16(60).u8(0).0;
    block.resize(60, 0xee);
    let d = with_one_cpu(gtdt(&[
        block,
        watchdog(0x2a45_0000, 0x2a44_0000, 91, 0b100),
        watchdog(0x2800_a000, 0x2800_b000, 92, 0b011),
    ]))
    .read()
    .unwrap();
    let gtdt = d.gtdt.unwrap();
    assert_eq!(gtdt.watchdogs.len(), 2);
    assert!(gtdt.watchdogs[0].secure);
    assert_eq!(
        gtdt.watchdog(),
        Some(&Watchdog {
            refresh: 0x2800_a000,
            control: 0x2800_b000,
            gsiv: 92,
            edge: true,
            active_low: true,
            secure: false,
        })
    );
}

#[test]
fn uarts() {
    let expect = |table: Vec<u8>, expected: Spcr| {
        assert_eq!(with_one_cpu(table).read().unwrap().spcr, Some(expected));
    };
    // A PL011 with its clock, rate as firmware left it.
    let pl011 = Spcr {
        interface: stalecore_model::platform::UartKind::Pl011,
        base: 0x9408_0000,
        io_width: 4,
        reg_shift: 2,
        gsiv: Some(67),
        baud: None,
        clock: Some(48_000_000),
    };
    let tail = [48_000_000, 0];
    expect(spcr(3, 3, [0, 32, 0, 3], 0x9408_0000, 0, tail), pl011);
    // Revision 2: what lies where the clock will be means nothing.
    let unclocked = Spcr {
        clock: None,
        baud: Some(115_200),
        ..pl011
    };
    expect(spcr(2, 3, [0, 8, 0, 1], 0x9408_0000, 7, tail), unclocked);
    // The SBSA UART, with a rate that the codes lack.
    let sbsa = Spcr {
        interface: stalecore_model::platform::UartKind::Pl011,
        baud: Some(921_600),
        clock: None,
        ..pl011
    };
    expect(
        spcr(4, 0x0e, [0, 32, 0, 3], 0x9408_0000, 7, [0, 921_600]),
        sbsa,
    );
    // A byte-wide 16550 behind a bus, beyond 4 GiB, and a word-wide one.
    let bytes = Spcr {
        interface: stalecore_model::platform::UartKind::Ns16550,
        base: 0x3_f000_02f8,
        io_width: 1,
        reg_shift: 0,
        baud: Some(115_200),
        clock: None,
        ..pl011
    };
    expect(spcr(2, 0, [0, 8, 0, 1], 0x3_f000_02f8, 7, [0, 0]), bytes);
    let words = Spcr {
        base: 0x800_2800_0000,
        io_width: 4,
        reg_shift: 2,
        ..bytes
    };
    expect(
        spcr(2, 0x12, [0, 32, 0, 3], 0x800_2800_0000, 7, [0, 0]),
        words,
    );
}

#[test]
fn uarts_that_cannot_be_driven_are_noted() {
    let note = |table| {
        let d = with_one_cpu(table).read().unwrap();
        assert_eq!(d.spcr, None);
        d.notes.into_iter().find(|n| n.starts_with("SPCR")).unwrap()
    };
    assert_eq!(
        note(spcr(2, 0x15, [0, 8, 0, 1], 0x1000, 7, [0, 0])),
        "SPCR: UART of type 0x15: no driver for it"
    );
    assert_eq!(
        note(spcr(2, 0, [1, 8, 0, 1], 0x3f8, 7, [0, 0])),
        "SPCR: the UART is in address space 1 at 0x3f8, not in memory"
    );
    assert_eq!(
        note(spcr(2, 3, [0, 8, 0, 1], 0, 7, [0, 0])),
        "SPCR: the UART is in address space 0 at 0x0, not in memory"
    );
}

/// Machine, 2 sockets; the first has 2 clusters of 2 cores, the second 1 core
/// of 2 threads without a cluster.
fn tree(revision: u8) -> Vec<u8> {
    let leaf = if revision >= 2 { 0b1010 } else { 0b0010 };
    let nodes = [
        node(0, 0, 0),
        node(1, node_at(0), 0),
        node(1, node_at(0), 1),
        node(0, node_at(1), 0),
        node(0, node_at(1), 1),
        node(leaf, node_at(3), 100),
        node(leaf, node_at(3), 101),
        node(leaf, node_at(4), 102),
        node(leaf, node_at(4), 103),
        node(0, node_at(2), 0),
        node(leaf | 0b100, node_at(9), 200),
        node(leaf | 0b100, node_at(9), 201),
    ];
    table(b"PPTT", revision, &nodes.concat())
}

#[test]
fn topology_of_unequal_sockets() {
    for revision in [1, 2] {
        let d = with_one_cpu(tree(revision)).read().unwrap();
        let topology = d.topology.unwrap();
        assert_eq!(topology.len(), 6, "revision {revision}");
        let place = |uid| topology.place(uid).unwrap();
        let at = |socket, cluster, core| Place {
            socket: Some(socket),
            cluster,
            core,
        };
        assert_eq!(place(100), at(0, Some(0), 0));
        assert_eq!(place(101), at(0, Some(0), 1));
        assert_eq!(place(103), at(0, Some(1), 3));
        assert_eq!(place(200), at(1, None, 4));
        assert_eq!(place(201), at(1, None, 4));
    }
}

/// A machine of one CPU and `table`.
pub fn with_one_cpu(table: Vec<u8>) -> Memory {
    machine(&[madt(&[gicd(0x1000, 3), gicc(0, 0, 1, 0x2000)]), table])
}

#[test]
fn each_flag_of_a_watchdog_is_its_own() {
    for (flags, means) in [
        (0b000, (false, false, false)),
        (0b001, (true, false, false)),
        (0b010, (false, true, false)),
        (0b100, (false, false, true)),
        (0b1000, (false, false, false)),
    ] {
        let d = with_one_cpu(gtdt(&[watchdog(0x1000, 0x2000, 91, flags)]))
            .read()
            .unwrap();
        let w = d.gtdt.unwrap().watchdogs[0];
        assert_eq!((w.edge, w.active_low, w.secure), means, "{flags:#b}");
    }
}

#[test]
fn structures_that_a_later_specification_may_have_are_unknown() {
    let d = machine(&[madt(&[
        gicd(0x1000, 3),
        Bytes::default().u8(0x18).u8(8).zeros(6).0,
        gicc(0, 0, 1, 0),
    ])])
    .read()
    .unwrap();
    assert_eq!(
        d.notes[0],
        "MADT+0x44: structure of type 24 (unknown), 8 bytes, skipped"
    );
}

#[test]
fn the_console_s_interrupt_counts_where_it_is_the_gic_s() {
    let gsiv = |kind: u8| {
        let mut memory = with_one_cpu(spcr(2, 3, [0, 32, 0, 3], 0x9408_0000, 7, [0, 0]));
        memory.change(b"SPCR", |t| t[52] = kind);
        memory.read().unwrap().spcr.unwrap().gsiv
    };
    assert_eq!(gsiv(1 << 3), Some(67));
    assert_eq!(gsiv(1), None, "that of a PC");
    assert_eq!(gsiv(0), None);
}

#[test]
fn only_a_leaf_with_a_number_is_a_cpu() {
    let topology = |nodes: &[Vec<u8>]| {
        let d = with_one_cpu(table(b"PPTT", 2, &nodes.concat()))
            .read()
            .unwrap();
        d.topology.unwrap()
    };
    let (package, numbered, leaf) = (1, 1 << 1, 1 << 3);
    let socket = node(package | numbered, 0, 7);
    let none = topology(&[socket.clone(), node(leaf, node_at(0), 100)]);
    assert_eq!(
        (none.len(), none.place(7), none.place(100)),
        (0, None, None)
    );
    assert!(none.is_empty());
    let one = topology(&[socket, node(leaf | numbered, node_at(0), 100)]);
    assert_eq!((one.len(), one.place(7)), (1, None));
    assert!(one.place(100).is_some() && !one.is_empty());
}
