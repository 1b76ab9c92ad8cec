//! ramoops: memory in which Linux keeps its logs over a reset, to be shown below
//! `/sys/fs/pstore` after it. The image can leave its own log there, for machines
//! without a serial line.
//!
//! The region is divided as Linux's `fs/pstore/ram.c` does: records of dumps, then
//! the console, the function trace, and what user space left (pmsg). Each of these
//! zones is, as in `fs/pstore/ram_core.c`,
//!
//! ```text
//! offset  bytes
//!      0      4  the signature, "DBGC"
//!      4      4  where in the ring the next byte goes
//!      8      4  bytes that the ring holds
//!     12    ...  the ring
//! ```
//!
//! Words are little endian. The console's zone is a ring; a dump's begins with a line
//! `====SECONDS.MICROSECONDS-D`, and is not to wrap.

use alloc::{format, string::String, vec::Vec};

use dtoolkit::fdt::FdtNode;

use crate::{property::number, region::Region};

/// What the kernel's own parameters begin with.
pub const PREFIX: &str = "ramoops.";

/// The memory that the boot arguments say Linux keeps its logs in, if they do: nothing else
/// is put there, by the image or by its loader, whether a log is to be left there or not.
pub fn kept(bootargs: &str) -> Option<Region> {
    let named = Ramoops::of_bootargs(bootargs).ok().flatten();
    named.map(|ramoops| ramoops.region)
}

/// The signature of a zone in use.
const SIGNATURE: u32 = 0x4347_4244;
/// Signature, start and size.
const HEAD: usize = 12;
/// What the record of a dump begins with: no time is known; not compressed.
const DUMP_HEAD: &[u8] = b"====0.000000-D\n";
/// What Linux takes for a size that its parameters do not give.
const LINUX_SIZE: u64 = 4096;
/// The largest region: it is mapped whole.
const LARGEST: u64 = 64 << 20;

/// A region, as Linux's own description of it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ramoops {
    /// The memory.
    pub region: Region,
    /// Bytes of a dump's record.
    record: u64,
    /// Bytes of the console's zone.
    console: u64,
    /// Bytes of the zones of trace and user space.
    others: u64,
    /// Are there check bits between the data, which only Linux computes?
    ecc: bool,
}

/// Linux rounds each size down to a power of two.
const fn rounded(size: u64) -> u64 {
    match size.checked_ilog2() {
        Some(log) => 1 << log,
        None => 0,
    }
}

impl Ramoops {
    /// Reads a node below `/reserved-memory` that is compatible with `ramoops`
    /// (binding `reserved-memory/ramoops`), whose memory is `region`.
    pub fn of_node(node: &FdtNode<'_>, region: Region) -> Self {
        let size = |name| rounded(number(node, name).unwrap_or(0));
        Self {
            region,
            record: size("record-size"),
            console: size("console-size"),
            others: size("ftrace-size").saturating_add(size("pmsg-size")),
            ecc: number(node, "ecc-size").is_some_and(|bytes| bytes != 0),
        }
    }

    /// Reads a node elsewhere in the tree, as the binding had it first: its memory is named by
    /// `memory-region`, or is its own. Where such a node gives the size of records alone,
    /// Linux has zones of that size for the console and for user space too.
    pub fn of_old_node(node: &FdtNode<'_>, region: Region) -> Self {
        let found = Self::of_node(node, region);
        let only_records = found.console == 0 && found.others == 0 && !found.ecc;
        let zone = if only_records { found.record } else { 0 };
        Self {
            console: found.console + zone,
            others: found.others.saturating_add(zone),
            ..found
        }
    }

    /// What the kernel's own parameters say: `ramoops.mem_address=`, `mem_size=`, and
    /// the sizes of the zones, each of which is 4 KiB if it is not given.
    ///
    /// # Errors
    /// One line, for a number that is none, or a region without a size.
    pub fn of_bootargs(bootargs: &str) -> Result<Option<Self>, String> {
        let value = |name: &str| -> Result<Option<u64>, String> {
            let words = bootargs.split_ascii_whitespace();
            let mut parameters = words.filter_map(|word| word.strip_prefix(PREFIX));
            let Some(value) = parameters
                .rfind(|word| word.split('=').next() == Some(name))
                .and_then(|word| word.split_once('='))
            else {
                return Ok(None);
            };
            bytes(value.1).map(Some).ok_or_else(|| {
                format!(
                    "ramoops.{name}: '{}' is not allowed; allowed: a number like 0x100000 or 1M",
                    value.1
                )
            })
        };
        let Some(base) = value("mem_address")? else {
            return Ok(None);
        };
        let Some(size) = value("mem_size")? else {
            return Err("ramoops.mem_address: no ramoops.mem_size beside it".into());
        };
        let zone = |name| value(name).map(|size| rounded(size.unwrap_or(LINUX_SIZE)));
        Ok(Some(Self {
            region: Region { base, size },
            record: zone("record_size")?,
            console: zone("console_size")?,
            others: zone("ftrace_size")?.saturating_add(zone("pmsg_size")?),
            ecc: value("ecc")?.is_some_and(|ecc| ecc != 0),
        }))
    }

