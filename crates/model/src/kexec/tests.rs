//! Trees as kexec-tools leaves them, and a UEFI whose memory is a few blocks made here.

use alloc::{collections::BTreeMap, format, vec, vec::Vec};

use dtoolkit::{
    fdt::Fdt,
    model::{DeviceTree, DeviceTreeProperty},
};
use proptest::prelude::*;

use super::uefi::{Tables, Uefi};
use crate::{
    efi,
    platform::{Platform, Region, devicetree},
};

/// Memory at 0x8000_0000 (256 MiB) and 0x8_0000_0000 (1 GiB).
const SOC: &[u8] = include_bytes!("../../tests/data/dtb/soc.dtb");

fn region(base: u64, size: u64) -> Region {
    Region { base, size }
}

fn cells(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// The board's tree with these properties in `/chosen`, and without the nodes in `cut`.
fn tree(chosen: &[(&str, Vec<u8>)], cut: &[&str]) -> Vec<u8> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(SOC).unwrap());
    for child in cut {
        tree.root.remove_child(child).unwrap();
    }
    let node = tree.find_node_mut("/chosen").unwrap();
    for (name, value) in chosen {
        node.add_property(DeviceTreeProperty::new_unchecked(*name, value.as_slice()));
    }
    tree.to_dtb()
}

fn read(chosen: &[(&str, Vec<u8>)]) -> Platform {
    devicetree::read(&tree(chosen, &[])).unwrap()
}

#[test]
fn without_a_kernel_before_there_is_no_trace() {
    assert_eq!(devicetree::read(SOC).unwrap().kexec, None);
}

#[test]
fn boot_arguments_end_at_the_first_nul() {
    for end in ["", "\0", "\0\0", "\0\0\0", "\0 stalecore.samples=1\0"] {
        let words = format!("stalecore.stale=spin{end}");
        let machine = read(&[("bootargs", words.into_bytes())]);
        assert_eq!(machine.bootargs, "stalecore.stale=spin");
    }
    assert_eq!(read(&[("bootargs", vec![])]).bootargs, "");
    // What is not text is not passed over: the word that it is in is refused.
    let machine = read(&[("bootargs", b"stalecore.ops=\xff\0".to_vec())]);
    assert_eq!(machine.bootargs, "stalecore.ops=\u{fffd}");
}

#[test]
fn only_a_crash_kernel_s_reservation_is_memory() {
    let reservation = region(0x8600_0000, 0x400_0000);
    let machine = read(&[
        (
            "linux,usable-memory-range",
            cells(&[reservation.base, reservation.size]),
        ),
        ("linux,elfcorehdr", cells(&[0x89ff_f000, 0x400])),
    ]);
    assert_eq!(machine.memory, [reservation]);
    assert!(machine.reserved.contains(&region(0x89ff_f000, 0x400)));
    // Firmware's own region lies inside it, and stays reserved.
    assert!(machine.reserved.contains(&region(0x8800_0000, 0x10_0000)));
    let kexec = machine.kexec.unwrap();
    assert!(kexec.may_use(&reservation));
    let outside = region(0x85ff_f000, 0x2000);
    assert!(!kexec.may_use(&outside));
    let why = kexec.outside(&outside);
    assert!(why.starts_with("the image lies at 0x85fff000 to 0x86001000; allowed"));
    assert!(why.ends_with(": 0x86000000 to 0x8a000000"), "{why}");
    // Its word lies at 0x8000_fff8, which nobody may write to.
    assert!(machine.cpus.iter().all(|cpu| cpu.mpidr != 0x100));
    assert!(
        machine
            .notes
            .iter()
            .any(|n| n.contains("MPIDR 0x100 is held"))
    );
    assert!(!kexec.may_use(&region(0x8900_0000, 0x100_0001)));
}

#[test]
fn a_reservation_may_have_two_parts() {
    let machine = read(&[(
        "linux,usable-memory-range",
        cells(&[0x8_2000_0000, 0x1000_0000, 0x8f00_0000, 0x200_0000]),
    )]);
    // The part of it that is not memory does not become memory.
    assert_eq!(
        machine.memory,
        [
            region(0x8f00_0000, 0x100_0000),
            region(0x8_2000_0000, 0x1000_0000)
        ]
    );
}

