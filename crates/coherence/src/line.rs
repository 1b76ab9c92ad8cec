//! What caches may hold of one line.

use parking_lot::Mutex;
use std::sync::{OnceLock, atomic::AtomicBool};

use crate::{sites::Site, translate::Memory};

/// log2 of the bytes of the smallest line that is modelled.
pub const SMALLEST_LINE: u32 = 6;
/// log2 of the bytes of a page of lines.
pub const PAGE: u32 = 12;

/// What an access was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum What {
    /// Data read.
    #[default]
    Load,
    /// Data written.
    Store,
    /// A whole line written.
    Zero,
    /// Instructions read.
    Fetch,
    /// A page table read by the core itself.
    Walk,
    /// Maintenance; the instruction has a name of its own.
    Maintenance,
}

/// A core at an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Who {
    /// QEMU's number of the core.
    pub core: u16,
    /// What it did.
    pub what: What,
    /// The instruction.
    pub site: Site,
}

/// A line's state. Times are the checker's own count of events; 0 is before all
/// of them.
#[derive(Default, Debug)]
pub struct Line {
    /// Who wrote it through a cache, if it was not written back since; and how often that
    /// core had been off by then.
    pub dirty: Option<(Who, u32)>,
    /// Who wrote it past the caches, with no invalidate since.
    pub bypassed: Option<Who>,
    /// When it was last written.
    pub changed: u64,
    /// Who did.
    pub by: Who,
    /// When it was last written with other bytes than it held: from then on a fetch may
    /// find older ones.
    pub renewed: u64,
    /// Who did that.
    pub author: Who,
    /// Does a data cache hold newer bytes than the point of unification?
    pub unclean: bool,
    /// When the newest bytes reached the point of unification.
    pub at_pou: u64,
    /// The newest `ic ivau` after that: when it was executed, and when a DSB completed it.
    pub invalidated: (u64, u64),
    /// The core that invalidated it last, with a DSB behind it, and what that core had
    /// learned when it did.
    pub polled: Option<(u16, u32)>,
    /// Who read it past the caches before it was clean, and how often.
    pub early: Option<(Who, u32)>,
    /// Maintenance that was not complete when its core told others.
    pub unfinished: Option<Who>,
}

/// The lines of a page, and what is known about the page as a whole.
#[derive(Default)]
pub struct Page {
    /// Has any of it been written with other bytes?
    pub renewed: AtomicBool,
    /// Are there page tables in it?
    pub walked: AtomicBool,
    /// The memory type that it was last mapped with, in which generation of
    /// the tables, and for whom.
    pub mapped: Mutex<Option<(u64, Memory, Who)>>,
    lines: Lines,
    bytes: OnceLock<Mutex<Bytes>>,
}

/// What was stored to a page, and to which of its bytes.
struct Bytes {
    bytes: [u8; 1 << PAGE],
    known: [u64; (1 << PAGE) / 64],
}

struct Lines([Mutex<Line>; 1 << (PAGE - SMALLEST_LINE)]);

impl Default for Lines {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Page {
    /// The line of a physical address in this page, of `1 << line` bytes.
    pub fn line(&self, physical: u64, line: u32) -> &Mutex<Line> {
        &self.lines.0[(physical & ((1 << PAGE) - 1)) as usize >> line]
    }

    /// Notes bytes that were stored within the page. Are they the same as before?
    pub fn store(&self, physical: u64, stored: &[u8]) -> bool {
        let page = self.bytes.get_or_init(|| {
            Mutex::new(Bytes {
                bytes: [0; 1 << PAGE],
                known: [0; (1 << PAGE) / 64],
            })
        });
        let mut page = page.lock();
        let mut same = true;
        for (at, byte) in (physical as usize..).zip(stored) {
            let at = at & ((1 << PAGE) - 1);
            let (word, bit) = (at / 64, 1 << (at % 64));
            same &= page.known[word] & bit != 0 && page.bytes[at] == *byte;
            page.known[word] |= bit;
            page.bytes[at] = *byte;
        }
        same
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = &Mutex<Line>> {
        self.lines.0.iter()
    }
}

/// log2 of the bytes that one slot of the root stands for.
const GIB: u32 = 30;
/// Physical addresses from here on are not followed: 4 TiB.
const SLOTS: usize = 4096;

type Table = Box<[OnceLock<Box<Page>>]>;

/// All pages, made when they are first touched.
pub struct Pages(Box<[OnceLock<Table>]>);

impl Default for Pages {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| OnceLock::new()).collect())
    }
}

impl Pages {
    /// The page of a physical address.
    pub fn of(&self, physical: u64) -> Option<&Page> {
        let table = self.0.get((physical >> GIB) as usize)?;
        let table = table.get_or_init(|| (0..1 << (GIB - PAGE)).map(|_| OnceLock::new()).collect());
        let index = (physical >> PAGE) as usize % table.len();
        Some(table[index].get_or_init(Box::default))
    }

    /// All pages that were touched, each with its physical address.
    pub fn touched(&self) -> impl Iterator<Item = (u64, &Page)> {
        let tables = self.0.iter().enumerate();
        let tables = tables.filter_map(|(slot, table)| Some((slot as u64, table.get()?)));
        tables.flat_map(|(slot, table)| {
            let pages = table.iter().enumerate();
            pages.filter_map(move |(index, page)| {
                Some((slot << GIB | (index as u64) << PAGE, &**page.get()?))
            })
        })
    }
}
