//! The way from the RSDP to the tables.

use alloc::vec::Vec;
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

use super::{
    error::AcpiError,
    fadt::dsdt,
    notes::Notes,
    table::{HEADER, Header, Table, is_read, name, sums_to_zero},
};
use crate::platform::Region;

/// The longest table that is read, in bytes: a MADT of 12,000 CPUs fits.
pub const MAX_TABLE: usize = 1 << 20;

/// The RSDP of ACPI 2.0 and later.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Rsdp {
    signature: [u8; 8],
    checksum: u8,
    oem_id: [u8; 6],
    revision: u8,
    rsdt: U32,
    length: U32,
    xsdt: U64,
    extended_checksum: u8,
    reserved: [u8; 3],
}

/// What the first checksum covers: the RSDP as ACPI 1.0 had it.
const FIRST_PART: usize = 20;

/// The tables that an XSDT lists; only their headers have been looked at.
#[derive(Clone, Debug)]
pub(super) struct Tables<'m, M> {
    memory: &'m M,
    xsdt: Region,
    found: Vec<([u8; 4], u64, u32)>,
}

impl<'a, 'm, M: Fn(u64, usize) -> Option<&'a [u8]>> Tables<'m, M> {
    /// Follows the RSDP at physical address `rsdp`.
    pub(super) fn find(rsdp: u64, memory: &'m M, notes: &mut Notes) -> Result<Self, AcpiError> {
        let address = xsdt_address(rsdp, memory)?;
        let xsdt = root_table(address, memory)?;
        let entries = &xsdt.bytes()[HEADER..];
        if !entries.len().is_multiple_of(8) {
            notes.add(xsdt.name(), HEADER, "its length ends inside an entry");
        }
        let mut found = Vec::new();
        for (index, entry) in entries.chunks_exact(8).enumerate() {
            let offset = HEADER + 8 * index;
            // Some firmware leaves a zero entry where it removed a table.
            let Some(address) = U64::read_from_bytes(entry).ok().filter(|a| *a != 0) else {
                continue;
            };
            match header(address.get(), memory) {
                Some(h) => found.push((h.signature, address.get(), h.length.get())),
                None => notes.add(xsdt.name(), offset, "names a table where no memory is"),
            }
        }
        let fadt = found.iter().find(|(signature, ..)| signature == b"FACP");
        let fadt = fadt.and_then(|f| whole(name(f.0), f.1, f.2, memory).ok());
        if let Some(address) = fadt.and_then(|(table, _)| dsdt(&table))
            && let Some(h) = header(address, memory)
        {
            found.push((h.signature, address, h.length.get()));
        }
        let xsdt = Region {
            base: address,
            size: xsdt.bytes().len() as u64,
        };
        Ok(Self {
            memory,
            xsdt,
            found,
        })
    }

    /// The first table of that signature, checked; `None` also where it is there but
    /// cannot be read, which is noted.
    pub(super) fn get(&self, signature: [u8; 4], notes: &mut Notes) -> Option<Table<'a>> {
        let what = name(signature);
        let mut same = self.found.iter().filter(|(s, ..)| *s == signature);
        let (_, address, length) = *same.next()?;
        if same.next().is_some() {
            notes.add(what, 0, "there are several; the first counts");
        }
        match whole(what, address, length, self.memory) {
            Ok((table, true)) => Some(table),
            Ok((table, false)) => {
                notes.add(what, 0, "wrong checksum; read nevertheless");
                Some(table)
            }
            Err(e) => {
                notes.add(what, 0, e);
                None
            }
        }
    }

    /// The tables that have devices in them, where they can be read: the DSDT and SSDTs.
    pub(super) fn definitions(&self) -> impl Iterator<Item = Table<'a>> {
        let these = self
            .found
            .iter()
            .filter(|(signature, ..)| signature[1..] == *b"SDT");
        these.filter_map(|f| Some(whole(name(f.0), f.1, f.2, self.memory).ok()?.0))
    }

    /// As [`Self::get`], with a note where there is no such table.
    pub(super) fn get_or_note(&self, signature: [u8; 4], notes: &mut Notes) -> Option<Table<'a>> {
        if !self.found.iter().any(|(s, ..)| *s == signature) {
            notes.add(name(signature), 0, "the machine has none");
        }
        self.get(signature, notes)
    }
}

