//! Devices that only the DSDT or an SSDT names, found without running their code: a
//! `_HID` that is text, and a `_CRS` that is a constant list of resources (ACPI 6.5,
//! chapters 6.4 and 20.2). Not an interpreter: what is computed is not known.

use alloc::vec::Vec;

use super::notes::Notes;
use crate::{
    region::Region,
    witness::{Described, Kind},
};

/// `Name (_CRS, Buffer …)`.
const CONSTANT: &[u8] = b"\x08_CRS\x11";
/// `Device (…)`.
const DEVICE: &[u8] = b"\x5b\x82";
/// A string that begins, and the length of a `_HID` with that and its end.
const TEXT: u8 = 0x0d;
const HID: usize = 10;
/// The most that are noted or returned of one table.
const MOST: usize = 16;

/// The interconnects whose counters can be read, of the table's bytes.
pub(super) fn witnesses(what: &'static str, aml: &[u8], notes: &mut Notes) -> Vec<Described> {
    let mut found = Vec::new();
    for (at, text) in aml.windows(HID).enumerate() {
        let [TEXT, hid @ .., 0] = text else { continue };
        let Some(kind) = Kind::of_hid(hid).filter(|_| found.len() < MOST) else {
            continue;
        };
        match device(aml, at).and_then(|body| place(kind, body)) {
            Some(described) => found.push(described),
            None => notes.add(
                what,
                at,
                "names an interconnect whose place is no constant: its counters are not read",
            ),
        }
    }
    found
}

/// What the innermost device around this place has in it.
fn device(aml: &[u8], at: usize) -> Option<&[u8]> {
    (0..at).rev().find_map(|start| {
        let inside = aml.get(start..)?.strip_prefix(DEVICE)?;
        let body = package(inside, 0)?;
        (start + DEVICE.len() + body.1 > at).then(|| &inside[body.0..body.1])
    })
}

/// Where what has its length at `at` begins behind that, and where it ends.
fn package(aml: &[u8], at: usize) -> Option<(usize, usize)> {
    let lead = usize::from(*aml.get(at)?);
    let more = lead >> 6;
    let length = match more {
        0 => lead,
        _ => lead & 0xf | (number(aml, at + 1, more)? as usize) << 4,
    };
    let (from, end) = (at + 1 + more, at + length);
    (from <= end && end <= aml.len()).then_some((from, end))
}

