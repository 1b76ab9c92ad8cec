//! UEFI as a kernel left it: no service can be called any more, and the tables that matter
//! are found through the memory map that the kernel passes on.
//!
//! The system table's pointers are virtual once the kernel has called
//! `SetVirtualAddressMap`; the map says which physical address each is (UEFI
//! 2.10, chapters 4.3, 4.6 and 7.2).

use alloc::{format, string::String, vec::Vec};

use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

use crate::{
    efi::{Descriptor, PAGE},
    region::Region,
};

/// Where the tables are, as `/chosen` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uefi {
    /// Physical address of the system table.
    pub system_table: u64,
    /// The memory map.
    pub map: Region,
    /// Bytes of each of its entries.
    pub descriptor_size: u32,
    /// Their version.
    pub descriptor_version: u32,
}

/// The longest memory map that is read, in bytes: twenty thousand entries.
const MAX_MAP: u64 = 1 << 20;
/// More configuration tables than any firmware has.
const MAX_TABLES: u64 = 1024;
/// More pages of reservations than a kernel makes.
const MAX_RESERVE_PAGES: usize = 256;
/// The only version of the map's entries that there has been.
const VERSION: u32 = 1;
/// The attribute of memory that runtime services use.
const RUNTIME: u64 = 1 << 63;

/// `EFI_ACPI_20_TABLE_GUID`, 8868e871-e4f1-11d3-bc22-0080c73c8881.
const ACPI_20: [u8; 16] = [
    0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81,
];
/// Linux' own: memory that the next kernel must leave alone, as the interrupt
/// controller may still write to it; 888eb0c6-8ede-4ff5-a8f0-9aee5cb977c2.
const MEMRESERVE: [u8; 16] = [
    0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e, 0xf5, 0x4f, 0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2,
];

/// `EFI_MEMORY_DESCRIPTOR`.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawDescriptor {
    kind: U32,
    padding: U32,
    physical: U64,
    virtual_: U64,
    pages: U64,
    attributes: U64,
}

/// `EFI_SYSTEM_TABLE`.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SystemTable {
    signature: [u8; 8],
    header: [u8; 16],
    vendor_and_consoles: [U64; 8],
    services: [U64; 2],
    tables: U64,
    table: U64,
}

/// `EFI_CONFIGURATION_TABLE`.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ConfigurationTable {
    guid: [u8; 16],
    table: U64,
}

/// Linux' `struct linux_efi_memreserve`, which its entries follow.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Reserve {
    size: U32,
    count: U32,
    next: U64,
}

/// The memory map that the kernel passes on.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl Uefi {
    /// Checks that the map can be read, before it is.
    ///
    /// # Errors
    /// One line, if its entries are of an unknown kind, or it is too long.
    pub fn check(&self) -> Result<(), String> {
        let least = size_of::<RawDescriptor>();
        if (self.descriptor_size as usize) < least || self.descriptor_version != VERSION {
            return Err(format!(
                "UEFI's memory map: entries of {} bytes, version {}; allowed: at least {least} bytes, version {VERSION}",
                self.descriptor_size, self.descriptor_version
            ));
        }
        if self.map.size > MAX_MAP || self.map.size < self.descriptor_size.into() {
            return Err(format!(
                "UEFI's memory map has {} bytes; allowed: {} to {MAX_MAP}",
                self.map.size, self.descriptor_size
            ));
        }
        Ok(())
    }

    /// The map in these bytes.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn map<'a>(&self, bytes: &'a [u8]) -> Result<Map<'a>, String> {
        self.check()?;
        Ok(Map {
            bytes,
            stride: self.descriptor_size as usize,
        })
    }

    /// Finds the ACPI root pointer and the memory to leave alone. `memory` gives the bytes
    /// at a physical address, or `None` if there is nothing to read.
    ///
    /// # Errors
    /// One line: there is no system table, or it cannot be followed.
    pub fn tables<'a>(
        &self,
        map: &Map<'_>,
        memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
    ) -> Result<Tables, String> {
        let at = self.system_table;
        let system: SystemTable = structure(at, &memory)
            .ok_or_else(|| format!("UEFI's system table at {at:#x} lies in no memory"))?;
        if &system.signature != b"IBI SYST" {
            return Err(format!("there is no UEFI system table at {at:#x}"));
        }
        let count = system.tables.get();
        if count > MAX_TABLES {
            return Err(format!(
                "UEFI has {count} configuration tables; allowed: at most {MAX_TABLES}"
            ));
        }
        let start = map.physical(system.table.get());
        let mut found = Tables::default();
        let mut reserve = None;
        for nth in 0..count {
            let at = nth
                .checked_mul(size_of::<ConfigurationTable>() as u64)
                .and_then(|offset| start.checked_add(offset));
            let table: ConfigurationTable =
                at.and_then(|at| structure(at, &memory)).ok_or_else(|| {
                    format!("UEFI's configuration tables at {start:#x} lie in no memory")
                })?;
            // Physical addresses, unlike the pointer to them.
            match table.guid {
                ACPI_20 => found.rsdp = Some(table.table.get()),
                MEMRESERVE => reserve = Some(table.table.get()),
                _ => {}
            }
        }
        if let Some(first) = reserve {
            found.reserved = reservations(first, &memory)?;
        }
        Ok(found)
    }
}

