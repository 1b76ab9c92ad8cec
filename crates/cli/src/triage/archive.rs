//! Archives as tar writes them: POSIX's ustar format, with GNU's long names.

use std::{
    io::{self, Error, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// A header's size; a file's content is padded to a multiple of it.
const BLOCK: usize = 512;

/// The longest name that is read.
const LONGEST_NAME: u64 = 4096;

/// Is this the beginning of an archive?
pub fn is_one(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// The files of an archive whose names are wanted, at most `most` bytes of them
/// together.
///
/// # Errors
/// Those of the reader; the archive is cut off or damaged, or holds more.
pub fn files(
    mut archive: impl Read,
    most: usize,
    wanted: fn(&Path) -> bool,
) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut left = most as u64;
    let mut long_name = None;
    loop {
        let mut header = [0; BLOCK];
        archive.read_exact(&mut header)?;
        if header.iter().all(|b| *b == 0) {
            return Ok(found);
        }
        let size = number(&header[124..136]).filter(|_| is_one(&header));
        let size = size.ok_or_else(|| Error::new(ErrorKind::InvalidData, "damaged archive"))?;
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        let kind = header[156];
        if kind == b'L' && size <= LONGEST_NAME {
            let bytes = content(&mut archive, size)?;
            long_name = Some(text(&bytes).into());
        } else {
            let path = long_name.take().unwrap_or_else(|| name(&header));
            if matches!(kind, b'0' | 0) && wanted(&path) {
                left = left
                    .checked_sub(size)
                    .ok_or_else(|| Error::new(ErrorKind::InvalidData, "too large"))?;
                found.push((path, content(&mut archive, size)?));
            } else {
                skip(&mut archive, size)?;
            }
        }
        skip(&mut archive, padding)?;
    }
}

fn content(archive: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.take(size).read_to_end(&mut bytes)?;
    whole(bytes.len() as u64, size)?;
    Ok(bytes)
}

fn skip(archive: &mut impl Read, size: u64) -> io::Result<()> {
    whole(io::copy(&mut archive.take(size), &mut io::sink())?, size)
}

fn whole(got: u64, size: u64) -> io::Result<()> {
    match got == size {
        true => Ok(()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// An octal number, or a large one as GNU writes it.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return Some(u64::from_be_bytes(field.last_chunk().copied()?) & (u64::MAX >> 1));
    }
    let digits = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(digits.trim_matches([' ', '\0']), 8).ok()
}

fn name(header: &[u8]) -> PathBuf {
    // GNU's own format keeps times where POSIX has the front of a long name.
    let front = if header[262] == 0 {
        &header[345..500]
    } else {
        &[]
    };
    Path::new(&text(front)).join(text(&header[..100]))
}

/// Up to the first NUL.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An archive of these files.
    pub fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, bytes) in files {
            if name.len() >= 100 {
                entry(&mut out, b'L', "././@LongLink", name.as_bytes());
            }
            entry(&mut out, b'0', &name[..name.len().min(99)], bytes);
        }
        out.resize(out.len() + 2 * BLOCK, 0);
        out
    }

    fn entry(out: &mut Vec<u8>, kind: u8, name: &str, bytes: &[u8]) {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        out.extend_from_slice(&header);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }

    #[test]
    fn wanted_files_come_out_with_long_names_too() {
        let long = format!("{}/dmesg.txt", "d".repeat(150));
        let archive = tar(&[
            ("a/x".into(), b"left out".into()),
            (long.clone(), b"text".into()),
        ]);
        let found = files(&archive[..], 100, |path| path.ends_with("dmesg.txt")).unwrap();
        assert_eq!(found, [(long.into(), b"text".to_vec())]);
        assert!(is_one(&archive) && !is_one(b"[    0.000000] Booting Linux"));
    }

    #[test]
    fn damage_and_size_are_told() {
        let archive = tar(&[("dmesg.txt".into(), vec![b'x'; 2000])]);
        let all = |bytes: &[u8], most| files(bytes, most, |_| true).map(|found| found.len());
        assert_eq!(all(&archive, 2000).unwrap(), 1);
        assert!(all(&archive, 1999).is_err());
        assert!(all(&archive[..1000], 2000).is_err());
        let mut damaged = archive.clone();
        damaged[124] = b'x';
        assert!(all(&damaged, 2000).is_err());
    }
}
