//! UEFI's memory map: which memory is the image's once boot services have ended.
//!
//! Types and attributes are those of the UEFI specification, chapter 7.2.

use alloc::vec::Vec;

use crate::region::Region;

/// UEFI's page, in bytes.
pub const PAGE: u64 = 4096;

const LOADER_CODE: u32 = 1;
const LOADER_DATA: u32 = 2;
const BOOT_SERVICES_CODE: u32 = 3;
const BOOT_SERVICES_DATA: u32 = 4;
const CONVENTIONAL: u32 = 7;
const UNUSABLE: u32 = 8;
const ACPI_RECLAIM: u32 = 9;
const ACPI_NVS: u32 = 10;

/// Can be mapped write-back.
const WRITE_BACK: u64 = 1 << 3;
/// Set aside for a special purpose: not for general use.
const SPECIAL_PURPOSE: u64 = 1 << 18;

/// One entry of the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// `EFI_MEMORY_TYPE`.
    pub kind: u32,
    /// Physical address.
    pub base: u64,
    /// Length in [`PAGE`]s.
    pub pages: u64,
    /// `EFI_MEMORY_*` attributes.
    pub attributes: u64,
}

impl Descriptor {
    fn region(&self) -> Region {
        let size = self.pages.saturating_mul(PAGE);
        Region {
            base: self.base,
            size: size.min(u64::MAX - self.base),
        }
    }

    fn is_memory(&self) -> bool {
        self.attributes & WRITE_BACK != 0 && self.attributes & SPECIAL_PURPOSE == 0
    }
}

/// The memory map as the image sees it, in ascending order, neighbours joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Memory, including what is reserved.
    pub memory: Vec<Region>,
    /// The memory that may only be read: firmware's tables.
    pub reserved: Vec<Region>,
}

/// Sorts out the memory map. `tables` are what the image will read, wherever firmware put
/// it: their pages are memory and reserved too.
pub fn memory(map: impl Iterator<Item = Descriptor>, tables: &[Region]) -> Memory {
    let (mut memory, mut reserved) = (Vec::new(), Vec::new());
    for entry in map.filter(Descriptor::is_memory) {
        match entry.kind {
            LOADER_CODE | LOADER_DATA | BOOT_SERVICES_CODE | BOOT_SERVICES_DATA | CONVENTIONAL => {
                memory.push(entry.region());
            }
            ACPI_RECLAIM | ACPI_NVS => {
                memory.push(entry.region());
                reserved.push(entry.region());
            }
            _ => {}
        }
    }
    for table in tables.iter().filter(|t| t.size > 0) {
        let base = table.base / PAGE * PAGE;
        let end = table.end().div_ceil(PAGE).saturating_mul(PAGE);
        let pages = Region {
            base,
            size: end - base,
        };
        memory.push(pages);
        reserved.push(pages);
    }
    Memory {
        memory: Region::joined(memory),
        reserved: Region::joined(reserved),
    }
}

/// Is any of a region memory that can be cached, whoever uses it?
pub fn is_memory(map: impl Iterator<Item = Descriptor>, region: &Region) -> bool {
    map.filter(|d| d.attributes & WRITE_BACK != 0)
        .any(|d| d.region().overlaps(region))
}

/// The memory that nobody uses.
pub fn free(map: impl Iterator<Item = Descriptor>) -> Vec<Region> {
    let free = map.filter(|d| d.is_memory() && d.kind == CONVENTIONAL);
    Region::joined(free.map(|d| d.region()).collect())
}

/// What can be read while firmware runs: memory, whatever it is used for. Tables are looked
/// for nowhere else, so that a wrong pointer in one does no harm.
pub fn readable(map: impl Iterator<Item = Descriptor>) -> Vec<Region> {
    let readable = |d: &Descriptor| d.kind <= ACPI_NVS && d.kind != UNUSABLE;
    let regions = map.filter(|d| d.is_memory() && readable(d));
    Region::joined(regions.map(|d| d.region()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(base: u64, size: u64) -> Region {
        Region { base, size }
    }

    fn entry(kind: u32, base: u64, pages: u64) -> Descriptor {
        Descriptor {
            kind,
            base,
            pages,
            attributes: WRITE_BACK,
        }
    }

    #[test]
    fn memory_far_up_is_whole_and_ends_with_the_addresses() {
        let map = [
            entry(CONVENTIONAL, 0, 1),
            entry(CONVENTIONAL, 0x100_0000_0000, 0x10_0000),
        ];
        assert_eq!(
            free(map.into_iter()),
            [region(0, 0x1000), region(0x100_0000_0000, 0x1_0000_0000)]
        );
        let last = u64::MAX - 0xfff;
        let map = [entry(CONVENTIONAL, last, u64::MAX)];
        assert_eq!(free(map.into_iter()), [region(last, 0xfff)]);
    }

    #[test]
    fn only_what_nobody_uses_is_free() {
        let map = [
            entry(LOADER_DATA, 0x1000, 1),
            entry(CONVENTIONAL, 0x2000, 1),
            entry(ACPI_RECLAIM, 0x3000, 1),
            Descriptor {
                attributes: 1,
                ..entry(CONVENTIONAL, 0x4000, 1)
            },
            Descriptor {
                attributes: WRITE_BACK | SPECIAL_PURPOSE,
                ..entry(CONVENTIONAL, 0x5000, 1)
            },
        ];
        assert_eq!(free(map.into_iter()), [region(0x2000, 0x1000)]);
    }

    #[test]
    fn what_can_be_cached_is_memory_whoever_uses_it() {
        let map = [
            entry(0, 0x1000, 1),
            Descriptor {
                attributes: 1,
                ..entry(11, 0x2000, 1)
            },
        ];
        let found = |base, size| is_memory(map.into_iter(), &region(base, size));
        assert!(found(0x1fff, 2) && !found(0x2000, 0x1000) && !found(0, 0x1000));
        assert!(!is_memory([].into_iter(), &region(0, u64::MAX)));
    }

    #[test]
    fn a_table_without_a_byte_is_in_no_page() {
        let found = memory([].into_iter(), &[region(0x4002_4ff0, 0)]);
        assert_eq!(found, Memory::default());
    }
}