    /// Is it one that the image can write to?
    ///
    /// # Errors
    /// One line: why not, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let Region { base, size } = self.region;
        if !base.is_multiple_of(LINUX_SIZE) || !(LINUX_SIZE..=LARGEST).contains(&size) {
            return Err(format!(
                "ramoops: {size} bytes at {base:#x} are not allowed; allowed: from 4096 bytes to 64 MiB, at a multiple of 4096"
            ));
        }
        if self.ecc {
            return Err(
                "ramoops: the region has check bits (ECC), which only Linux writes; allowed: one without".into(),
            );
        }
        if self.console.saturating_add(self.others) > size || self.zones().is_empty() {
            return Err(format!(
                "ramoops: no zone for a console or a dump fits into {size} bytes"
            ));
        }
        Ok(())
    }

    /// Bytes of the console's zone.
    pub const fn console(&self) -> u64 {
        self.console
    }

    /// Is there a zone for the console?
    const fn has_console(&self) -> bool {
        holds_text(self.console)
    }

    /// Where in the region the log may go: the console's zone, where there is one,
    /// else those of the dumps.
    fn zones(&self) -> Vec<Zone> {
        let dumps = self
            .region
            .size
            .saturating_sub(self.console.saturating_add(self.others));
        let zone = |start: u64, size: u64| Zone {
            start: start as usize,
            size: size as usize,
            used: 0,
        };
        if self.has_console() {
            return [zone(dumps, self.console)].into();
        }
        let count = dumps.checked_div(self.record).unwrap_or(0);
        let size = dumps.checked_div(count).unwrap_or(0);
        (0..if holds_text(size) { count } else { 0 })
            .map(|nth| zone(nth * size, size))
            .collect()
    }
}

/// Is a zone of that size more than what it begins with?
const fn holds_text(size: u64) -> bool {
    size as usize > HEAD + DUMP_HEAD.len()
}

/// A number as the kernel's `memparse` reads it.
fn bytes(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' => 30,
        _ => 0,
    };
    let digits = if shift == 0 {
        text
    } else {
        &text[..text.len() - 1]
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number.ok()?.checked_mul(1 << shift)
}

/// A zone that is written to.
struct Zone {
    /// Where in the region it begins.
    start: usize,
    /// Its bytes, head included.
    size: usize,
    /// Bytes of the ring that were written.
    used: u64,
}

/// The image's log in such a region, while it is written.
pub struct Log<'a> {
    memory: &'a mut [u8],
    zones: Vec<Zone>,
    /// Which of them is next.
    at: usize,
    /// The console's, which goes round.
    is_ring: bool,
    /// Bytes that found no room, or were written over.
    lost: u64,
    /// Orders stores, so that a reset in between finds a head that is true.
    barrier: fn(),
}

impl<'a> Log<'a> {
    /// Begins one in `memory`, which is the region of `layout`. What the console's zone
    /// held is gone then; of the dumps, which may be the only trace of a crash, those
    /// that are there stay, and only free zones are used.
    ///
    /// # Errors
    /// As [`Ramoops::check`], or no zone is free.
    pub fn begin(memory: &'a mut [u8], layout: &Ramoops, barrier: fn()) -> Result<Self, String> {
        layout.check()?;
        let mut log = Self {
            zones: layout.zones(),
            is_ring: layout.has_console(),
            memory,
            at: 0,
            lost: 0,
            barrier,
        };
        if log.is_ring {
            log.open(0, &[]);
            return Ok(log);
        }
        let taken = log.zones.len();
        let memory = &*log.memory;
        let word = |at: usize| memory.get(at..at + 4).map(|bytes| bytes.try_into());
        let is_free = |zone: &Zone| {
            let [signature, size] = [0, 8].map(|offset| match word(zone.start + offset) {
                Some(Ok(bytes)) => u32::from_le_bytes(bytes),
                _ => 0,
            });
            signature != SIGNATURE || size == 0
        };
        log.zones.retain(is_free);
        if log.zones.is_empty() {
            return Err(format!(
                "ramoops: each of the {taken} records holds a dump that nobody has collected (/sys/fs/pstore), so none is written"
            ));
        }
        log.open(0, DUMP_HEAD);
        Ok(log)
    }

    /// Appends to the log.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while let Some(zone) = self.zones.get(self.at) {
            let ring = zone.size - HEAD;
            let at = (zone.used % ring as u64) as usize;
            let room = match self.is_ring {
                true => ring - at,
                false => ring - zone.used as usize,
            };
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.put(now);
            bytes = later;
            if bytes.is_empty() {
                return;
            }
            if !self.is_ring {
                self.at += 1;
                if self.at < self.zones.len() {
                    self.open(self.at, DUMP_HEAD);
                }
            }
        }
        self.lost += bytes.len() as u64;
    }

    /// Bytes that are no longer there, or never were.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Makes a zone one in use, with this in it.
    fn open(&mut self, nth: usize, head: &[u8]) {
        let start = self.zones[nth].start;
        self.at = nth;
        self.word(start + 8, 0);
        self.word(start + 4, 0);
        (self.barrier)();
        self.word(start, SIGNATURE);
        self.put(head);
    }

    /// Writes what the zone at hand has room for before the end of its ring.
    fn put(&mut self, bytes: &[u8]) {
        let zone = &mut self.zones[self.at];
        let ring = (zone.size - HEAD) as u64;
        let start = zone.start;
        let at = start + HEAD + (zone.used % ring) as usize;
        let before = zone.used;
        zone.used += bytes.len() as u64;
        let used = zone.used;
        if let Some(into) = self.memory.get_mut(at..at + bytes.len()) {
            into.copy_from_slice(bytes);
        }
        self.lost += used.saturating_sub(ring) - before.saturating_sub(ring);
        (self.barrier)();
        self.word(start + 4, (used % ring) as u32);
        self.word(start + 8, used.min(ring) as u32);
        (self.barrier)();
    }

    fn word(&mut self, at: usize, value: u32) {
        if let Some(into) = self.memory.get_mut(at..at + 4) {
            into.copy_from_slice(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
