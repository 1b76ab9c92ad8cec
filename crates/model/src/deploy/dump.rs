//! Is a dump whole? As far as its first and last bytes tell.
//!
//! Sources: makedumpfile's `diskdump_mod.h` and `makedumpfile.h` (the flattened format, its
//! `struct makedumpfile_header` and the record that ends it).

use alloc::{
    format,
    string::{String, ToString},
};

/// How much of the beginning is looked at, which holds the program headers of a core file
/// with more ranges of memory than machines have, and of the end.
pub const DUMP_ENDS: (usize, usize) = (64 << 10, 16);

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
        return match core_ends(begin) {
            Some(end) if end <= size => Ok("a core file"),
            Some(end) => Err(format!("it broke off after {size} of {end} bytes")),
            None => Err(format!("it broke off after {size} bytes")),
        };
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

/// Where the last segment of a core file ends, in its 64-bit form: that of /proc/vmcore and
/// of makedumpfile's. `None` if its headers are not there.
fn core_ends(begin: &[u8]) -> Option<u64> {
    let number = |at: u64, size: usize| {
        let at = usize::try_from(at).ok()?;
        let bytes = begin.get(at..at.checked_add(size)?)?.iter().rev();
        Some(bytes.fold(0, |word, byte| word << 8 | u64::from(*byte)))
    };
    let (headers, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    // One without memory in it is none.
    (0..count.max(1)).try_fold(0, |last: u64, n| {
        let at = headers.checked_add(n * size)?;
        let end = number(at + 8, 8)?.checked_add(number(at + 32, 8)?)?;
        Some(last.max(end))
    })
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

    /// The headers of a core file with two segments, of which the second ends at 9000.
    fn core() -> Vec<u8> {
        let mut head = b"\x7fELF\x02".to_vec();
        head.resize(64 + 2 * 56, 0);
        head[32] = 64;
        head[54] = 56;
        head[56] = 2;
        for (n, (offset, size)) in [(1000_u64, 24_u64), (4096, 9000 - 4096)].iter().enumerate() {
            let at = 64 + n * 56;
            head[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            head[at + 32..at + 40].copy_from_slice(&size.to_le_bytes());
        }
        head
    }

    #[test]
    fn a_whole_dump_is_known_by_its_ends() {
        let flat = b"makedumpfile\0\0\0\0";
        let all = [0xff; DUMP_ENDS.1];
        for (size, begin, end, what) in [
            (9000, &core()[..], &[0; 16][..], Ok("a core file")),
            (
                8999,
                &core(),
                &[0; 16],
                Err("it broke off after 8999 of 9000 bytes"),
            ),
            (
                150,
                &core()[..150],
                &[0; 16],
                Err("it broke off after 150 bytes"),
            ),
            (4, &core()[..4], &[0; 16], Err("it broke off after 4 bytes")),
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
