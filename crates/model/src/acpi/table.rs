//! One table: its header, its checksum, and reads that stay inside it.

use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

/// The header that every table but the RSDP begins with.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    /// Four letters.
    pub signature: [u8; 4],
    /// Of the whole table, in bytes, with this header.
    pub length: U32,
    /// Of this kind of table.
    pub revision: u8,
    /// Makes all bytes add up to 0.
    pub checksum: u8,
    /// Who made the table.
    pub oem_id: [u8; 6],
    /// Which of the maker's tables.
    pub oem_table_id: [u8; 8],
    /// The maker's revision.
    pub oem_revision: U32,
    /// Which tool wrote it.
    pub creator_id: [u8; 4],
    /// The tool's revision.
    pub creator_revision: U32,
}

/// Length of a table's header in bytes.
pub const HEADER: usize = size_of::<Header>();

/// ACPI's Generic Address Structure.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct GenericAddress {
    /// 0 is memory, 1 is port I/O.
    pub space: u8,
    /// Width of the register in bits.
    pub bit_width: u8,
    /// Its first bit.
    pub bit_offset: u8,
    /// Width of an access: 1 byte, 2 half word, 3 word, 4 double word.
    pub access_size: u8,
    /// Where.
    pub address: U64,
}

/// A table's bytes, from its header to the end that its length gives.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    signature: [u8; 4],
    revision: u8,
    bytes: &'a [u8],
}

impl<'a> Table<'a> {
    /// Takes `bytes`, cut to the table's own length, as the table that
    /// `header` begins.
    pub(super) fn new(header: &Header, bytes: &'a [u8]) -> Self {
        Self {
            signature: header.signature,
            revision: header.revision,
            bytes,
        }
    }

    /// What the table is called in the report.
    pub fn name(&self) -> &'static str {
        name(self.signature)
    }

    /// The table's revision.
    pub fn revision(&self) -> u8 {
        self.revision
    }

    /// Every byte of the table.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads what lies at `offset`, if all of it is inside the table.
    pub(super) fn at<T: FromBytes>(&self, offset: usize) -> Option<T> {
        let bytes = self.bytes.get(offset..)?;
        Some(T::read_from_prefix(bytes).ok()?.0)
    }
}

/// Do all bytes add up to 0, as ACPI's checksums require?
pub fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b)) == 0
}

/// Does the reader ask for tables of this signature?
pub fn is_read(signature: [u8; 4]) -> bool {
    name(signature) != OTHER
}

const OTHER: &str = "a table";

/// The name in the specification of a table that the reader asks for.
pub fn name(signature: [u8; 4]) -> &'static str {
    match &signature {
        b"XSDT" => "XSDT",
        b"APIC" => "MADT",
        b"GTDT" => "GTDT",
        b"SPCR" => "SPCR",
        b"FACP" => "FADT",
        b"PPTT" => "PPTT",
        b"SDEI" => "SDEI",
        b"DSDT" => "DSDT",
        b"SSDT" => "SSDT",
        _ => OTHER,
    }
}
