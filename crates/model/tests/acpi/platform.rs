//! From tables to the `Platform`.

use stalecore_model::{
    acpi::{AcpiError, extents, platform},
    platform::{
        Conduit, Cpu, Gic, GicV3, Place, Platform, Redistributors, Region, Source, Start, Uart,
        UartKind, Watchdog, devicetree,
    },
};

use crate::{
    made::{gicc, gicd, gicr, gtdt, machine, madt, table, watchdog},
    memory::Memory,
};

const VIRT_8: &[u8] = include_bytes!("../data/dtb/virt-8-gicv3-hvc.dtb");
const VIRT_128: &[u8] = include_bytes!("../data/dtb/virt-128.dtb");
const VIRT_8_SMC: &[u8] = include_bytes!("../data/dtb/virt-8-gicv3-smc.dtb");

/// What a loader hands over: memory and arguments, nothing about the machine.
fn handover() -> Platform {
    Platform {
        source: Source::DeviceTree,
        model: "a board".into(),
        cpus: vec![],
        gic: Gic::V3(GicV3 {
            gicd: region(0, 0),
            gicr: vec![],
            stride: None,
            by_socket: false,
        }),
        psci: None,
        psci_functions: None,
        suspend: vec![],
        sdei: false,
        uart: None,
        memory: vec![region(0x4000_0000, 0x1000_0000)],
        reserved: vec![region(0x4100_0000, 0x1000)],
        ramoops: None,
        framebuffer: None,
        watchdog: None,
        witnesses: vec![],
        bootargs: "stalecore.samples=3".into(),
        rsdp: Some(1),
        recorder: None,
        kexec: None,
        notes: vec!["handed over".into()],
    }
}

fn region(base: u64, size: u64) -> Region {
    Region { base, size }
}

fn of(memory: &Memory) -> Result<Platform, AcpiError> {
    on(memory, 0x410f_d083)
}

/// On a core of this MIDR.
fn on(memory: &Memory, midr: u64) -> Result<Platform, AcpiError> {
    platform(handover(), memory.rsdp, midr, |a, l| memory.bytes(a, l))
}

#[test]
fn the_same_machine_from_acpi_and_from_its_device_tree() {
    for (tables, tree) in [
        ("virt-8-gicv3", VIRT_8),
        ("virt-8-el2", VIRT_8_SMC),
        ("virt-128-gicv3", VIRT_128),
    ] {
        let tree = devicetree::read(tree).unwrap();
        let acpi = of(&Memory::dumped(tables)).unwrap();
        let mpidrs = |p: &Platform| p.cpus.iter().map(|c| c.mpidr).collect::<Vec<_>>();
        assert_eq!(mpidrs(&acpi), mpidrs(&tree), "{tables}");
        assert_eq!(acpi.gic, tree.gic, "{tables}");
        assert_eq!(acpi.uart.unwrap().registers, tree.uart.unwrap().registers);
        assert_eq!(acpi.watchdog, tree.watchdog);
        assert!(acpi.cpus.iter().all(|c| c.start == Start::Psci));
    }
}

#[test]
fn what_was_handed_over_stays() {
    let p = of(&Memory::dumped("virt-8-gicv2")).unwrap();
    let before = handover();
    assert_eq!(p.source, Source::Acpi);
    assert_eq!(p.model, before.model);
    assert_eq!(p.memory, before.memory);
    assert_eq!(p.reserved, before.reserved);
    assert_eq!(p.bootargs, before.bootargs);
    assert_eq!(p.notes, before.notes);
    assert_eq!(
        p.gic,
        Gic::V2 {
            gicd: region(0x0800_0000, 0x1000),
            gicc: region(0x0801_0000, 0x2000),
        }
    );
    assert_eq!(
        p.uart,
        Some(Uart {
            kind: UartKind::Pl011,
            registers: region(0x0900_0000, 0x1000),
            reg_shift: 2,
            io_width: 4,
        })
    );
}

