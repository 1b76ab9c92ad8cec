//! The tables that EDK2 passes on under QEMU, at several sizes.

use std::collections::BTreeSet;

use stalecore_model::{
    acpi::{ArmBoot, Description, Redistributors, Spcr, extents},
    platform::Region,
};

use crate::memory::Memory;

/// What every `-M virt` has, whatever its size.
fn read_virt(name: &str, cpus: usize) -> Description {
    let d = Memory::dumped(name).read().unwrap();
    assert_eq!(d.notes, [""; 0], "{name}");
    assert_eq!(d.madt.gicc.len(), cpus, "{name}");
    assert!(d.madt.gicc.iter().all(|c| c.enabled), "{name}");
    let mpidrs: BTreeSet<u64> = d.madt.gicc.iter().map(|c| c.mpidr).collect();
    assert_eq!(mpidrs.len(), cpus, "{name}: an MPIDR twice");
    assert_eq!(d.madt.gicd.unwrap().base, 0x0800_0000);
    let gtdt = d.gtdt.as_ref().unwrap();
    assert_eq!(
        [gtdt.secure, gtdt.physical, gtdt.virtual_, gtdt.hypervisor],
        [29, 30, 27, 26]
    );
    assert_eq!(gtdt.watchdog(), None, "virt has no SBSA watchdog");
    assert_eq!(
        d.spcr,
        Some(Spcr {
            interface: stalecore_model::platform::UartKind::Pl011,
            base: 0x0900_0000,
            io_width: 4,
            reg_shift: 2,
            gsiv: Some(33),
            baud: Some(9600),
            clock: None,
        })
    );
    assert_eq!(d.topology.as_ref().unwrap().len(), cpus);
    d
}

#[test]
fn gicv2() {
    for (name, cpus) in [("virt-1-gicv2", 1), ("virt-8-gicv2", 8)] {
        let d = read_virt(name, cpus);
        assert_eq!(d.madt.gicd.unwrap().version, 2);
        assert_eq!(d.madt.gicr, []);
        assert!(d.madt.gicc.iter().all(|c| c.gicc == 0x0801_0000));
        let mpidrs: Vec<u64> = d.madt.gicc.iter().map(|c| c.mpidr).collect();
        assert_eq!(mpidrs, (0..cpus as u64).collect::<Vec<_>>());
    }
}

#[test]
fn gicv3() {
    for (name, cpus) in [("virt-1-gicv3", 1), ("virt-8-gicv3", 8)] {
        let d = read_virt(name, cpus);
        assert_eq!(d.madt.gicd.unwrap().version, 3);
        assert_eq!(
            d.madt.gicr,
            [Redistributors {
                base: 0x080a_0000,
                length: 0x00f6_0000
            }]
        );
    }
}

#[test]
fn many_cpus_have_two_redistributor_ranges_and_more_affinity_levels() {
    for (name, cpus) in [("virt-128-gicv3", 128), ("virt-512-gicv3", 512)] {
        let d = read_virt(name, cpus);
        let ranges = &d.madt.gicr;
        assert_eq!(ranges.len(), 2, "{name}");
        assert_eq!(ranges[1].base, 0x40_0000_0000, "above 4 GiB");
        let frames: u32 = ranges.iter().map(|r| r.length / 0x2_0000).sum();
        assert!(frames as usize >= cpus, "{name}: {frames} frames");
    }
    let d = read_virt("virt-512-gicv3", 512);
    // 16 CPUs in the lowest affinity level, then the next counts.
    assert_eq!(d.madt.gicc[15].mpidr, 0x0f);
    assert_eq!(d.madt.gicc[16].mpidr, 0x100);
    assert_eq!(d.madt.gicc[511].mpidr, 0x1f0f);
}

#[test]
fn conduit_is_hvc_unless_the_machine_has_el2() {
    let hvc = |name: &str| Memory::dumped(name).read().unwrap().boot.unwrap();
    assert_eq!(
        hvc("virt-8-gicv3"),
        ArmBoot {
            psci: true,
            hvc: true
        }
    );
    assert_eq!(
        hvc("virt-8-el2"),
        ArmBoot {
            psci: true,
            hvc: false
        }
    );
}

#[test]
fn sockets_clusters_cores_and_threads() {
    let d = read_virt("virt-16-topology", 16);
    let topology = d.topology.unwrap();
    for cpu in &d.madt.gicc {
        let place = topology.place(cpu.uid).unwrap();
        // 2 sockets of 2 clusters of 2 cores of 2 threads, in this order.
        assert_eq!(place.socket, Some(cpu.uid / 8));
        assert_eq!(place.cluster, Some(cpu.uid / 4));
        assert_eq!(place.core, cpu.uid / 2);
    }
    assert_eq!(topology.place(16), None);
}

#[test]
fn extents_are_all_that_is_read() {
    let whole = Memory::dumped("virt-16-topology");
    let extents = extents(whole.rsdp, |a, l| whole.bytes(a, l)).unwrap();
    assert_eq!(extents.len(), 2 + 5, "RSDP, XSDT, and five tables");
    // With nothing else in memory the reader finds everything.
    let mut trimmed = Memory {
        rsdp: whole.rsdp,
        ..Memory::default()
    };
    for Region { base, size } in extents {
        let bytes = whole.bytes(base, usize::try_from(size).unwrap()).unwrap();
        trimmed.blocks.insert(base, bytes.to_vec());
    }
    let (whole, mut trimmed) = (whole.read().unwrap(), trimmed.read().unwrap());
    trimmed.notes.clear();
    assert_eq!(trimmed, whole);
}
