//! The tree that is handed over, read back as the image reads it.

use super::*;
use crate::{
    efi::{self, Descriptor, Memory, memory},
    platform::devicetree,
};
use proptest::prelude::*;

const VIRT_8: &[u8] = include_bytes!("../../tests/data/dtb/virt-8-gicv3-hvc.dtb");
const SOC: &[u8] = include_bytes!("../../tests/data/dtb/soc.dtb");

fn region(base: u64, size: u64) -> Region {
    Region { base, size }
}

fn acpi() -> Described<'static> {
    Described::Acpi {
        rsdp: 0x123_4567_8018,
        model: "Some Server",
    }
}

fn handover<'a>(described: Described<'a>, memory: &'a [Region]) -> Handover<'a> {
    Handover {
        described,
        bootargs: "stalecore.samples=3",
        firmware: "EDK II",
        recorder: Some(0x5000_0000),
        framebuffer: None,
        note: None,
        memory,
        reserved: &[Region {
            base: 0x4100_0000,
            size: 0x3000,
        }],
    }
}

fn build(described: Described<'_>, memory: &[Region]) -> Result<Vec<u8>, String> {
    handover(described, memory).build()
}

#[test]
fn the_screen_is_firmware_s_whatever_the_tree_had() {
    let screen = |base| {
        let memory = region(base, 16 << 20);
        crate::framebuffer::Framebuffer::new(memory, [1024, 768, 4096], "x8b8g8r8").unwrap()
    };
    let with = |described: Described<'_>, base| {
        let memory = [region(0x4000_0000, 0x0800_0000)];
        let handover = Handover {
            framebuffer: Some(screen(base)),
            ..handover(described, &memory)
        };
        let tree = handover.build().unwrap();
        let found = devicetree::read(&tree).unwrap().framebuffer;
        (found, tree)
    };
    for described in [acpi(), Described::DeviceTree(VIRT_8)] {
        let (found, tree) = with(described, 0x80_0000_0000);
        assert_eq!(found, Some(screen(0x80_0000_0000)));
        if matches!(described, Described::DeviceTree(_)) {
            // A tree that has one, of another place: as of a boot loader before.
            let (found, _) = with(Described::DeviceTree(&tree), 0x9000_0000);
            assert_eq!(found, Some(screen(0x9000_0000)));
        }
    }
    // Addresses of 32 bits have no word for it.
    let mut small = DeviceTree::from_fdt(&Fdt::new(VIRT_8).unwrap());
    set(&mut small.root, "#address-cells", 1_u32);
    set_framebuffer(&mut small.root, &screen(0x80_0000_0000));
    assert!(
        !small
            .root
            .children()
            .any(|c| c.name().starts_with("framebuffer"))
    );
}

#[test]
fn with_acpi_the_tree_says_where_the_tables_are() {
    let memory = [
        region(0x4000_0000, 0x0800_0000),
        region(0x100_0000_0000, 0x40_0000_0000),
    ];
    let tree = build(acpi(), &memory).unwrap();
    let platform = devicetree::read(&tree).unwrap();
    assert_eq!(platform.rsdp, Some(0x123_4567_8018));
    assert_eq!(platform.recorder, Some(0x5000_0000));
    assert_eq!(platform.model, "Some Server");
    assert_eq!(platform.bootargs, "stalecore.samples=3");
    assert_eq!(platform.memory, memory);
    assert_eq!(platform.reserved, [region(0x4100_0000, 0x3000)]);
}

#[test]
fn a_device_tree_is_passed_on_with_new_memory_and_arguments() {
    let tree = build(
        Described::DeviceTree(VIRT_8),
        &[region(0x5000_0000, 0x1000)],
    )
    .unwrap();
    let (before, after) = (
        devicetree::read(VIRT_8).unwrap(),
        devicetree::read(&tree).unwrap(),
    );
    assert_eq!(after.cpus, before.cpus);
    assert_eq!(after.gic, before.gic);
    assert_eq!(after.uart, before.uart);
    assert_eq!(after.psci, before.psci);
    assert_eq!(after.rsdp, None);
    assert_eq!(after.memory, [region(0x5000_0000, 0x1000)]);
    assert_eq!(after.bootargs, "stalecore.samples=3");
}

#[test]
fn what_a_tree_reserves_stays_reserved() {
    let before = devicetree::read(SOC).unwrap();
    let tree = build(Described::DeviceTree(SOC), &[region(0x8000_0000, 0x1000)]).unwrap();
    let after = devicetree::read(&tree).unwrap();
    assert!(before.reserved.iter().all(|r| after.reserved.contains(r)));
    assert_eq!(after.memory, [region(0x8000_0000, 0x1000)]);
}

#[test]
fn memory_is_written_in_the_tree_s_own_cells() {
    let with_cells = |address: u32, size: u32, memory: &[Region]| {
        let mut tree = small_tree("x");
        set(&mut tree.root, "#address-cells", address);
        set(&mut tree.root, "#size-cells", size);
        let tree = tree.to_dtb();
        build(Described::DeviceTree(&tree), memory).map(|tree| {
            let fdt = Fdt::new(&tree).unwrap();
            let node = fdt.find_node("/memory").unwrap();
            node.property("reg").unwrap().value().to_vec()
        })
    };
    assert_eq!(
        with_cells(1, 1, &[region(0x8000_0000, 0x1000)]).unwrap(),
        [0x80, 0, 0, 0, 0, 0, 0x10, 0]
    );
    // 8 GiB in a 32-bit size: in three pieces that leave no gap.
    let reg = with_cells(2, 1, &[region(0x1_0000_0000, 0x2_0000_0000)]).unwrap();
    let cells: Vec<u32> = reg
        .chunks(4)
        .map(|c| u32::from_be_bytes(c.try_into().unwrap()))
        .collect();
    assert_eq!(
        cells,
        [
            1,
            0,
            0xffff_f000,
            1,
            0xffff_f000,
            0xffff_f000,
            2,
            0xffff_e000,
            0x2000
        ]
    );
    let refused = with_cells(1, 1, &[region(0x1_0000_0000, 0x1000)]).unwrap_err();
    assert!(refused.contains("does not fit 1 cells"), "{refused}");
}