#[test]
fn cores_know_their_place() {
    let p = of(&Memory::dumped("virt-16-topology")).unwrap();
    let place = Place {
        socket: Some(1),
        cluster: Some(3),
        core: 7,
    };
    assert_eq!(p.cpus[15].place, Some(place));
}

#[test]
fn only_enabled_cpus_count_each_once() {
    let p = of(&machine(&[madt(&[
        gicd(0x1000, 3),
        gicc(0, 0x8_0000, 1, 0),
        gicc(1, 0x8_0100, 0, 0),
        gicc(2, 0x8_0200, 1 << 3, 0),
        gicc(3, 0x8_0000, 1, 0),
        gicr(0x10_0000, 0x2_0000),
    ])]))
    .unwrap();
    assert_eq!(p.cpus, [Cpu::new(0x8_0000, Start::Pen)]);
    assert_eq!(p.psci, None, "no FADT, so no way to call PSCI");
    assert!(p.notes.contains(
        &"MADT: 2 CPUs disabled, of which 1 could be brought online, and none is".into()
    ));
    assert!(
        p.notes
            .contains(&"MADT: 1 CPU repeats another's MPIDR, skipped".into())
    );
}

#[test]
fn redistributors_named_per_cpu_are_one_frame_each() {
    let p = of(&machine(&[madt(&[
        gicd(0x1000, 4),
        gicc(0, 0, 1, 0xae14_0000),
        gicc(1, 1, 1, 0xae10_0000),
        gicc(2, 2, 1, 0xae12_0000),
        gicc(3, 3, 0, 0xae16_0000),
        gicc(4, 0x1_0000, 1, 0x400_ae10_0000),
    ])]))
    .unwrap();
    assert_eq!(
        p.gic,
        Gic::V3(GicV3 {
            gicd: region(0x1000, 0x1_0000),
            gicr: [0xae10_0000, 0xae12_0000, 0xae14_0000, 0x400_ae10_0000]
                .map(|base| Redistributors {
                    region: region(base, 0x2_0000),
                    single: true,
                })
                .into(),
            stride: None,
            by_socket: false,
        })
    );
}

#[test]
fn phytium_s_own_structures_make_it_an_s2500_only_on_its_cores() {
    let vendor = |socket: u64| {
        let mut own = gicd(socket << 41 | 0x2900_0000, 3);
        own[0] = 128;
        own
    };
    let cores = [
        vendor(0),
        vendor(1),
        gicc(0, 0, 1, 0),
        gicc(64, 0x1_0000, 1, 0),
        gicr(0x2980_0000, 0x80_0000),
        gicr(1 << 41 | 0x2980_0000, 0x80_0000),
    ];
    let with_gicd: Vec<Vec<u8>> = [gicd(0x2900_0000, 3)]
        .into_iter()
        .chain(cores.clone())
        .collect();
    for tables in [&cores[..], &with_gicd] {
        let Gic::V3(v3) = on(&machine(&[madt(tables)]), 0x701f_6633).unwrap().gic else {
            panic!("not v3")
        };
        assert!(v3.by_socket);
        assert_eq!(v3.gicd, region(0x2900_0000, 0x1_0000));
    }
    let Gic::V3(v3) = of(&machine(&[madt(&with_gicd)])).unwrap().gic else {
        panic!("not v3")
    };
    assert!(!v3.by_socket);
    assert_eq!(of(&machine(&[madt(&cores)])).unwrap_err(), AcpiError::NoGic);
}

#[test]
fn an_unversioned_distributor_is_known_by_its_company() {
    let v3 = of(&machine(&[madt(&[gicd(0x1000, 0), gicc(0, 0, 1, 0x2000)])])).unwrap();
    assert!(matches!(v3.gic, Gic::V3(_)));
    let mut with_gicc = gicc(0, 0, 1, 0);
    with_gicc[32..40].copy_from_slice(&0x9000_u64.to_le_bytes());
    let v2 = of(&machine(&[madt(&[gicd(0x1000, 0), with_gicc])])).unwrap();
    assert!(matches!(v2.gic, Gic::V2 { .. }));
    assert!(v2.notes.iter().any(|n| n.contains("gives no version")));
}