/// A number of so many bytes, little-endian.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// The place that the list of resources in the buffer at `at` gives.
fn place(kind: Kind, body: &[u8]) -> Option<Described> {
    let crs = body.windows(CONSTANT.len()).position(|w| w == CONSTANT)?;
    let (from, end) = package(body, crs + CONSTANT.len())?;
    let buffer = &body[from..end];
    // Its size: zero, one, or a byte, a word, a double word behind a prefix.
    let mut at = match buffer.first()? {
        0 | 1 => 1,
        0xa => 2,
        0xb => 3,
        0xc => 5,
        _ => return None,
    };
    let none = Region { base: 0, size: 0 };
    // A CMN-600 has its root node's own range beside the whole one, in any order.
    let (mut region, mut other) = (none, none);
    while let Some(tag) = number(buffer, at, 1) {
        let (head, length) = match tag {
            0x78..=0x7f => break,
            0x80.. => (3, number(buffer, at + 1, 2)? as usize),
            _ => (1, (tag & 7) as usize),
        };
        // Where base and size are: memory of 32 bits, fixed or not; address spaces.
        let place = match (tag, buffer.get(at + 3)) {
            (0x86, _) => Some((4, 8, 4)),
            (0x85, _) => Some((4, 16, 4)),
            (0x87, Some(0)) => Some((10, 22, 4)),
            (0x8a, Some(0)) => Some((14, 38, 8)),
            _ => None,
        };
        if let Some((base, size, width)) = place {
            let found = Region {
                base: number(buffer, at + base, width)?,
                size: number(buffer, at + size, width)?,
            };
            (region, other) = match found.size > region.size {
                true => (found, region),
                false => (region, found),
            };
        }
        at += head + length;
    }
    let root = match other.common(&region) == Some(other) {
        true => other.base - region.base,
        false => 0,
    };
    (region.size > 0).then_some(Described { kind, region, root })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    /// A length and what it counts, as AML has it.
    fn with_length(content: &[u8]) -> Vec<u8> {
        let length = content.len() + 2;
        [&[0x40 | (length & 0xf) as u8, (length >> 4) as u8], content].concat()
    }

    /// A device with this `_HID` and this definition of `_CRS`, after another one.
    fn table(hid: &[u8; 8], crs: &[u8]) -> Vec<u8> {
        let device = |name: &[u8; 4], hid: &[u8; 8], crs: &[u8]| {
            let body = [name, &b"\x08_HID\x0d"[..], hid, b"\0", crs].concat();
            [DEVICE, &with_length(&body)].concat()
        };
        let other = device(b"COM0", b"ARMH0011", &constant(&fixed(0x900_0000, 0x1000)));
        let scope = [&b"\\_SB_"[..], &other, &device(b"CMN0", hid, crs)].concat();
        [&[0; 36][..], b"\x10", &with_length(&scope)].concat()
    }

    fn constant(resources: &[u8]) -> Vec<u8> {
        let list = [resources, b"\x79\0"].concat();
        let buffer = [&[0xa, list.len() as u8], &list[..]].concat();
        [CONSTANT, &with_length(&buffer)].concat()
    }

    fn fixed(base: u32, size: u32) -> Vec<u8> {
        let numbers = [base.to_le_bytes(), size.to_le_bytes()].concat();
        [&[0x86, 9, 0, 1][..], &numbers].concat()
    }

    fn quad(kind: u8, base: u64, size: u64) -> Vec<u8> {
        let numbers = [0, base, base + size - 1, 0, size].map(u64::to_le_bytes);
        [&[0x8a, 43, 0, kind, 0xc, 1], numbers.as_flattened()].concat()
    }

    fn read(aml: &[u8]) -> (Vec<Described>, Vec<String>) {
        let mut notes = Notes::default();
        let found = witnesses("DSDT", aml, &mut notes);
        (found, notes.into_sentences())
    }

    #[test]
    fn a_mesh_is_found_by_its_name_and_its_constant_place() {
        let region = Region {
            base: 0x50_0000_0000,
            size: 0x1000_0000,
        };
        let cmn = |root| Described {
            kind: Kind::Cmn,
            region,
            root,
        };
        let whole = quad(0, region.base, region.size);
        // An interrupt between, and a range of bus numbers.
        let odd = [&[0x89, 6, 0, 1, 1, 1, 0, 0, 0][..], &quad(2, 0, 0x100)].concat();
        let later = table(b"ARMHC700", &constant(&[&odd[..], &whole].concat()));
        assert_eq!(read(&later), ([cmn(0)].into(), [].into()));
        let root = quad(0, region.base + 0xd0_0000, 0x1_0000);
        for both in [[&whole[..], &root], [&root, &whole]] {
            let aml = table(b"ARMHC600", &constant(&both.concat()));
            assert_eq!(read(&aml), ([cmn(0xd0_0000)].into(), [].into()));
        }
        let mn = table(b"HISI0222", &constant(&fixed(0x8000_0000, 0x2000)));
        let (found, _) = read(&mn);
        assert_eq!(
            (found[0].kind, found[0].region.base, found[0].region.size),
            (Kind::Mn, 0x8000_0000, 0x2000)
        );
        assert_eq!(read(&table(b"ARMHD600", &constant(&whole))).0, []);
    }

    #[test]
    fn what_is_computed_is_said() {
        for crs in [
            &b"\x14\x08_CRS\x00\xa4RBUF"[..],
            b"\x08_CRSRBUF",
            b"",
            &constant(&[]),
        ] {
            let (found, notes) = read(&table(b"ARMHC700", crs));
            assert_eq!(found, []);
            assert!(notes[0].contains("is no constant"), "{notes:?}");
            assert_eq!(notes.len(), 1);
        }
    }

    proptest! {
        /// Any bytes behind a name: no panic.
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<usize>(), changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6)) {
            read(&table(b"ARMHC600", &bytes));
            let mut aml = table(b"ARMHC600", &constant(&quad(0, 1 << 40, 1 << 28)));
            for (at, value) in changes {
                let at = at % aml.len();
                aml[at] = value;
            }
            read(&aml);
            aml.truncate(cut % aml.len());
            read(&aml);
            read(&bytes);
        }
    }

    /// A constant list whose buffer gives its size so.
    fn sized(size: &[u8], list: &[u8]) -> Vec<u8> {
        [CONSTANT, &with_length(&[size, list].concat())].concat()
    }

    /// The base and size that this list gives a mesh.
    fn placed(crs: &[u8]) -> Option<(u64, u64)> {
        let (found, _) = read(&table(b"ARMHC700", crs));
        found.first().map(|d| (d.region.base, d.region.size))
    }

    #[test]
    fn a_buffer_may_give_its_size_in_any_way() {
        let list = fixed(0x5000_0000, 0x1000_0000);
        let there = Some((0x5000_0000, 0x1000_0000));
        for size in [
            // Less than there is of it: what there is counts.
            &b"\0"[..],
            b"\x01",
            b"\x0a\x0c",
            b"\x0b\x0c\0",
            b"\x0c\x0c\0\0\0",
        ] {
            assert_eq!(placed(&sized(size, &list)), there, "{size:?}");
        }
        // A name, whose value nobody knows.
        assert_eq!(placed(&sized(b"SIZE", &list)), None);
        // Short enough for a length of one byte.
        let short = [CONSTANT, &[15], b"\x0a\x0c", &list[..]].concat();
        assert_eq!(placed(&short), there);
    }

    #[test]
    fn each_way_to_name_memory_is_known() {
        let words =
            |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_le_bytes()).collect() };
        let (base, size) = (0x5000_0000, 0x1000_0000);
        let last = base + size - 1;
        let movable = [&[0x85, 17, 0, 1][..], &words(&[base, base, 0, size])].concat();
        let space = |kind| {
            [
                &[0x87, 23, 0, kind, 0xc, 1][..],
                &words(&[0, base, last, 0, size]),
            ]
            .concat()
        };
        let there = Some((base.into(), size.into()));
        assert_eq!(placed(&constant(&movable)), there);
        assert_eq!(placed(&constant(&space(0))), there);
        assert_eq!(placed(&constant(&quad(0, base.into(), size.into()))), there);
        // Ports are no memory.
        assert_eq!(placed(&constant(&space(1))), None);
    }

    #[test]
    fn only_whole_resources_before_the_end_count() {
        let mesh = fixed(0x5000_0000, 0x10_0000);
        let there = Some((0x5000_0000, 0x10_0000));
        let more = fixed(0x6000_0000, 0x20_0000);
        // Short ones: an interrupt with flags and without.
        for short in [&b"\x23\x10\0\x01"[..], b"\x22\x10\0"] {
            assert_eq!(placed(&constant(&[short, &mesh].concat())), there);
        }
        // The vendor's own, whatever it looks like.
        let own = [&[0x84, 2 + 12, 0, 0, 0][..], &more].concat();
        assert_eq!(placed(&constant(&[&own[..], &mesh].concat())), there);
        let behind = [&mesh[..], b"\x79\0", &more].concat();
        assert_eq!(placed(&constant(&behind)), there);
    }

    #[test]
    fn a_place_is_that_of_the_device_around_the_name() {
        let mesh = constant(&fixed(0x5000_0000, 0x10_0000));
        let name = b"\x08_HID\x0dARMHC700\0";
        let device = |body: &[u8]| [DEVICE, &with_length(body)].concat();
        // Another inside it, which ends before.
        let inner = device(b"PORT\x08_UID\x0dnumber 0\0\x08_STR\x0dof two\0");
        let outer = device(&[b"CMN0", &inner[..], name, &mesh].concat());
        let (found, notes) = read(&[&[0; 36][..], &outer].concat());
        assert_eq!((found.len(), notes.len()), (1, 0), "{notes:?}");
        assert_eq!(found[0].region.base, 0x5000_0000);
        // One that has ended has no part in what is right behind it.
        let other = device(&[b"COM0", &mesh[..]].concat());
        let (found, notes) = read(&[&[0; 36], &other[..], &name[5..]].concat());
        assert_eq!(found, []);
        assert!(notes[0].contains("is no constant"), "{notes:?}");
    }

    #[test]
    fn of_many_meshes_sixteen_are_taken() {
        let one = table(b"ARMHC700", &constant(&fixed(0x5000_0000, 0x10_0000)));
        for (count, taken) in [(15, 15), (16, 16), (17, 16)] {
            let (found, notes) = read(&one.repeat(count));
            assert_eq!((found.len(), notes.len()), (taken, 0));
        }
    }
}
