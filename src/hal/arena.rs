//! Free memory: one arena, for stacks and buffers, and the pages handed out from it;
//! and the regions that outlive a reset, whose content is kept.

#![expect(unsafe_code, reason = "free memory that is taken into use")]

use alloc::{format, string::String, vec::Vec};
use core::{
    ops::Range,
    slice,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use aarch64_paging::paging::PAGE_SIZE;
use spin::Mutex;
use stalecore_model::platform::{Platform, Region};

use super::{
    boot,
    memory::{Tables, pin},
};

/// Has the arena been taken? There is one.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The memory in use that no cache may hold.
static UNCACHED: Mutex<Vec<Region>> = Mutex::new(Vec::new());

/// Hands out the arena from its start; the page in front of a stack stays unmapped.
pub struct Arena {
    next: usize,
    end: usize,
}

impl Arena {
    /// Takes an arena of `size` bytes out of the platform's free memory.
    ///
    /// # Errors
    /// One line with what was needed and what there is.
    pub fn take(platform: &Platform, size: usize, taken: &[Region]) -> Result<Self, String> {
        let needed = (size as u64).next_multiple_of(PAGE_SIZE as u64);
        let found = platform.find_free(needed, PAGE_SIZE as u64, taken).ok_or_else(|| {
            format!(
                "memory too small: {} KiB in one piece are needed beside the image, the machine has {} MiB",
                needed / 1024,
                platform.memory_mib()
            )
        })?;
        let start = usize::try_from(found.base).map_err(|e| format!("{e}"))?;
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err("the arena was taken before".into());
        }
        Ok(Self {
            next: start,
            end: start + size,
        })
    }

    /// One past what was handed out so far: an unmapped page, if the next request has a
    /// guard.
    pub const fn end_of_used(&self) -> usize {
        self.next
    }

    /// The next `size` bytes (whole pages), mapped once the tables are in use; with
    /// `guard`, an unmapped page lies in front.
    ///
    /// # Errors
    /// The arena was made too small, or the mapping crate's.
    pub fn pages(
        &mut self,
        tables: &mut Tables,
        size: usize,
        guard: bool,
    ) -> Result<Pages, String> {
        let size = size.next_multiple_of(PAGE_SIZE);
        let start = self.next + if guard { PAGE_SIZE } else { 0 };
        if start + size > self.end {
            return Err("the arena was laid out too small".into());
        }
        self.next = start + size;
        tables.map_data(start, size)?;
        let asid = tables.asid();
        Ok(Pages { start, size, asid })
    }
}

/// Pages that the arena has handed out, once, with the tables that map them.
pub struct Pages {
    start: usize,
    size: usize,
    asid: usize,
}

impl Pages {
    /// Their address.
    pub const fn start(&self) -> usize {
        self.start
    }

    /// Their addresses.
    pub const fn range(&self) -> Range<usize> {
        self.start..self.start + self.size
    }

    /// Takes them into use as words of 0; their tables must be in use.
    pub fn words(self) -> &'static [AtomicU64] {
        pin(self.asid);
        let words = self.size / size_of::<AtomicU64>();
        // SAFETY: whole pages, which the arena handed out once, out of memory in
        // which nothing else is; the tables in use map them as data, and stay.
        unsafe { (self.start as *mut u64).write_bytes(0, words) };
        self.words_as_found()
    }

    /// The same, with what firmware or a boot before has left in them.
    pub fn words_as_found(self) -> &'static [AtomicU64] {
        pin(self.asid);
        let words = self.size / size_of::<AtomicU64>();
        // SAFETY: as in `words`. Any content is valid, and firmware's memory is no
        // memory of Rust's that was never written.
        unsafe { slice::from_raw_parts(self.start as *const AtomicU64, words) }
    }

    /// Takes them into use as a stack and continues at `entry` on it; their tables must
    /// be in use. The old stack is abandoned.
    pub fn run(self, entry: extern "C" fn() -> !) -> ! {
        pin(self.asid);
        // SAFETY: handed out once, so that nobody uses them, and mapped.
        unsafe { boot::go_on(self.range().end, entry) }
    }
}

/// Free memory beside the arena that no cache may hold.
pub struct Uncached(Pages);

impl Uncached {
    /// Maps `region`, which the arena must be told is taken.
    ///
    /// # Errors
    /// The mapping crate's, or no valid address.
    pub fn map(tables: &mut Tables, region: &Region) -> Result<Self, String> {
        let start = usize::try_from(region.base).map_err(|e| format!("{e}"))?;
        let size = usize::try_from(region.size).map_err(|e| format!("{e}"))?;
        tables.map_uncached(start, size)?;
        let asid = tables.asid();
        Ok(Self(Pages { start, size, asid }))
    }

    /// Takes it into use, with what is in it; its tables must be in use.
    pub fn bytes(self) -> &'static mut [u8] {
        let Self(Pages { start, size, asid }) = self;
        pin(asid);
        let region = Region {
            base: start as u64,
            size: size as u64,
        };
        let mut uncached = UNCACHED.lock();
        assert!(
            !uncached.iter().any(|other| other.overlaps(&region)),
            "once"
        );
        uncached.push(region);
        drop(uncached);
        // SAFETY: the tables in use map it for reading and writing, and stay; it is
        // not the image's nor a device's (`map_uncached`), not the arena's (`find_free`
        // avoids what is taken), and no byte is handed out twice. Any content is valid
        // as bytes.
        unsafe { slice::from_raw_parts_mut(start as *mut u8, size) }
    }
}