#[test]
fn machines_that_cannot_be_used_are_refused() {
    let refused = |structures: &[Vec<u8>]| of(&machine(&[madt(structures)])).unwrap_err();
    assert_eq!(refused(&[gicc(0, 0, 1, 0x2000)]), AcpiError::NoGic);
    assert_eq!(
        refused(&[gicd(0x1000, 3), gicc(0, 0, 1, 0)]),
        AcpiError::NoGic
    );
    assert_eq!(
        refused(&[gicd(0x1000, 3), gicc(0, 0, 0, 0x2000)]),
        AcpiError::NoCpus
    );
    let many: Vec<_> = (0..600).map(|i| gicc(i, i.into(), 1, 0x2000)).collect();
    assert_eq!(
        refused(&[vec![gicd(0x1000, 3)], many].concat()),
        AcpiError::TooManyCpus(600)
    );
}

#[test]
fn the_watchdog_and_the_conduit() {
    let p = of(&machine(&[
        madt(&[gicd(0x1000, 3), gicc(0, 0, 1, 0x2000)]),
        gtdt(&[watchdog(0x2800_a000, 0x2800_b000, 92, 0)]),
    ]))
    .unwrap();
    assert_eq!(
        p.watchdog,
        Some(Watchdog {
            refresh: region(0x2800_a000, 0x1000),
            control: region(0x2800_b000, 0x1000),
        })
    );
    let psci = |name| of(&Memory::dumped(name)).unwrap().psci;
    assert_eq!(psci("virt-8-gicv3"), Some(Conduit::Hvc));
    assert_eq!(psci("virt-8-el2"), Some(Conduit::Smc));
    let mut none = Memory::dumped("virt-8-gicv3");
    none.change(b"FACP", |t| t[129] = 0);
    let none = of(&none).unwrap();
    assert_eq!((none.psci, none.cpus[0].start), (None, Start::Pen));
}

#[test]
fn an_interconnect_in_the_dsdt_is_a_witness() {
    let body = b"CMN0\x08_HID\x0dARMHC700\0\x08_CRS\x11\x11\x0a\x0e\x86\x09\0\x01\0\0\0\x50\0\0\0\x10\x79\0";
    let length = u8::try_from(body.len() + 1).unwrap();
    let aml = [&[0x5b, 0x82, length][..], body].concat();
    let mut fadt = vec![0; 240];
    let at = 0x200_0000_0000_u64;
    fadt[140 - 36..148 - 36].copy_from_slice(&at.to_le_bytes());
    let tables = [
        madt(&[gicc(0, 0, 1, 0), gicd(1 << 20, 3), gicr(2 << 20, 1 << 20)]),
        table(b"FACP", 6, &fadt),
    ];
    let mut memory = machine(&tables);
    memory.blocks.insert(at, table(b"DSDT", 2, &aml));
    let found = of(&memory).unwrap().witnesses;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].region, region(0x5000_0000, 0x1000_0000));
    let extents = extents(memory.rsdp, |a, l| memory.bytes(a, l)).unwrap();
    assert!(
        extents.iter().any(|extent| extent.base == at),
        "{extents:?}"
    );
}

#[test]
fn as_many_cores_as_the_harness_handles_are_taken() {
    let with = |count: u32| {
        let cores = (0..count).map(|i| gicc(i, i.into(), 1, 0x2000));
        let all: Vec<_> = [gicd(0x1000, 3)].into_iter().chain(cores).collect();
        of(&machine(&[madt(&all)])).map(|platform| platform.cpus.len())
    };
    assert_eq!(with(512), Ok(512));
    assert_eq!(with(513), Err(AcpiError::TooManyCpus(513)));
}
