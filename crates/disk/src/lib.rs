//! Makes a disk image with one EFI system partition, as UEFI and U-Boot boot
//! it from a USB stick or a virtual disk, without root or tools of the host.
//!
//! The partition table is an MBR's: unlike a GPT it stays right when the image
//! is copied to a larger stick. The same files make the same image, to the
//! byte; a file system that is only ever written once needs no more than this,
//! and `fsck.fat` has nothing to say about it.

mod directory;
mod name;
mod tree;
mod volume;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use tree::Directory;
use volume::Volume;

/// Bytes of a sector.
const SECTOR: u32 = 512;
/// Where the partition begins, in sectors: at 1 MiB, as is usual.
const START: u32 = 2048;
/// The partition's length in sectors, 63 MiB: FAT32 needs more than half of
/// it, the rest is for logs.
const LENGTH: u32 = 63 * 2048;
/// UEFI's partition type in an MBR.
const EFI_SYSTEM: u8 = 0xef;
/// "Look at the sectors, not at cylinders and heads."
const NO_CHS: [u8; 3] = [0xfe, 0xff, 0xff];
/// Volume serial number and disk signature: any constant will do.
const SERIAL: u32 = 0x5354_4c43;

/// Writes an image to `path` that holds `files`: path in the image, with
/// slashes, and contents.
///
/// # Errors
/// Writing fails, a path cannot be a file's, or the files do not fit.
pub fn write(path: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
    let mut root = Directory::default();
    for (path, bytes) in files {
        let wrong = |e| io::Error::new(io::ErrorKind::InvalidInput, format!("{path}: {e}"));
        root.add(path, bytes).map_err(wrong)?;
    }
    let volume = Volume::of(&root)?;
    let mut disk = File::create(path)?;
    // What is not written is zero, and takes no room where files can be sparse.
    disk.set_len(u64::from(START + LENGTH) * u64::from(SECTOR))?;
    disk.write_all(&partition_table())?;
    for (sector, bytes) in volume.pieces() {
        let at = u64::from(START + sector) * u64::from(SECTOR);
        disk.seek(SeekFrom::Start(at))?;
        disk.write_all(bytes)?;
    }
    disk.sync_all()
}

/// A master boot record with one entry.
fn partition_table() -> [u8; SECTOR as usize] {
    let mut table = [0; SECTOR as usize];
    table[440..444].copy_from_slice(&SERIAL.to_le_bytes());
    let entry = &mut table[446..462];
    entry[1..4].copy_from_slice(&NO_CHS);
    entry[4] = EFI_SYSTEM;
    entry[5..8].copy_from_slice(&NO_CHS);
    entry[8..12].copy_from_slice(&START.to_le_bytes());
    entry[12..16].copy_from_slice(&LENGTH.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    table
}