#[test]
fn a_range_that_cannot_be_read_is_refused() {
    let name = "linux,usable-memory-range";
    // The arguments, which name the console for the error, are read nevertheless.
    let arguments = ("bootargs", b"earlycon=pl011,1\0".to_vec());
    let wrong = tree(&[(name, vec![]), arguments], &[]);
    let named = devicetree::Tree::new(&wrong).unwrap().bootargs();
    assert_eq!(named, "earlycon=pl011,1");
    assert!(devicetree::Tree::new(&[]).is_err());
    for (value, what) in [
        (vec![], "has 0 bytes"),
        (vec![0; 8], "has 8 bytes"),
        (vec![0; 17], "has 17 bytes"),
        (cells(&[0x8000_0000, 0]), "is empty"),
        (cells(&[0x1000, 0x1000]), "none of it is memory"),
        (cells(&[u64::MAX, u64::MAX]), "none of it is memory"),
    ] {
        let error = devicetree::read(&tree(&[(name, value)], &[])).unwrap_err();
        assert!(error.contains(name) && error.contains(what), "{error}");
    }
}

#[test]
fn a_flag_of_the_kernel_s_own_loader_is_a_trace() {
    let machine = read(&[("linux,booted-from-kexec", vec![])]);
    assert!(machine.kexec.is_some());
    assert_eq!(machine.memory.len(), 2);
}

#[test]
fn cores_that_failed_are_left_alone() {
    for (status, used) in [
        ("okay", true),
        ("disabled", true), // with an enable-method: quiescent, can be started
        ("fail", false),
        ("fail-fused", false),
        ("failure", true),
    ] {
        let mut tree = DeviceTree::from_fdt(&Fdt::new(SOC).unwrap());
        let node = tree.find_node_mut("/cpus/cpu@100").unwrap();
        node.add_property(DeviceTreeProperty::new_unchecked("status", status));
        let machine = devicetree::read(&tree.to_dtb()).unwrap();
        let found = machine.cpus.iter().any(|cpu| cpu.mpidr == 0x100);
        assert_eq!(found, used, "{status}");
        let note = format!("cpu@100: status {status}, so the core is not used");
        assert_eq!(machine.notes.contains(&note), !used, "{:?}", machine.notes);
    }
}

const SYSTEM_TABLE: u64 = 0x1_0000;
const MAP: u64 = 0x2_0000;
const CONFIGURATION: u64 = 0x3_0000;
/// The virtual address that the kernel gave firmware for the configuration tables' page.
const VIRTUAL: u64 = 0x2000_0000;
const RSDP: u64 = 0x4_0018;
const RESERVED: u64 = 0x5_0000;
const RUNTIME_WB: u64 = 1 << 63 | 8;

const PLACE: Uefi = Uefi {
    system_table: SYSTEM_TABLE,
    map: Region {
        base: MAP,
        size: 3 * 48,
    },
    descriptor_size: 48,
    descriptor_version: 1,
};

const ACPI_20: [u8; 16] = *b"\x71\xe8\x68\x88\xf1\xe4\xd3\x11\xbc\x22\x00\x80\xc7\x3c\x88\x81";
const MEMRESERVE: [u8; 16] = *b"\xc6\xb0\x8e\x88\xde\x8e\xf5\x4f\xa8\xf0\x9a\xee\x5c\xb9\x77\xc2";

/// Memory of a few blocks.
type Blocks = BTreeMap<u64, Vec<u8>>;

