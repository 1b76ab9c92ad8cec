//! A directory as it lies on the volume: 32 bytes an entry.

use crate::name;

const VOLUME_LABEL: u8 = 0x08;
const SUBDIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
/// 1 January 2024: the same image every day.
const DATE: u16 = (2024 - 1980) << 9 | 1 << 5 | 1;
const LABEL: &[u8; 11] = b"STALECORE  ";

/// Entries being put together.
pub struct Entries {
    bytes: Vec<u8>,
    short: Vec<[u8; 11]>,
}

impl Entries {
    /// Those of the root: the volume's label.
    pub fn of_root() -> Self {
        let mut entries = Self {
            bytes: Vec::new(),
            short: Vec::new(),
        };
        entries.push(LABEL, VOLUME_LABEL, 0, 0);
        entries
    }

    /// Those of a directory at cluster `own`, in one at `parent`; the root is
    /// called 0.
    pub fn of_directory(own: u32, parent: u32) -> Self {
        let mut entries = Self {
            bytes: Vec::new(),
            short: Vec::new(),
        };
        entries.push(b".          ", SUBDIRECTORY, own, 0);
        entries.push(b"..         ", SUBDIRECTORY, parent, 0);
        entries
    }

    /// Adds a file of `length` bytes at `cluster`, or a directory.
    pub fn add(&mut self, name: &str, cluster: u32, length: Option<u32>) {
        let short = name::short(name, &self.short);
        for entry in name::long(name, &short) {
            self.bytes.extend(entry);
        }
        self.short.push(short);
        match length {
            Some(length) => self.push(&short, ARCHIVE, cluster, length),
            None => self.push(&short, SUBDIRECTORY, cluster, 0),
        }
    }

    fn push(&mut self, short: &[u8; 11], attributes: u8, cluster: u32, length: u32) {
        let mut entry = [0; 32];
        entry[..11].copy_from_slice(short);
        entry[11] = attributes;
        for date in [16, 18, 24] {
            entry[date..date + 2].copy_from_slice(&DATE.to_le_bytes());
        }
        let [a, b, c, d] = cluster.to_le_bytes();
        entry[20..22].copy_from_slice(&[c, d]);
        entry[26..28].copy_from_slice(&[a, b]);
        entry[28..32].copy_from_slice(&length.to_le_bytes());
        self.bytes.extend(entry);
    }

    /// All of them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// How many bytes a directory of these names needs.
pub fn length<'a>(names: impl Iterator<Item = &'a str>, is_root: bool) -> usize {
    let mut entries = if is_root {
        Entries::of_root()
    } else {
        Entries::of_directory(0, 0)
    };
    for name in names {
        entries.add(name, 0, None);
    }
    entries.bytes.len()
}
