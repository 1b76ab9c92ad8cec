//! The same tables through the `acpi` crate: what both read must be equal.

use std::{collections::BTreeMap, ptr::NonNull, sync::Arc};

use acpi::{
    AcpiHandler, AcpiTables, PhysicalMapping,
    fadt::Fadt,
    madt::{Madt, MadtEntry},
    spcr::Spcr,
};
use stalecore_model::acpi::{Gicc, Gicd, Redistributors};

use crate::memory::Memory;

/// How many bytes past a structure the other reader may touch: its GICC is longer
/// than the firmware's.
const PADDING: usize = 64;

#[derive(Clone)]
struct Handler(Arc<BTreeMap<u64, Vec<u8>>>);

impl Handler {
    fn new(memory: &Memory) -> Self {
        let mut blocks = memory.blocks.clone();
        for block in blocks.values_mut() {
            block.resize(block.len() + PADDING, 0);
        }
        Self(Arc::new(blocks))
    }
}

impl AcpiHandler for Handler {
    unsafe fn map_physical_region<T>(
        &self,
        address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        let (start, block) = self.0.range(..=address as u64).next_back().unwrap();
        let from = address - usize::try_from(*start).unwrap();
        let bytes = &block[from..from + size];
        let pointer = NonNull::from(bytes).cast();
        // SAFETY: the pointer is to `size` bytes that live as long as the
        // handler, of which the mapping holds a share.
        unsafe { PhysicalMapping::new(address, pointer, size, size, self.clone()) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

const DUMPS: [&str; 8] = [
    "virt-1-gicv2",
    "virt-1-gicv3",
    "virt-8-gicv2",
    "virt-8-gicv3",
    "virt-8-el2",
    "virt-16-topology",
    "virt-128-gicv3",
    "virt-512-gicv3",
];

#[test]
fn both_readers_agree() {
    for name in DUMPS {
        let memory = Memory::dumped(name);
        let ours = memory.read().unwrap();
        let rsdp = usize::try_from(memory.rsdp).unwrap();
        // SAFETY: the dump's RSDP and what it leads to are what firmware made,
        // and the handler checks every range that it is asked for.
        let theirs = unsafe { AcpiTables::from_rsdp(Handler::new(&memory), rsdp) }.unwrap();

        let madt = theirs.find_table::<Madt>().unwrap();
        let (mut gicc, mut gicd, mut gicr) = (Vec::new(), None, Vec::new());
        for entry in madt.get().entries() {
            match entry {
                MadtEntry::Gicc(c) => gicc.push(Gicc {
                    uid: c.processor_uid,
                    interface: c.cpu_interface_number,
                    mpidr: c.mpidr,
                    enabled: c.flags & 1 != 0,
                    online_capable: c.flags & 9 == 8,
                    gicc: c.gic_registers_address,
                    gicr: c.gicr_base_address,
                    parking_version: c.parking_protocol_version,
                    parked: c.parked_address,
                }),
                MadtEntry::Gicd(d) => {
                    gicd = Some(Gicd {
                        base: d.physical_base_address,
                        version: d.gic_version,
                    });
                }
                MadtEntry::GicRedistributor(r) => gicr.push(Redistributors {
                    base: r.discovery_range_base_address,
                    length: r.discovery_range_length,
                }),
                _ => {}
            }
        }
        assert_eq!(ours.madt.gicc, gicc, "{name}");
        assert_eq!(ours.madt.gicd, gicd, "{name}");
        assert_eq!(ours.madt.gicr, gicr, "{name}");

        let spcr = theirs.find_table::<Spcr>().unwrap();
        let console = ours.spcr.unwrap();
        assert_eq!(console.base, spcr.base_address().unwrap().unwrap().address);
        assert_eq!(console.gsiv, spcr.global_system_interrupt());
        assert_eq!(console.baud, spcr.baud_rate().map(u32::from));

        let fadt = theirs.find_table::<Fadt>().unwrap();
        let boot = ours.boot.unwrap();
        let flags = fadt.arm_boot_arch;
        assert_eq!(boot.psci, flags.implements_psci());
        assert_eq!(boot.hvc, flags.use_hvc_as_psci_conduit());
    }
}
