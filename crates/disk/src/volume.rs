//! A FAT32 volume that is written once: everything lies in one piece, in the
//! order of the tree.
//!
//! Layout: Microsoft's FAT specification, revision 1.03.

use std::{borrow::Cow, io};

use crate::{
    LENGTH, SECTOR, SERIAL, START,
    directory::{self, Entries},
    tree::{Directory, Node},
};

/// A cluster is one sector: the volume is small for FAT32, which must have at
/// least 65,525 of them.
const CLUSTER: u32 = SECTOR;
const RESERVED: u32 = 32;
const FATS: u32 = 2;
const INFO: u32 = 1;
const BACKUP: u32 = 6;
/// One entry of four bytes for each cluster and two more, in sectors; the FATs'
/// own sectors are counted too, which does no harm.
const FAT: u32 = ((LENGTH - RESERVED) + 2).div_ceil(SECTOR / 4);
const DATA: u32 = RESERVED + FATS * FAT;
const CLUSTERS: u32 = LENGTH - DATA;
/// The first cluster's number, which is the root's.
const ROOT: u32 = 2;
const END: u32 = 0x0fff_ffff;
const MEDIA: u32 = 0x0fff_fff8;

/// A volume's contents.
pub struct Volume<'a> {
    /// The FAT: what follows each cluster.
    next: Vec<u32>,
    /// What lies at a cluster.
    data: Vec<(u32, Cow<'a, [u8]>)>,
    boot: Vec<u8>,
    info: Vec<u8>,
    fat: Vec<u8>,
}

impl<'a> Volume<'a> {
    /// Lays the tree out.
    ///
    /// # Errors
    /// It does not fit.
    pub fn of(root: &Directory<'a>) -> io::Result<Self> {
        let mut volume = Self {
            next: vec![MEDIA, END],
            data: Vec::new(),
            boot: boot_sector(),
            info: Vec::new(),
            fat: Vec::new(),
        };
        volume.directory(root, None)?;
        volume.info = volume.info_sector();
        volume.fat = volume.next.iter().flat_map(|n| n.to_le_bytes()).collect();
        Ok(volume)
    }

    /// What is not zero, with its sector from the start of the volume.
    pub fn pieces(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let fixed = [
            (0, &self.boot),
            (INFO, &self.info),
            (BACKUP, &self.boot),
            (BACKUP + INFO, &self.info),
            (RESERVED, &self.fat),
            (RESERVED + FAT, &self.fat),
        ];
        let data = self.data.iter();
        fixed
            .into_iter()
            .map(|(sector, bytes)| (sector, bytes.as_slice()))
            .chain(data.map(|(cluster, bytes)| (DATA + cluster - ROOT, bytes.as_ref())))
    }

    /// Takes clusters for `length` bytes; 0 for none.
    fn take(&mut self, length: usize) -> io::Result<u32> {
        let full = || io::Error::new(io::ErrorKind::StorageFull, "the files do not fit");
        let count = length.div_ceil(CLUSTER as usize);
        if count > CLUSTERS as usize + 2 - self.next.len() {
            return Err(full());
        }
        let first = u32::try_from(self.next.len()).map_err(|_| full())?;
        let count = u32::try_from(count).map_err(|_| full())?;
        self.next.extend(first + 1..first + count);
        if count == 0 {
            return Ok(0);
        }
        self.next.push(END);
        Ok(first)
    }

    /// Lays a directory out, in `parent` if it is not the root; its cluster.
    fn directory(&mut self, directory: &Directory<'a>, parent: Option<u32>) -> io::Result<u32> {
        let names = directory.entries.iter().map(|(name, _)| name.as_str());
        let own = self.take(directory::length(names, parent.is_none()))?;
        let (mut entries, as_parent) = match parent {
            None => (Entries::of_root(), 0),
            Some(parent) => (Entries::of_directory(own, parent), own),
        };
        for (name, node) in &directory.entries {
            match node {
                Node::Directory(below) => {
                    let cluster = self.directory(below, Some(as_parent))?;
                    entries.add(name, cluster, None);
                }
                Node::File(bytes) => {
                    let cluster = self.take(bytes.len())?;
                    // `take` has seen that it fits, so it is far below 4 GiB.
                    entries.add(name, cluster, u32::try_from(bytes.len()).ok());
                    if !bytes.is_empty() {
                        self.data.push((cluster, Cow::Borrowed(bytes)));
                    }
                }
            }
        }
        self.data.push((own, Cow::Owned(entries.into_bytes())));
        Ok(own)
    }

    /// How much is free: a hint, but one that checkers check.
    fn info_sector(&self) -> Vec<u8> {
        let next = self.next.len() as u32;
        let mut sector = vec![0; SECTOR as usize];
        for (at, word) in [
            (0, 0x4161_5252),
            (484, 0x6141_7272),
            (488, CLUSTERS + 2 - next),
            (492, next),
            (508, 0xaa55_0000),
        ] {
            sector[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
        }
        sector
    }
}

fn boot_sector() -> Vec<u8> {
    let mut sector = vec![0; SECTOR as usize];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xeb, 0x58, 0x90]);
    put(3, b"MSWIN4.1");
    put(11, &(SECTOR as u16).to_le_bytes());
    put(13, &[(CLUSTER / SECTOR) as u8]);
    put(14, &(RESERVED as u16).to_le_bytes());
    put(16, &[FATS as u8]);
    put(21, &[MEDIA as u8]);
    // A disk's geometry as firmware would make it up.
    put(24, &63_u16.to_le_bytes());
    put(26, &255_u16.to_le_bytes());
    put(28, &START.to_le_bytes());
    put(32, &LENGTH.to_le_bytes());
    put(36, &FAT.to_le_bytes());
    put(44, &ROOT.to_le_bytes());
    put(48, &(INFO as u16).to_le_bytes());
    put(50, &(BACKUP as u16).to_le_bytes());
    put(64, &[0x80, 0, 0x29]);
    put(67, &SERIAL.to_le_bytes());
    put(71, b"STALECORE  FAT32   ");
    put(510, &[0x55, 0xaa]);
    sector
}