#[test]
fn a_tree_too_long_or_broken_is_refused() {
    let many: Vec<Region> = (0..140_000).map(|i| region(i << 13, 0x1000)).collect();
    assert!(
        build(acpi(), &many)
            .unwrap_err()
            .contains("allowed: 2097152")
    );
    let broken = build(Described::DeviceTree(&VIRT_8[..100]), &[]).unwrap_err();
    assert!(broken.starts_with("firmware's device tree"), "{broken}");
}

#[test]
fn a_claim_of_acpi_in_firmware_s_tree_is_not_passed_on() {
    let tree = build(acpi(), &[region(0, 0x1000)]).unwrap();
    let tree = build(Described::DeviceTree(&tree), &[region(0, 0x1000)]).unwrap();
    let fdt = Fdt::new(&tree).unwrap();
    let chosen = fdt.find_node("/chosen").unwrap();
    assert!(chosen.property("stalecore,acpi-rsdp").is_none());
}

const WB: u64 = 0xf;

fn entry(kind: u32, base: u64, pages: u64) -> Descriptor {
    Descriptor {
        kind,
        base,
        pages,
        attributes: WB,
    }
}

#[test]
fn what_boot_services_leave_is_memory_and_tables_are_reserved() {
    let map = [
        entry(7, 0x4000_0000, 16),
        entry(2, 0x4001_0000, 16),
        entry(6, 0x4002_0000, 1),
        entry(9, 0x4002_1000, 2),
        entry(4, 0x4002_3000, 1),
        entry(0, 0x4002_4000, 1),
        entry(11, 0x900_0000, 1),
        Descriptor {
            attributes: 1,
            ..entry(7, 0x5000_0000, 1)
        },
        Descriptor {
            attributes: WB | 1 << 18,
            ..entry(7, 0x5000_1000, 1)
        },
        entry(3, 0x3000_0000, 1),
    ];
    let found = memory(map.into_iter(), &[region(0x4002_4ff0, 0x20)]);
    assert_eq!(
        found,
        Memory {
            memory: [
                region(0x3000_0000, 0x1000),
                region(0x4000_0000, 0x2_0000),
                region(0x4002_1000, 0x5000),
            ]
            .to_vec(),
            reserved: [region(0x4002_1000, 0x2000), region(0x4002_4000, 0x2000)].to_vec(),
        }
    );
}

#[test]
fn only_memory_is_read() {
    let map = [
        entry(0, 0x1000, 1),
        entry(7, 0x2000, 1),
        entry(8, 0x3000, 1),
        entry(10, 0x4000, 1),
        entry(11, 0x5000, 1),
        Descriptor {
            attributes: 1,
            ..entry(0, 0x6000, 1)
        },
    ];
    let found = efi::readable(map.into_iter());
    assert_eq!(found, [region(0x1000, 0x2000), region(0x4000, 0x1000)]);
}

proptest! {
    #[test]
    fn any_memory_map_is_survived(map in prop::collection::vec((0_u32..16, any::<u64>(), any::<u64>(), any::<u64>()), 0..20), tables in prop::collection::vec((any::<u64>(), any::<u64>()), 0..4)) {
        let map = map.into_iter().map(|(kind, base, pages, attributes)| Descriptor { kind, base, pages, attributes });
        let tables: Vec<_> = tables.into_iter().map(|(b, s)| region(b, s)).collect();
        let found = memory(map, &tables);
        for pair in found.memory.windows(2) {
            prop_assert!(pair[0].end() < pair[1].base);
        }
    }

    #[test]
    fn damaged_trees_are_survived(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..12), soc in any::<bool>()) {
        let mut data = if soc { SOC.to_vec() } else { VIRT_8.to_vec() };
        for (at, value) in changes {
            let at = at % data.len();
            data[at] = value;
        }
        let _ = build(Described::DeviceTree(&data), &[region(0x4000_0000, 0x1000)]);
    }
}

#[test]
fn a_tree_may_be_as_long_as_the_boot_protocol_allows() {
    let memory = [region(0x4000_0000, 0x1000)];
    let with = |name: usize, bootargs: usize| {
        let mut tree = small_tree("x");
        set(&mut tree.root, &"x".repeat(name), 1_u32);
        let tree = tree.to_dtb();
        let bootargs = "x".repeat(bootargs);
        let handover = Handover {
            bootargs: &bootargs,
            ..handover(Described::DeviceTree(&tree), &memory)
        };
        handover.build()
    };
    // The arguments take whole words, the empty string one; a name takes bytes.
    let left = MAX_TREE - with(1, 0).unwrap().len();
    let (name, most) = (1 + left % 4, left / 4 * 4 + 3);
    assert_eq!(with(name, most).unwrap().len(), MAX_TREE);
    let error = with(name, most + 1).unwrap_err();
    assert!(error.contains("has 2097156 bytes"), "{error}");
}
