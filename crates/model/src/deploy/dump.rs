//! Is a dump whole? As far as its first and last bytes tell.
//!
//! Sources: makedumpfile's `diskdump_mod.h` and `makedumpfile.h` (the flattened format, its
//! `struct makedumpfile_header` and the record that ends it).

use alloc::{
    format,
    string::{String, ToString},
};

/// How much of the beginning is looked at, and of the end.
pub const DUMP_ENDS: (usize, usize) = (512, 16);

/// Where the compressed format has its `status`: behind the signature, the version and
/// `struct new_utsname`, and a time.
const STATUS: usize = 424;
/// Makedumpfile had no room, and says so there.
const INCOMPLETE: u32 = 8;
/// What follows the header of a flattened dump, its records aside.
const FLAT_HEADER: u64 = 4096;
/// Packed, nothing is still this long.
const EMPTY: u64 = 64;

/// What a file of `size` bytes with this beginning and end is, in words.
///
/// # Errors
/// One line: why it is no whole dump.
pub fn dump(size: u64, begin: &[u8], end: &[u8]) -> Result<&'static str, String> {
    let packed = [
        (&b"\x1f\x8b"[..], "a dump packed by gzip"),
        (b"BZh", "a dump packed by bzip2"),
        (b"\x04\x22\x4d\x18", "a dump packed by lz4"),
        (b"\xfd7zXZ\0", "a dump packed by xz"),
        (b"\x28\xb5\x2f\xfd", "a dump packed by zstd"),
    ];
    if size == 0 {
        return Err("it is empty".to_string());
    }
    if begin.starts_with(b"\x7fELF") {
        return Ok("a core file");
    }
    if begin.starts_with(b"KDUMP   ") {
        let status = begin.get(STATUS..STATUS + 4);
        let status = status.and_then(|bytes| bytes.try_into().ok());
        return match status.map(u32::from_le_bytes) {
            None => Err(format!("it broke off after {size} bytes")),
            Some(status) if status & INCOMPLETE != 0 => {
                Err("makedumpfile had no room for all of it, as its header says".to_string())
            }
            Some(_) => Ok("a dump of makedumpfile's"),
        };
    }
    if begin.starts_with(b"makedumpfile\0") {
        // It ends with a record whose offset and size are -1.
        return match size > FLAT_HEADER && end == [0xff; DUMP_ENDS.1] {
            true => Ok("a flattened dump of makedumpfile's"),
            false => Err(format!("it broke off after {size} bytes")),
        };
    }
    match packed.iter().find(|(magic, _)| begin.starts_with(magic)) {
        Some(_) if size <= EMPTY => Err(format!("its {size} bytes unpack to nothing")),
        Some((_, what)) => Ok(what),
        None => Err("it begins as no dump does".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// The head of makedumpfile's own format.
    fn compressed(status: u32) -> Vec<u8> {
        let mut head = b"KDUMP   ".to_vec();
        head.resize(STATUS, 0);
        head.extend(status.to_le_bytes());
        head
    }

    #[test]
    fn a_whole_dump_is_known_by_its_ends() {
        let flat = b"makedumpfile\0\0\0\0";
        let all = [0xff; DUMP_ENDS.1];
        for (size, begin, end, what) in [
            (9000, &b"\x7fELF\x02"[..], &[0; 16][..], Ok("a core file")),
            (
                9000,
                &compressed(1),
                &[0; 16],
                Ok("a dump of makedumpfile's"),
            ),
            (9000, flat, &all, Ok("a flattened dump of makedumpfile's")),
            (9000, b"\x1f\x8b\x08", &[0; 16], Ok("a dump packed by gzip")),
            (9000, b"BZh9", &[0; 16], Ok("a dump packed by bzip2")),
            (
                9000,
                b"\x04\x22\x4d\x18",
                &[0; 16],
                Ok("a dump packed by lz4"),
            ),
            (9000, b"\xfd7zXZ\0", &[0; 16], Ok("a dump packed by xz")),
            (0, b"", b"", Err("it is empty")),
            (
                20,
                b"\x1f\x8b\x08",
                &[0; 16],
                Err("its 20 bytes unpack to nothing"),
            ),
            (9000, flat, &[0; 16], Err("it broke off after 9000 bytes")),
            (16, flat, &all, Err("it broke off after 16 bytes")),
            (
                100,
                &compressed(1)[..100],
                &[0; 16],
                Err("it broke off after 100 bytes"),
            ),
            (
                9000,
                &compressed(9),
                &[0; 16],
                Err("makedumpfile had no room"),
            ),
            (
                9000,
                b"[    0.000000] Booting",
                &[0; 16],
                Err("it begins as no dump does"),
            ),
        ] {
            let found = dump(size, begin, end);
            match (&found, what) {
                (Ok(found), Ok(what)) => assert_eq!(*found, what),
                (Err(found), Err(what)) => assert!(found.starts_with(what), "{found}"),
                _ => panic!("{found:?}, not {what:?}"),
            }
        }
    }
}