/// The memory that [`super::read`] will read: a loader keeps it from being used for
/// anything else.
///
/// # Errors
/// As [`super::read`], for RSDP and XSDT.
pub fn extents<'a>(
    rsdp: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<Vec<Region>, AcpiError> {
    let tables = Tables::find(rsdp, &memory, &mut Notes::default())?;
    let rsdp = Region {
        base: rsdp,
        size: size_of::<Rsdp>() as u64,
    };
    let read = tables.found.iter().filter(|(signature, _, length)| {
        is_read(*signature) && usize::try_from(*length).is_ok_and(|l| l <= MAX_TABLE)
    });
    let read = read.map(|(_, base, length)| Region {
        base: *base,
        size: (*length).into(),
    });
    Ok([rsdp, tables.xsdt].into_iter().chain(read).collect())
}

fn xsdt_address<'a>(
    address: u64,
    memory: &impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<u64, AcpiError> {
    let what = "RSDP";
    let bytes = bytes(what, address, FIRST_PART, memory)?;
    if !bytes.starts_with(b"RSD PTR ") {
        return Err(AcpiError::NotAnRsdp { address });
    }
    if !sums_to_zero(bytes) {
        return Err(AcpiError::Checksum { what });
    }
    let revision = bytes[15];
    if revision < 2 {
        return Err(AcpiError::NoXsdt { revision });
    }
    let bytes = self::bytes(what, address, size_of::<Rsdp>(), memory)?;
    if !sums_to_zero(bytes) {
        return Err(AcpiError::Checksum { what });
    }
    match Rsdp::read_from_bytes(bytes) {
        Ok(rsdp) if rsdp.xsdt != 0 => Ok(rsdp.xsdt.get()),
        _ => Err(AcpiError::NoXsdt { revision }),
    }
}

fn root_table<'a>(
    address: u64,
    memory: &impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<Table<'a>, AcpiError> {
    let what = "XSDT";
    let header = header(address, memory).ok_or(AcpiError::OutsideMemory {
        what,
        address,
        length: HEADER,
    })?;
    if &header.signature != b"XSDT" {
        return Err(AcpiError::Missing(what));
    }
    match whole(what, address, header.length.get(), memory)? {
        (table, true) => Ok(table),
        (_, false) => Err(AcpiError::Checksum { what }),
    }
}

/// The table at `address`, and whether its checksum is right.
fn whole<'a>(
    what: &'static str,
    address: u64,
    length: u32,
    memory: &impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<(Table<'a>, bool), AcpiError> {
    let long = usize::try_from(length)
        .ok()
        .filter(|l| (HEADER..=MAX_TABLE).contains(l))
        .ok_or(AcpiError::Length { what, length })?;
    let bytes = bytes(what, address, long, memory)?;
    let Ok((header, _)) = Header::read_from_prefix(bytes) else {
        return Err(AcpiError::Length { what, length });
    };
    Ok((Table::new(&header, bytes), sums_to_zero(bytes)))
}

fn header<'a>(address: u64, memory: &impl Fn(u64, usize) -> Option<&'a [u8]>) -> Option<Header> {
    let bytes = memory(address, HEADER)?;
    Some(Header::read_from_prefix(bytes).ok()?.0)
}

/// Exactly `length` bytes at `address`.
fn bytes<'a>(
    what: &'static str,
    address: u64,
    length: usize,
    memory: &impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<&'a [u8], AcpiError> {
    memory(address, length)
        .and_then(|b| b.get(..length))
        .ok_or(AcpiError::OutsideMemory {
            what,
            address,
            length,
        })
}