fn bytes(blocks: &Blocks, at: u64, length: usize) -> Option<&[u8]> {
    let (base, block) = blocks.range(..=at).next_back()?;
    let start = usize::try_from(at - base).ok()?;
    block.get(start..start.checked_add(length)?)
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Runtime data that holds the tables, memory, tables to reclaim; entries are longer than
/// their known fields, as firmware may make them.
fn map_bytes() -> Vec<u8> {
    let entry = |kind, physical, virtual_, pages, attributes| {
        words(&[kind, physical, virtual_, pages, attributes, u64::MAX])
    };
    [
        entry(6, CONFIGURATION, VIRTUAL, 1, RUNTIME_WB),
        entry(7, 0x10_0000, 0, 0x100, 8),
        entry(9, 0x4_0000, 0, 1, 8),
    ]
    .concat()
}

fn machine(tables: &[([u8; 16], u64)]) -> Blocks {
    let mut system = vec![0; 120];
    system[..8].copy_from_slice(b"IBI SYST");
    system[104..112].copy_from_slice(&(tables.len() as u64).to_le_bytes());
    system[112..].copy_from_slice(&VIRTUAL.to_le_bytes());
    let configuration = tables
        .iter()
        .flat_map(|(guid, at)| [guid.to_vec(), words(&[*at])].concat())
        .collect();
    BTreeMap::from([
        (SYSTEM_TABLE, system),
        (MAP, map_bytes()),
        (CONFIGURATION, configuration),
    ])
}

fn follow(uefi: Uefi, blocks: &Blocks) -> Result<Tables, alloc::string::String> {
    uefi.check()?;
    let map = uefi.map(bytes(blocks, MAP, PLACE.map.size as usize).unwrap())?;
    uefi.tables(&map, |at, length| bytes(blocks, at, length))
}

#[test]
fn the_root_pointer_is_found_behind_a_virtual_address() {
    let blocks = machine(&[([7; 16], 1), (ACPI_20, RSDP)]);
    let found = follow(PLACE, &blocks).unwrap();
    assert_eq!((found.rsdp, found.reserved), (Some(RSDP), vec![]));
}

#[test]
fn without_virtual_addresses_pointers_are_physical() {
    let mut blocks = machine(&[(ACPI_20, RSDP)]);
    blocks.get_mut(&MAP).unwrap()[16..24].fill(0);
    assert!(follow(PLACE, &blocks).is_err());
    let system = blocks.get_mut(&SYSTEM_TABLE).unwrap();
    system[112..].copy_from_slice(&CONFIGURATION.to_le_bytes());
    assert_eq!(follow(PLACE, &blocks).unwrap().rsdp, Some(RSDP));
}

#[test]
fn the_map_says_what_is_memory() {
    let bytes = map_bytes();
    let map = PLACE.map(&bytes).unwrap();
    let memory = efi::memory(map.entries(), &[]);
    assert_eq!(
        memory.memory,
        [region(0x4_0000, 0x1000), region(0x10_0000, 0x10_0000)]
    );
    assert_eq!(memory.reserved, [region(0x4_0000, 0x1000)]);
}

#[test]
fn what_an_interrupt_controller_may_write_to_is_reserved() {
    let mut blocks = machine(&[(MEMRESERVE, RESERVED)]);
    let head = |size: u64, count: u64, next| words(&[count << 32 | size, next]);
    let second = RESERVED + 0x1000;
    blocks.insert(
        RESERVED,
        [head(2, 1, second), words(&[0x80_0000, 0x1_0000, 1, 1])].concat(),
    );
    // It claims to hold more than it has room for.
    blocks.insert(
        second,
        [head(1, 9, 0), words(&[0x90_0000, 0x2000])].concat(),
    );
    assert_eq!(
        follow(PLACE, &blocks).unwrap().reserved,
        [
            region(RESERVED, 48),
            region(0x80_0000, 0x1_0000),
            region(second, 32),
            region(0x90_0000, 0x2000)
        ]
    );
    // A circular list is noticed.
    blocks.insert(second, [head(0, 0, RESERVED), vec![]].concat());
    let error = follow(PLACE, &blocks).unwrap_err();
    assert!(error.contains("does not end"), "{error}");
}

#[test]
fn tables_that_cannot_be_followed_are_refused() {
    let wrong = |uefi: Uefi, blocks: &Blocks, what: &str| {
        let error = follow(uefi, blocks).unwrap_err();
        assert!(error.contains(what), "{error}");
    };
    let good = machine(&[(ACPI_20, RSDP)]);
    let at = |system_table| Uefi {
        system_table,
        ..PLACE
    };
    wrong(at(0), &good, "lies in no memory");
    wrong(at(u64::MAX), &good, "lies in no memory");
    let mut blocks = good.clone();
    blocks.get_mut(&SYSTEM_TABLE).unwrap()[0] = b'X';
    wrong(PLACE, &blocks, "no UEFI system table");
    let mut blocks = good.clone();
    blocks.get_mut(&SYSTEM_TABLE).unwrap()[104..112].fill(0xff);
    wrong(PLACE, &blocks, "configuration tables; allowed");
    let mut blocks = good.clone();
    blocks.get_mut(&SYSTEM_TABLE).unwrap()[104] = 2;
    wrong(PLACE, &blocks, "lie in no memory");
    let shape = |descriptor_size, descriptor_version, size| Uefi {
        descriptor_size,
        descriptor_version,
        map: region(MAP, size),
        ..PLACE
    };
    wrong(shape(39, 1, 144), &good, "entries of 39 bytes, version 1");
    wrong(shape(0, 1, 144), &good, "entries of 0 bytes");
    wrong(shape(48, 2, 144), &good, "version 2");
    wrong(shape(48, 1, 47), &good, "47 bytes");
    wrong(shape(48, 1, 1 << 21), &good, "2097152 bytes");
    wrong(shape(48, 1, (1 << 20) + 1), &good, "1048577 bytes");
    for (entry, size) in [(48, 48), (48, 1 << 20), (40, 144)] {
        assert_eq!(shape(entry, 1, size).check(), Ok(()), "{entry} {size}");
    }
}

#[test]
fn as_many_tables_as_are_allowed_are_read() {
    for (count, fits) in [(1024, true), (1025, false)] {
        let mut tables = vec![([7; 16], 1); count - 1];
        tables.push((ACPI_20, RSDP));
        let mut blocks = machine(&tables);
        // Longer than the page that the map knows of them.
        blocks.get_mut(&MAP).unwrap()[24..32].copy_from_slice(&16_u64.to_le_bytes());
        let found = follow(PLACE, &blocks);
        assert_eq!(found.is_ok_and(|found| found.rsdp == Some(RSDP)), fits);
    }
}

#[test]
fn a_pointer_is_virtual_in_runtime_memory_that_has_an_address_there_and_up_to_its_end() {
    let bytes = map_bytes();
    let map = PLACE.map(&bytes).unwrap();
    for (address, physical) in [
        (VIRTUAL, CONFIGURATION),
        (VIRTUAL + 0xfff, CONFIGURATION + 0xfff),
        (VIRTUAL + 0x1000, VIRTUAL + 0x1000),
        (VIRTUAL - 1, VIRTUAL - 1),
    ] {
        assert_eq!(map.physical(address), physical, "{address:#x}");
    }
    // What no runtime service uses, or has no virtual address, is where it is.
    for (change, is) in [(32..40, 8_u64), (16..24, 0)] {
        let mut bytes = bytes.clone();
        bytes[change].copy_from_slice(&is.to_le_bytes());
        let map = PLACE.map(&bytes).unwrap();
        assert_eq!(map.physical(VIRTUAL), VIRTUAL);
        assert_eq!(map.physical(0x10), 0x10);
    }
}

#[test]
fn a_machine_that_uefi_booted_needs_neither_cores_nor_memory_in_its_tree() {
    let chosen = [
        ("linux,uefi-system-table", cells(&[SYSTEM_TABLE])),
        ("linux,uefi-mmap-start", cells(&[MAP])),
        ("linux,uefi-mmap-size", 144_u32.to_be_bytes().to_vec()),
        ("linux,uefi-mmap-desc-size", 48_u32.to_be_bytes().to_vec()),
        ("linux,uefi-mmap-desc-ver", 1_u32.to_be_bytes().to_vec()),
    ];
    let cut = ["cpus", "memory@80000000", "soc"];
    let machine = devicetree::read(&tree(&chosen, &cut)).unwrap();
    assert_eq!(machine.kexec.unwrap().uefi, Some(PLACE));
    assert_eq!((machine.cpus.len(), machine.memory.len()), (0, 0));
    // Its reservation is cut out of UEFI's memory, once that is known.
    let crash = ("linux,usable-memory-range", cells(&[0x10_0000, 0x1000]));
    let crashed = [&chosen[..], &[crash]].concat();
    let machine = devicetree::read(&tree(&crashed, &cut)).unwrap();
    let all = [region(0, 1 << 32)];
    let usable = machine.kexec.unwrap().usable_of(&all).unwrap();
    assert_eq!(usable, [region(0x10_0000, 0x1000)]);
    // One property less, and there is nothing to go by.
    assert!(devicetree::read(&tree(&chosen[1..], &cut)).is_err());
    // The loader's own tree is not taken for a kernel's.
    let own = [&chosen[..], &[("stalecore,uefi", b"EDK II\0".to_vec())]].concat();
    assert!(devicetree::read(&tree(&own, &cut)).is_err());
}

proptest! {
    /// Whatever UEFI's memory holds, the reader ends, and without a panic.
    #[test]
    fn a_damaged_uefi_never_panics(
        changes in proptest::collection::vec((0_usize..4, any::<usize>(), any::<u8>()), 1..16),
    ) {
        let mut blocks = machine(&[(MEMRESERVE, RESERVED), (ACPI_20, RSDP)]);
        blocks.insert(RESERVED, words(&[1 << 32 | 1, 0, 0x80_0000, 0x1000]));
        for (block, at, value) in changes {
            let block = blocks.values_mut().nth(block).unwrap();
            let at = at % block.len();
            block[at] = value;
        }
        let _ = follow(PLACE, &blocks);
    }

    /// Nothing outside the ranges becomes memory, and nothing in both is lost.
    #[test]
    fn usable_memory_is_what_is_in_both(
        ranges in proptest::collection::vec((0_u64..64, 0_u64..16), 1..3),
        at in 0_u64..96,
    ) {
        let usable: Vec<_> = ranges.iter().map(|(b, s)| region(b << 12, s << 12)).collect();
        let memory = [region(0x4000, 0x8000), region(0x2_0000, 0x1_0000)];
        let kexec = super::Kexec { usable: usable.clone(), ..Default::default() };
        let is_in = |regions: &[Region]| {
            regions.iter().any(|r| r.base <= at << 12 && at << 12 < r.end())
        };
        let found = kexec.usable_of(&memory).unwrap_or_default();
        prop_assert_eq!(is_in(&found), is_in(&usable) && is_in(&memory));
    }
}