/// What UEFI's tables say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tables {
    /// Physical address of the ACPI root pointer.
    pub rsdp: Option<u64>,
    /// Memory that an earlier kernel asks to leave alone.
    pub reserved: Vec<Region>,
}

impl Map<'_> {
    fn raw(&self) -> impl Iterator<Item = RawDescriptor> {
        self.bytes
            .chunks_exact(self.stride)
            .filter_map(|bytes| Some(RawDescriptor::read_from_prefix(bytes).ok()?.0))
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = Descriptor> {
        self.raw().map(|raw| Descriptor {
            kind: raw.kind.get(),
            base: raw.physical.get(),
            pages: raw.pages.get(),
            attributes: raw.attributes.get(),
        })
    }

    /// The physical address of a pointer that firmware holds: the same, unless a kernel has
    /// asked firmware to use virtual ones.
    pub fn physical(&self, address: u64) -> u64 {
        self.raw()
            .filter(|raw| raw.attributes.get() & RUNTIME != 0 && raw.virtual_.get() != 0)
            .find_map(|raw| {
                let offset = address.checked_sub(raw.virtual_.get())?;
                let inside = offset < raw.pages.get().saturating_mul(PAGE);
                inside.then(|| raw.physical.get().checked_add(offset))?
            })
            .unwrap_or(address)
    }
}

fn structure<'a, T: FromBytes>(
    at: u64,
    memory: &impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Option<T> {
    T::read_from_bytes(memory(at, size_of::<T>())?).ok()
}

/// Follows the list of reservations: the pages that hold it are reserved too.
fn reservations<'a>(
    first: u64,
    memory: &impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<Vec<Region>, String> {
    let mut reserved = Vec::new();
    let mut at = first;
    for _ in 0..MAX_RESERVE_PAGES {
        if at == 0 {
            return Ok(reserved);
        }
        let lost = || format!("Linux' list of reserved memory at {at:#x} lies in no memory");
        let head: Reserve = structure(at, memory).ok_or_else(lost)?;
        let count = head.count.get().min(head.size.get());
        let entry = size_of::<[U64; 2]>() as u64;
        let length = size_of::<Reserve>() as u64 + u64::from(head.size.get()).saturating_mul(entry);
        reserved.push(Region {
            base: at,
            size: length.min(u64::MAX - at),
        });
        for nth in 0..u64::from(count) {
            let [base, size]: [U64; 2] = at
                .checked_add(size_of::<Reserve>() as u64 + nth * entry)
                .and_then(|at| structure(at, memory))
                .ok_or_else(lost)?;
            let base = base.get();
            reserved.push(Region {
                base,
                size: size.get().min(u64::MAX - base),
            });
        }
        at = head.next.get();
    }
    Err(format!(
        "Linux' list of reserved memory at {first:#x} does not end within {MAX_RESERVE_PAGES} pages"
    ))
}
