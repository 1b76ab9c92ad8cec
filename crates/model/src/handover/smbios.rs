//! The machine's name from SMBIOS: ACPI has none.
//!
//! DMTF DSP0134: the 64-bit entry point, and structure type 1 (System
//! Information).

use alloc::{
    format,
    string::{String, ToString},
};

use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryPoint {
    anchor: [u8; 5],
    checksum: u8,
    length: u8,
    version: [u8; 3],
    revision: u8,
    reserved: u8,
    most: U32,
    table: U64,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SystemInformation {
    kind: u8,
    length: u8,
    handle: U16,
    manufacturer: u8,
    product: u8,
}

const SYSTEM_INFORMATION: u8 = 1;
const END: u8 = 127;
/// The longest table that is searched, in bytes.
const MOST: u32 = 64 << 10;

/// "MANUFACTURER PRODUCT" of the machine whose SMBIOS 3 entry point is at physical address
/// `entry`, in ASCII; `None` if it does not say.
///
/// `memory` gives the bytes at a physical address, if they can be read.
pub fn model<'a>(entry: u64, memory: impl Fn(u64, usize) -> Option<&'a [u8]>) -> Option<String> {
    let bytes = memory(entry, size_of::<EntryPoint>())?;
    let (entry, _) = EntryPoint::read_from_prefix(bytes).ok()?;
    if &entry.anchor != b"_SM3_" {
        return None;
    }
    let length = usize::try_from(entry.most.get().min(MOST)).ok()?;
    let mut rest = memory(entry.table.get(), length)?;
    loop {
        let (kind, formatted) = (*rest.first()?, usize::from(*rest.get(1)?));
        let strings = rest.get(formatted..).filter(|_| formatted >= 4)?;
        let end = strings.windows(2).position(|w| w == [0, 0])?;
        if kind == SYSTEM_INFORMATION {
            let (system, _) = SystemInformation::read_from_prefix(&rest[..formatted]).ok()?;
            return name(&strings[..end], &system);
        }
        if kind == END {
            return None;
        }
        rest = &strings[end + 2..];
    }
}

/// Manufacturer and product, unless the product repeats the manufacturer.
fn name(strings: &[u8], system: &SystemInformation) -> Option<String> {
    let manufacturer = string(strings, system.manufacturer);
    let product = string(strings, system.product);
    let both = if product.starts_with(&manufacturer) {
        product
    } else {
        format!("{manufacturer} {product}")
    };
    let both = both.trim();
    (!both.is_empty()).then(|| both.to_string())
}

/// The string of that number, counted from 1; 0 is none.
fn string(strings: &[u8], number: u8) -> String {
    let Some(index) = number.checked_sub(1) else {
        return String::new();
    };
    let string = strings.split(|b| *b == 0).nth(index.into());
    let ascii = string.unwrap_or_default().iter().copied();
    let ascii: String = ascii
        .filter(|b| (b' '..=b'~').contains(b))
        .map(char::from)
        .collect();
    ascii.trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    const TABLE: u64 = 0x100_0000_1000;

    fn read(table: &[u8]) -> Option<String> {
        let mut entry = b"_SM3_\0\x18\x03\x02\x00\x01\0".to_vec();
        entry.extend(u32::try_from(table.len()).unwrap().to_le_bytes());
        entry.extend(TABLE.to_le_bytes());
        model(0x1000, |address, length| match address {
            0x1000 => entry.get(..length),
            TABLE => table.get(..length),
            _ => None,
        })
    }

    fn structure(kind: u8, fields: &[u8], strings: &[u8]) -> Vec<u8> {
        let length = u8::try_from(4 + fields.len()).unwrap();
        [&[kind, length, 0, 0], fields, strings, &[0, 0]].concat()
    }

    #[test]
    fn manufacturer_and_product() {
        let bios = structure(0, &[1, 2], b"EDK II\x001.0");
        let system = structure(1, &[1, 2, 3], b"Inspur    \0CS5260F\x00x");
        assert_eq!(
            read(&[bios.clone(), system].concat()).unwrap(),
            "Inspur CS5260F"
        );
        let repeated = structure(1, &[1, 2], b"QEMU\0QEMU Virtual Machine");
        assert_eq!(read(&repeated).unwrap(), "QEMU Virtual Machine");
        let no_maker = structure(1, &[0, 1], b"D06");
        assert_eq!(read(&[bios.clone(), no_maker].concat()).unwrap(), "D06");
        let nameless = structure(1, &[0, 9], b"");
        assert_eq!(read(&[bios.clone(), nameless].concat()), None);
        assert_eq!(read(&[bios, structure(127, &[], b"")].concat()), None);
    }

    #[test]
    fn a_structure_of_no_length_ends_the_search() {
        assert_eq!(read(&vec![0; 4096]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(table in prop::collection::vec(0_u8..6, 0..300)) {
            let _ = read(&table);
        }
    }
}
